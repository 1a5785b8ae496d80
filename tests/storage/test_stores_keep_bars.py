"""What both stores promise about bars."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.page import Reject
from marketfetch.storage import open_store
from marketfetch.storage.reading_back import bars as read_bars
from marketfetch.storage.reading_back import counts, rejects
from marketfetch.storage.store import StoreError
from tests.storage.batches import DAY_MS, bars, batch, closes, count


def test_storing_the_same_values_twice_gives_the_same_rows_and_writes_nothing(store: Any) -> None:
    assert store.store([batch("a", {0: 10.0, DAY_MS: 11.0}, fetched=1)]) == [True]
    before = store.database.read("SELECT * FROM bars ORDER BY ts")
    assert store.store([batch("b", {0: 10.0, DAY_MS: 11.0}, fetched=2)]) == [True]
    assert store.database.read("SELECT * FROM bars ORDER BY ts") == before, "the request and time of the first stay too"


def test_a_changed_value_wins(store: Any) -> None:
    store.store([batch("a", {0: 10.0, DAY_MS: 11.0}, fetched=1)])
    store.store([batch("b", {0: 10.0, DAY_MS: 12.5, 2 * DAY_MS: 13.0}, fetched=2)])
    assert closes(store) == {0: 10.0, DAY_MS: 12.5, 2 * DAY_MS: 13.0}
    assert [row[0] for row in store.database.read("SELECT request_id FROM bars ORDER BY ts")] == ["a", "b", "b"]


@pytest.mark.parametrize("column", FLOAT_COLUMNS)
def test_every_value_column_counts_as_a_change(store: Any, column: str) -> None:
    store.store([batch("a", {0: 10.0}, fetched=1)])
    changed = bars({0: 10.0})
    getattr(changed, column)[:] = 7.0
    changes = batch("b", {0: 10.0}, fetched=2)
    store.store([replace(changes, series=(replace(changes.series[0], bars=changed),))])
    assert store.database.read(f"SELECT {column}, request_id FROM bars") == [(7.0, "b")]


def test_times_flags_and_trades_are_whole_numbers_in_sqlite(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/bars.db")
    store.create()
    last_ms = 253_402_300_799_999  # the last of year 9999
    store.store([batch("a", dict.fromkeys(range(90), 1.0) | {last_ms: 1.0}, partial=[last_ms], trades=3.0)])
    kinds = "typeof(ts), typeof(partial), typeof(trades), typeof(series_id), typeof(fetched_at), typeof(ledger_id)"
    assert store.database.read(f"SELECT DISTINCT {kinds} FROM bar_rows") == [("integer",) * 6]
    ends = store.database.read("SELECT max(ts), sum(partial), count(*), count(open) FROM bar_rows")
    assert ends == [(last_ms, 1, 91, 0)]
    store.close()


def test_an_older_batch_never_overwrites_a_newer_one_and_still_adds_what_is_missing(store: Any) -> None:
    store.store([batch("new", {0: 20.0}, fetched=2_000)])
    assert store.store([batch("old", {0: 10.0, DAY_MS: 11.0}, fetched=1_000)]) == [True]
    assert closes(store) == {0: 20.0, DAY_MS: 11.0}


def test_a_batch_of_the_same_instant_wins(store: Any) -> None:
    store.store([batch("a", {0: 10.0}, fetched=5)])
    store.store([batch("b", {0: 11.0}, fetched=5)])
    assert closes(store) == {0: 11.0}


def test_a_partial_bar_becomes_final_although_its_values_stay(store: Any) -> None:
    store.store([batch("a", {0: 10.0}, fetched=1, partial=[0])])
    assert store.database.read("SELECT partial FROM bars") == [(1,)]
    store.store([batch("b", {0: 10.0}, fetched=2)])
    assert store.database.read("SELECT partial, request_id FROM bars") == [(0, "b")]


def test_a_request_that_is_over_stores_nothing_again(store: Any) -> None:
    bad = Reject.of(3, "low", 9.0, "low is above high")
    assert store.store([batch("a", {0: 10.0}, rejects=(bad,))]) == [True]
    assert store.store([batch("a", {0: 99.0}, fetched=9_999, rejects=(bad,)), batch("b", {DAY_MS: 1.0})]) == [False, True]
    assert closes(store) == {0: 10.0, DAY_MS: 1.0}
    assert count(store, "rejects") == 1


def test_of_two_batches_for_one_request_in_one_call_the_first_is_stored(store: Any) -> None:
    assert store.store([batch("a", {0: 1.0}), batch("a", {0: 2.0})]) == [True, False]
    assert closes(store) == {0: 1.0}


def test_batches_of_one_call_that_overlap_see_each_other_in_order_of_their_ids(store: Any) -> None:
    together = [batch("c", {0: 3.0}, fetched=1), batch("b", {0: 2.0, 1: 2.0}, fetched=2), batch("a", {1: 1.0}, fetched=1)]
    assert store.store(together) == [True, True, True]
    assert closes(store) == {0: 2.0, 1: 2.0}


def test_pages_of_one_series_in_one_call_are_stored_whole_whatever_their_order(store: Any) -> None:
    pages = [batch(f"a/{n}", {n * 10 + i: float(n) for i in range(10)}, fetched=n + 1) for n in (3, 0, 2, 1)]
    across = batch("b", dict.fromkeys(range(5, 35), 9.0), fetched=3)
    assert store.store([*pages, across]) == [True] * 5
    expected = {n * 10 + i: float(n) for n in range(4) for i in range(10)}
    # Page 3 was fetched later than what lies across it; the others were not.
    expected |= dict.fromkeys(range(5, 30), 9.0)
    assert closes(store) == expected


def test_nothing_to_store_is_fine(store: Any) -> None:
    assert store.store([]) == []
    assert store.store([batch("a", outcome="empty")]) == [True]
    assert count(store, "bars") == 0


def test_rejects_are_kept_with_their_request_even_with_letters_no_database_holds(store: Any) -> None:
    odd = Reject.of(7, "close", "a\x00b\ud800", "close is \x00 odd", symbol="IBM")
    store.store([batch("a", {0: 1.0}, rejects=(Reject.of(2, "low", -1.0, "low is above high"), odd))])
    stored = store.database.read("SELECT request_id, provider, symbol, row, field, value, reason FROM rejects ORDER BY row")
    assert stored == [
        ("a", "polygon", "AAPL", 2, "low", "-1.0", "low is above high"),
        ("a", "polygon", "IBM", 7, "close", "a\\x00b\\ud800", "close is \\x00 odd"),
    ]


def test_an_error_in_the_middle_leaves_nothing(store: Any) -> None:
    with pytest.raises(StoreError, match="Nothing"):
        store.store([batch("a", {0: 1.0}), batch("b", {0: math.nan}, symbol="IBM")])
    assert counts(store).requests == counts(store).rows == counts(store).series == 0
    assert store.store([batch("a", {0: 1.0}), batch("b", {0: 2.0}, symbol="IBM")]) == [True, True]
    assert closes(store, "IBM") == {0: 2.0}


def test_absent_values_are_null_and_come_back_as_nan(store: Any) -> None:
    store.store([batch("a", {0: 1.0, DAY_MS: 2.0}, volume=5.0)])
    assert store.database.read("SELECT open, volume, vwap, trades FROM bars ORDER BY ts") == [(None, 5.0, None, None)] * 2
    again = read_bars(store, "polygon", "AAPL", "1d")
    assert np.isnan(again.open).all()
    assert again.volume.tolist() == [5.0, 5.0]


def test_a_value_may_become_absent_and_come_back(store: Any) -> None:
    for request_id, volume in (("a", 5.0), ("b", math.nan), ("c", 6.0)):
        store.store([batch(request_id, {0: 1.0}, fetched=ord(request_id), volume=volume)])
        wanted = None if math.isnan(volume) else volume
        assert store.database.read("SELECT volume, request_id FROM bars") == [(wanted, request_id)]


def test_rows_with_different_columns_absent_are_stored_together(store: Any) -> None:
    rng = np.random.default_rng(7)
    columns = {name: rng.random(500) + 1 for name in FLOAT_COLUMNS}
    for name in FLOAT_COLUMNS:
        if name != "close":
            columns[name][rng.random(500) < 0.4] = np.nan
    given = BarColumns.build(np.arange(500) * 60_000, partial=rng.random(500) < 0.1, **columns)
    one = batch("a", {0: 1.0})
    store.store([Batch(one.ledger, (BarSeries("polygon", "AAPL", "1m", "raw", given),))])
    again = read_bars(store, "polygon", "AAPL", "1m", adjustment="raw")
    for field in fields(BarColumns):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(given, field.name))


def test_bars_from_1871_are_kept_to_the_millisecond(store: Any) -> None:
    january_1871 = -3_124_137_600_000
    store.store([batch("a", {january_1871: 4.44, -1: 5.0, 0: 6.0, 1: 7.0})])
    assert closes(store) == {january_1871: 4.44, -1: 5.0, 0: 6.0, 1: 7.0}
    found = read_bars(store, "polygon", "AAPL", "1d", start_ms=january_1871, end_ms=0)
    assert found.ts.tolist() == [january_1871, -1]


def test_series_differ_by_each_of_their_four_words(store: Any) -> None:
    one = batch("a", {0: 1.0})
    series = one.series[0]
    others = (
        replace(series, provider="nasdaq"),
        replace(series, symbol="aapl"),
        replace(series, timespan="1w"),
        replace(series, adjustment="raw"),
    )
    store.store([Batch(one.ledger, (series, *others))])
    assert count(store, "bars") == 5
    with pytest.raises(StoreError, match="raw and split: name the adjustment"):
        read_bars(store, "polygon", "AAPL", "1d")
    assert len(read_bars(store, "polygon", "AAPL", "1d", adjustment="raw")) == 1
    assert len(read_bars(store, "polygon", "AAPL", "1d", adjustment="split_dividend")) == 0
    assert len(read_bars(store, "polygon", "MSFT", "1d")) == 0


def test_rejects_of_a_job_can_be_listed(store: Any) -> None:
    from marketfetch.storage.store import Job

    store.save_job(Job("job", "{}", 0), ["a"])
    bad = Reject.of(2, "low", 5.0, "low is above high", symbol="AAPL")
    store.store([batch("a", {0: 1.0}, rejects=(bad,)), batch("elsewhere", rejects=(bad,))])
    assert rejects(store, "job") == [("a", bad)]
    assert counts(store).rejects == 2
