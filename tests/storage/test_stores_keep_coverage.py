"""What replies cover is stored with them, in the same transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketfetch.schemas.coverage import Covered, merged
from marketfetch.schemas.ledger import Batch, Outcome
from marketfetch.storage import open_store
from tests.storage.batches import batch

DAY = date(2024, 1, 1)


def covered(first: int, last: int, final_to: int | None = None, *, at: int = 1_000, symbol: str = "AAPL") -> Covered:
    days = [None if one is None else date.fromordinal(DAY.toordinal() + one) for one in (first, last, final_to)]
    return Covered("polygon", "bars", symbol, "1d", "split", days[0] or DAY, days[1] or DAY, days[2], at)


def reply(request_id: str, *of: Covered, outcome: Outcome = "stored", next_cursor: str | None = None, at: int = 1_000) -> Batch:
    bars = {86_400_000: 1.0} if outcome == "stored" else {}
    return replace(batch(request_id, bars, outcome=outcome, next_cursor=next_cursor, fetched=at), covered=of)


def rows(store: Any, symbols: list[str] | None = None) -> list[Covered]:
    return list(store.covered("polygon", "bars", "1d", "split", symbols))


def test_stored_and_empty_replies_cover_and_failed_ones_do_not(store: Any) -> None:
    store.store([reply("a", covered(0, 4, 4)), reply("b", covered(5, 9, 7), outcome="empty")])
    store.store([reply("c", covered(20, 30, 30), outcome="failed")])
    assert rows(store) == [covered(0, 7, 7), covered(8, 9)]
    store.store([reply("b", covered(10, 11, 11))])
    assert rows(store) == [covered(0, 7, 7), covered(8, 9)], "a request that was over before writes nothing"


def test_the_symbols_asked_for_and_every_symbol_at_once_come_in_one_query(store: Any) -> None:
    store.store([reply(name, covered(0, 4, 4, symbol=name)) for name in ("A", "B", "C")])
    store.store([reply("all", covered(5, 5, 5, symbol="*"))])
    assert rows(store, ["C", "A"]) == [covered(5, 5, 5, symbol="*"), covered(0, 4, 4, symbol="A"), covered(0, 4, 4, symbol="C")]
    assert len(rows(store)) == 4
    assert rows(store, []) == [covered(5, 5, 5, symbol="*")]
    assert store.covered("polygon", "bars", "1m", "split") == []


def test_a_request_of_several_pages_covers_when_its_last_page_is_stored_with_what_its_earliest_call_knew(store: Any) -> None:
    pages = [
        reply("r", covered(0, 9, 7), next_cursor="x", at=1_000),
        reply("r/1", covered(0, 9, 8, at=2_000), next_cursor="y", at=2_000),
        reply("r/2", covered(0, 9, 9, at=3_000), outcome="empty", at=3_000),
    ]
    for n, page in enumerate((pages[1], pages[2])):
        assert store.store([page]) == [True], n
        assert rows(store) == []
    store.store([pages[0]])
    assert rows(store) == [covered(0, 7, 7, at=1_000), covered(8, 9, at=1_000)]
    store.store(
        [
            replace(one, ledger=replace(one.ledger, request_id=one.ledger.request_id.replace("r", "s"), root="s"))
            for one in pages
        ]
    )
    assert rows(store) == [covered(0, 7, 7, at=1_000), covered(8, 9, at=1_000)]


def test_a_page_that_failed_covers_nothing_until_it_is_stored(store: Any) -> None:
    store.store([reply("r", covered(0, 9, 9), next_cursor="x"), reply("r/1", outcome="failed")])
    assert rows(store) == []
    store.forget_if_failed("r/1")
    store.store([reply("r/1", covered(0, 9, 9))])
    assert rows(store) == [covered(0, 9, 9)]


def test_pages_that_are_stored_at_once_by_two_processes_cover(store: Any, url: str) -> None:
    other = open_store(url)
    with ThreadPoolExecutor(2) as pool:
        for n in range(15):
            first = reply(f"r{n}", covered(0, 9, 9, symbol=f"S{n}"), next_cursor="x")
            last = reply(f"r{n}/1", covered(0, 9, 9, symbol=f"S{n}"))
            list(pool.map(lambda one: one[0].store([one[1]]), ((store, first), (other, last))))
    assert len(rows(store)) == 15
    other.close()


def test_requests_of_one_series_that_are_stored_at_once_by_two_processes_are_merged(store: Any, url: str) -> None:
    other = open_store(url)
    with ThreadPoolExecutor(2) as pool:
        for n in range(15):
            early, late = (reply(f"{n}-{first}", covered(first, first + 4, first + 4, symbol=f"S{n}")) for first in (0, 5))
            list(pool.map(lambda one: one[0].store([one[1]]), ((store, early), (other, late))))
    assert rows(store) == sorted((covered(0, 9, 9, symbol=f"S{n}") for n in range(15)), key=lambda one: one.symbol)
    other.close()


def test_any_text_is_a_symbol_and_no_part_of_a_statement(store: Any) -> None:
    symbols = ["BRK'B", 'A"B', "A\\'; DROP TABLE coverage; --", "%s", "?", "$rows", "Ä€"]
    for n, symbol in enumerate(symbols):
        for first in (0, 5):
            store.store([reply(f"{n}-{first}", covered(first, first + 4, 8, symbol=symbol), outcome="empty")])
    assert [row for symbol in symbols for row in rows(store, [symbol])] == [
        row for symbol in symbols for row in (covered(0, 8, 8, symbol=symbol), covered(9, 9, symbol=symbol))
    ]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 20), st.integers(0, 10), st.integers(-1, 10), st.integers(1, 4), st.sampled_from("AB")),
            min_size=1,
            max_size=4,
        ),
        max_size=5,
    )
)
def test_both_databases_have_the_rows_of_the_algebra(store: Any, stores: list[list[tuple[int, int, int, int, str]]]) -> None:
    def empty(execute: Any) -> None:
        for table in ("coverage", "ledger", "bar_rows"):
            execute(f"DELETE FROM {table}")

    store.database.change(empty)
    wanted: dict[str, list[Covered]] = {"A": [], "B": []}
    for n, together in enumerate(stores):
        news = [
            covered(first, first + length, None if final < 0 else first + min(final, length), at=at, symbol=symbol)
            for first, length, final, at, symbol in together
        ]
        store.store([reply(f"r{n}-{i}", one, outcome="empty") for i, one in enumerate(news)])
        for one in news:
            wanted[one.symbol] = merged(wanted[one.symbol], one)
    assert rows(store) == [*wanted["A"], *wanted["B"]]


def test_the_starts_at_which_final_bars_are_stored_are_read_in_bulk(store: Any) -> None:
    days = [n * 86_400_000 for n in range(5)]
    store.store([
        batch("a", dict.fromkeys(days, 1.0), symbol="ALL"),
        batch("b", {days[1]: 1.0, days[3]: 1.0, days[4]: 1.0, days[2]: 1.0}, symbol="SOME", partial=[days[2]]),
        batch("c", {days[4]: 1.0, days[0] + 3_600_000: 1.0}, symbol="LATER"),
    ])  # fmt: skip
    found = store.stored_starts("polygon", "1d", "split", ["ALL", "SOME", "NONE"], days[:4])
    assert found == {"ALL": frozenset(days[:4]), "SOME": frozenset({days[1], days[3]})}
    assert not store.stored_starts("polygon", "1d", "split", ["LATER"], days[:4]).get("LATER")
    assert store.stored_starts("polygon", "1d", "raw", ["ALL"], days[:4]) == {}
    assert store.stored_starts("polygon", "1d", "split", [], days) == store.stored_starts("polygon", "1d", "split", ["ALL"], [])
