"""What both stores promise of reservations: never fewer calls than were granted, however old the database is."""

from __future__ import annotations

from typing import Any

import pytest

from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage import open_store, purging
from tests.storage.fresh_processes import FRESH
from tests.storage.writers import reserve

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
NOON = 1_800_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2


@pytest.fixture
def clock(store: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The clock of the store, which the test sets."""
    at = [NOON]
    monkeypatch.setattr(type(store.database), "now_ms", lambda _store: at[0])
    return at


def reserved(store: Any, back_ms: int, key: str = "k") -> int | None:
    found: int | None = store.reserved_calls("polygon", key, back_ms=back_ms)
    return found


def add(store: Any, calls: int, *, key: str = "k", provider: str = "polygon", keep_ms: int = 3 * DAY_MS) -> None:
    store.reserve_calls(provider, key, calls=calls, keep_ms=keep_ms)


def called(store: Any, at_ms: int, calls: int = 1) -> None:
    name = f"r{at_ms}"
    store.store([Batch(LedgerRow(name, name, 0, "polygon", "X", "stored", key_label="k", calls=calls, called_at_ms=at_ms))])


def test_reservations_of_a_minute_add_up_and_those_that_overlap_a_span_are_summed(store: Any, clock: list[int]) -> None:
    add(store, 3)
    add(store, 4)
    clock[0] += 5 * MINUTE_MS
    add(store, 10)
    add(store, 100, key="other")
    add(store, 1000, provider="nasdaq")
    clock[0] += 59_000
    assert reserved(store, 1) == 10, "a reservation stands for calls until a minute later"
    assert reserved(store, 5 * MINUTE_MS + 58_000) == 17
    assert reserved(store, DAY_MS) == 17


def test_a_key_that_was_never_called_has_no_calls(store: Any, clock: list[int]) -> None:
    assert reserved(store, DAY_MS) == 0


def test_calls_of_a_release_that_reserved_none_make_the_answer_unknown_until_they_are_out_of_reach(
    store: Any, clock: list[int]
) -> None:
    called(store, NOON - 3_600_000, calls=7)
    assert reserved(store, 2 * 3_600_000) is None
    assert reserved(store, 1_800_000) == 0
    add(store, 1)
    clock[0] += 1_000
    assert reserved(store, 2 * 3_600_000) is None
    assert reserved(store, 1_800_000) == 1


def test_what_the_ledger_counts_is_the_least_that_is_answered(store: Any, clock: list[int]) -> None:
    add(store, 1)
    called(store, NOON + 1_000, calls=5)
    clock[0] += 2_000
    assert reserved(store, DAY_MS) == 5


def test_a_worker_whose_clock_is_minutes_behind_makes_nothing_unknown(store: Any, clock: list[int]) -> None:
    add(store, 2)
    called(store, NOON - 5 * MINUTE_MS)
    assert reserved(store, DAY_MS) == 2


def test_many_processes_that_reserve_calls_of_one_key_lose_no_call(store: Any, url: str) -> None:
    processes = [FRESH.Process(target=reserve, args=(url, 20)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert reserved(store, DAY_MS) == 60


def test_reservations_do_not_grow_for_ever(store: Any, clock: list[int]) -> None:
    add(store, 1, key="of yore")
    add(store, 1)
    clock[0] += 4 * DAY_MS
    add(store, 1)
    assert store.database.read("SELECT key_label, count(*) FROM call_marks GROUP BY key_label ORDER BY key_label") == [
        ("k", 1),
        ("of yore", 1),
    ]
    clock[0] += purging.RESERVATIONS_MS + MINUTE_MS
    store.purge(older_than_ms=NOON)
    assert store.database.read("SELECT key_label FROM call_marks") == []


def test_a_database_of_this_schema_without_the_table_gets_it(store: Any, url: str) -> None:
    store.database.change(lambda execute: execute("DROP TABLE call_marks"))
    again = open_store(url)
    again.create()
    add(again, 1)
    assert reserved(again, DAY_MS) == 1
    again.close()


def test_the_latest_requests_that_are_over_come_youngest_first_and_in_pieces(store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("marketfetch.storage.ledger_queries._LOOKED_AT_ONCE", 2)
    for name in "abcde":
        store.store([Batch(LedgerRow(name, name, 0, "nasdaq" if name == "c" else "polygon", "X", "empty"))])
    times = dict(store.database.read(f"SELECT request_id, {store.database.spelling.ms('over_at')} FROM ledger"))
    found, rest = store.latest_over("polygon", since_ms=times["a"])
    assert ([one.request_id for one in found], rest is not None) == (["e", "d"], True)
    found, rest = store.latest_over("polygon", since_ms=times["a"], before=rest)
    assert [one.request_id for one in found] == ["b"]
    found, rest = store.latest_over("polygon", since_ms=times["a"], before=rest)
    assert ([one.request_id for one in found], rest) == (["a"], None)
    assert store.latest_over("polygon", since_ms=times["e"] + 1) == ([], None)
