"""What both stores promise about records: splits and dividends as lists that are corrected, come late and come twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.record_kinds import KINDS, Records
from marketfetch.schemas.record_models import MODELS
from marketfetch.storage.store import StoreError

STORED = [kind for kind in KINDS.values() if kind.stored]


def split(day: str, new: float = 2.0, old: float = 1.0, *, symbol: str = "AAPL", vendor_id: str = "") -> tuple[Any, ...]:
    return symbol, day, new, old, vendor_id


def reply(
    at: int, *rows: tuple[Any, ...], root: str = "", page: int = 0, more: bool = False, kind: str = "splits", rejects: int = 0,
    symbol: str = "AAPL", outcome: Any = None,
) -> Batch:  # fmt: skip
    """A reply to a call at Unix ms `at`; `more`: it names a next page."""
    root = root or f"r{at}"
    row = LedgerRow(
        f"{root}/{page}" if page else root, root, page, "polygon", symbol, outcome or ("stored" if rows else "empty"),
        rows=len(rows), rejects=rejects, calls=1, called_at_ms=at, next_cursor="c" if more else None,
    )  # fmt: skip
    return Batch(row, records=Records(kind, rows))


def splits(store: Any, where: str = "true") -> list[tuple[Any, ...]]:
    """(ex_date, new, first_seen, fetched_at, gone_at), times in Unix ms."""
    ms = store.database.spelling.ms
    times = ", ".join(ms(one) for one in ("first_seen", "fetched_at", "gone_at"))
    found = store.database.read(f"SELECT ex_date, new_shares, {times} FROM splits WHERE {where} ORDER BY ex_date, new_shares")
    return [(str(day), *rest) for day, *rest in found]


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.name)
def test_the_table_of_a_kind_has_its_columns_and_its_key(store: Any, url: str, kind: Any) -> None:
    names = [one.name for one in kind.columns]
    if url.startswith("sqlite"):
        found = store.database.read('SELECT name, "notnull", pk FROM pragma_table_info(?) ORDER BY cid', kind.name)
        filled, key = {name for name, full, _ in found if full}, [name for name, _, place in found if place]
    else:
        found = store.database.read(
            "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position",
            kind.name,
        )
        filled = {name for name, nullable in found if nullable == "NO"}
        key = [
            row[0]
            for row in store.database.read(
                "SELECT column_name FROM information_schema.key_column_usage WHERE table_name = ? ORDER BY ordinal_position",
                kind.name,
            )
        ]
    assert [row[0] for row in found] == ["provider", *names, "first_seen", "fetched_at", "gone_at", "ledger_id"]
    assert {one.name for one in kind.columns if one.filled} == filled & set(names)
    assert key == ["provider", *kind.key]
    assert names == list(MODELS[kind.name].model_fields)


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.name)
def test_a_row_of_every_kind_is_stored_also_of_a_reply_for_all_symbols(store: Any, kind: Any) -> None:
    row = tuple({"text": "a", "day": "2024-01-02", "number": 1.5, "whole": 2}[one.type] for one in kind.columns)
    store.store([reply(10, row, kind=kind.name, symbol="*"), reply(20, row, kind=kind.name, symbol="*")])
    times = [store.database.spelling.ms(one) for one in ("first_seen", "fetched_at")]
    assert store.database.read(f"SELECT {', '.join(times)} FROM {kind.name}") == [(10, 20)]


def test_the_same_list_again_changes_only_when_it_was_last_seen(store: Any) -> None:
    assert store.store([reply(10, split("2014-06-09", 7.0), split("2020-08-31", 4.0))]) == [True]
    assert store.store([reply(20, split("2014-06-09", 7.0), split("2020-08-31", 4.0))]) == [True]
    assert splits(store) == [("2014-06-09", 7.0, 10, 20, None), ("2020-08-31", 4.0, 10, 20, None)]


def test_a_corrected_row_is_gone_and_its_successor_is_first_seen_at_the_same_call(store: Any) -> None:
    store.store([reply(10, split("2020-08-31", 3.0))])
    store.store([reply(20, split("2020-08-31", 4.0))])
    assert splits(store) == [("2020-08-31", 3.0, 10, 10, 20), ("2020-08-31", 4.0, 20, 20, None)]


def test_a_row_that_comes_back_is_no_longer_gone_and_keeps_its_first_sight(store: Any) -> None:
    store.store([reply(10, split("2014-06-09"), split("2020-08-31"))])
    store.store([reply(20, split("2020-08-31"))])
    store.store([reply(30, split("2014-06-09"), split("2020-08-31"))])
    assert splits(store) == [("2014-06-09", 2.0, 10, 30, None), ("2020-08-31", 2.0, 10, 30, None)]


def test_two_different_rows_of_one_date_stand_side_by_side(store: Any) -> None:
    store.store([reply(10, split("2020-08-31", 2.0), split("2020-08-31", 4.0))])
    assert [row[:2] for row in splits(store, "gone_at IS NULL")] == [("2020-08-31", 2.0), ("2020-08-31", 4.0)]


def test_a_late_reply_overwrites_nothing_newer(store: Any) -> None:
    store.store([reply(20, split("2020-08-31", 4.0, vendor_id="new"))])
    store.store([reply(10, split("2020-08-31", 4.0, vendor_id="old"), split("2014-06-09", 7.0))])
    assert splits(store) == [("2014-06-09", 7.0, 10, 10, 20), ("2020-08-31", 4.0, 10, 20, None)]
    assert store.database.read("SELECT vendor_id FROM splits WHERE new_shares = 4") == [("new",)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_only_all_pages_of_a_list_together_say_that_a_row_is_gone(store: Any, order: tuple[int, ...]) -> None:
    store.store([reply(10, split("2000-06-21"), split("2005-02-28"), split("2014-06-09"), split("2020-08-31"))])
    pages = [
        reply(20, split("2005-02-28"), root="b", more=True),
        reply(21, split("2014-06-09"), root="b", page=1, more=True),
        reply(22, split("2020-08-31"), root="b", page=2),
    ]
    for n, page in enumerate(order):
        assert splits(store, "gone_at IS NOT NULL") == [], f"after {n} pages"
        store.store([pages[page]])
    assert splits(store, "gone_at IS NOT NULL") == [("2000-06-21", 2.0, 10, 10, 20)]
    assert [row[3] for row in splits(store, "gone_at IS NULL")] == [20, 21, 22]


def test_a_list_with_rejects_or_a_failed_page_takes_nothing_away(store: Any) -> None:
    store.store([reply(10, split("2014-06-09"), split("2020-08-31"))])
    store.store([reply(20, split("2020-08-31"), rejects=1)])
    store.store([reply(30, split("2020-08-31"), root="c", more=True), reply(31, root="c", page=1, outcome="failed")])
    assert splits(store, "gone_at IS NOT NULL") == []


def test_an_empty_list_takes_rows_away_only_when_the_next_one_is_empty_too(store: Any) -> None:
    store.store([reply(10, split("2020-08-31"))])
    store.store([reply(20)])
    assert splits(store) == [("2020-08-31", 2.0, 10, 10, None)]
    store.store([reply(30)])
    assert splits(store) == [("2020-08-31", 2.0, 10, 10, 30)]


def test_other_symbols_and_other_kinds_are_not_touched(store: Any) -> None:
    paid = ("AAPL", "2024-02-09", 0.24, "USD", "CD", 4, None, "2024-02-12", "2024-02-15", "")
    store.store([reply(10, split("2020-08-31")), reply(11, split("2022-07-18", symbol="GOOG"), symbol="GOOG", root="g")])
    store.store([reply(20, paid, kind="dividends"), reply(30, split("2014-06-09"))])
    assert splits(store, "symbol = 'GOOG' AND gone_at IS NULL") == [("2022-07-18", 2.0, 11, 11, None)]
    found = store.database.read("SELECT amount, frequency, declared, paid FROM dividends WHERE gone_at IS NULL")
    assert [tuple(map(str, row)) for row in found] == [("0.24", "4", "None", "2024-02-15")]


def test_the_latest_whole_list_of_a_symbol_is_noted_also_an_empty_one(store: Any) -> None:
    store.store([reply(30, split("2020-08-31")), reply(20), reply(40, symbol="KO", root="k"), reply(50, root="m", more=True)])
    ms = store.database.spelling.ms("fetched_at")
    found = store.database.read(f"SELECT dataset, symbol, {ms}, rows FROM record_lists ORDER BY symbol")
    assert found == [("splits", "AAPL", 30, 1), ("splits", "KO", 40, 0)]


def test_a_batch_that_was_stored_before_writes_nothing(store: Any) -> None:
    first = reply(10, split("2020-08-31"))
    store.store([first])
    assert store.store([reply(10, split("2020-08-31"), split("2014-06-09"))]) == [False]
    assert len(splits(store)) == 1


def test_the_ledger_row_and_the_records_are_one_transaction(store: Any) -> None:
    with pytest.raises(StoreError):
        store.store([reply(10, ("AAPL", "2020-08-31", None, 1.0, ""))])
    assert splits(store) == []
    assert store.over(["r10"]) == set()


def test_texts_that_a_database_can_not_hold_are_made_storable(store: Any) -> None:
    store.store([reply(10, split("2020-08-31", vendor_id="a\x00b\ud800"))])
    assert store.database.read("SELECT vendor_id FROM splits") == [("a\\x00b\\ud800",)]


def listing(symbol: str, status: str = "active", delisted: str | None = None) -> tuple[Any, ...]:
    return symbol, status, delisted or "", symbol, "XNYS", "CS", "stocks", "usd", None, delisted, ""


def of_market(at: int, dataset: str, *rows: tuple[Any, ...], root: str = "", page: int = 0, more: bool = False) -> Batch:
    found = reply(at, *rows, root=root, page=page, more=more, kind="symbols", symbol="*")
    return replace(found, records=Records("symbols", rows, dataset))


def test_a_list_of_a_part_of_a_market_takes_only_rows_of_that_part_away(store: Any) -> None:
    store.store([of_market(10, "symbols", listing("AAPL"), listing("TWTR"), listing("Q"))])
    store.store([of_market(20, "delisted", listing("Q", "delisted", "2000-06-30"), listing("Q", "delisted", "2011-04-01"))])
    store.store([of_market(30, "symbols", listing("AAPL"), root="m", more=True)])
    store.store([of_market(31, "symbols", listing("Q"), root="m", page=1)])
    store.store([of_market(40, "delisted", listing("TWTR", "delisted", "2022-10-27"), root="d", more=True)])
    found = store.database.read("SELECT symbol, status, listing FROM symbols WHERE gone_at IS NULL ORDER BY 1, 2, 3")
    assert found == [
        ("AAPL", "active", ""),
        ("Q", "active", ""),
        ("Q", "delisted", "2000-06-30"),
        ("Q", "delisted", "2011-04-01"),
        ("TWTR", "delisted", "2022-10-27"),
    ]
    ms = store.database.spelling.ms("fetched_at")
    lists = store.database.read(f"SELECT dataset, symbol, {ms}, rows FROM record_lists ORDER BY dataset")
    assert lists == [("delisted", "*", 20, 2), ("symbols", "*", 30, 2)]


def value(day: str, number: float, *, table: str = "ZACKS/FC") -> tuple[Any, ...]:
    return table, f'{{"date":"{day}"}}', day, f'{{"date":"{day}","eps":{number}}}'


def test_rows_of_values_are_added_and_corrected_and_a_narrower_filter_takes_none_away(store: Any) -> None:
    store.store([reply(10, value("2024-01-02", 1), value("2024-01-03", 2), kind="value_rows", symbol="ZACKS/FC")])
    store.store([reply(30, value("2024-01-03", 2.5), kind="value_rows", symbol="ZACKS/FC?date.gte=2024-01-03")])
    store.store([reply(20, value("2024-01-03", 9), value("2024-01-04", 3), kind="value_rows", symbol="ZACKS/FC")])
    ms = store.database.spelling.ms
    number = "json_extract(cells, '$.eps')" if ms("x") == "x" else "CAST(CAST(cells AS jsonb) ->> 'eps' AS float)"
    found = store.database.read(
        f"SELECT day, {number}, {ms('first_seen')}, {ms('fetched_at')}, gone_at FROM value_rows ORDER BY day"
    )
    assert [(str(day), *rest) for day, *rest in found] == [
        ("2024-01-02", 1, 10, 10, None),
        ("2024-01-03", 2.5, 10, 30, None),
        ("2024-01-04", 3, 20, 20, None),
    ]
    assert store.database.read("SELECT count(*) FROM record_lists") == [(0,)]
