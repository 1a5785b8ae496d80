"""A column that a table of values has no more: noted once, with what came with the same reply, until it comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from marketfetch.jobs.batches import decode, encode
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.record_kinds import VALUE_ROWS, Records
from marketfetch.schemas.table_columns import TableColumns
from marketfetch.storage.store import Job
from marketfetch.storage.value_columns import NotedColumns, changed_columns
from marketfetch.vendors import names, vendor
from tests.providers.test_nasdaq_values import COLUMNS, TABLE, asked, read_as, rows
from tests.storage.batches import batch
from tests.storage.test_stores_keep_records import reply


def sight(at: int, *columns: str, table: str = "ZACKS/FC", root: str = "") -> Batch:
    """A reply at Unix ms `at` with one row of a table that has these columns."""
    row = (table, json.dumps({"n": at}), None, json.dumps(dict.fromkeys(columns)))
    found = reply(at, row, kind="value_rows", symbol=f"{table}?n={at}", root=root)
    return replace(found, records=replace(found.records or Records(), columns=columns))


def changes(store: Any) -> list[tuple[Any, ...]]:
    return [(one.table, one.at_ms, one.gone, one.new) for one in changed_columns(store)]


def test_a_renamed_column_is_told_with_its_new_name_and_the_reply_that_brought_it(store: Any) -> None:
    store.store([sight(10, "ticker", "eps"), sight(20, "ticker", "eps"), sight(30, "ticker", "eps", table="ZACKS/FE")])
    assert changes(store) == []
    store.store([sight(86_400_000, "ticker", "eps_mean", root="b" * 20)])
    assert changes(store) == [("ZACKS/FC", 86_400_000, ("eps",), ("eps_mean",))]
    (change,) = changed_columns(store)
    assert change.sentence() == "polygon ZACKS/FC: the column 'eps' is gone since 1970-01-02, and 'eps_mean' is new"
    store.save_job(Job(id="a", spec="{}", created_at_ms=1), ["b" * 20])
    store.save_job(Job(id="c", spec="{}", created_at_ms=1), ["r10"])
    assert changed_columns(store, job_id="a") == [change]
    assert changed_columns(store, job_id="c") == []


def test_a_new_column_alone_is_no_change_and_one_that_comes_back_is_none_either(store: Any) -> None:
    store.store([sight(10, "a", "b"), sight(20, "a", "b", "c")])
    assert changes(store) == []
    store.store([sight(30, "a", "c")])
    assert changes(store) == [("ZACKS/FC", 30, ("b",), ())]
    store.store([sight(40, "a", "b", "c")])
    assert changes(store) == []


def test_a_late_reply_takes_no_column_away_and_brings_none_back(store: Any) -> None:
    store.store([sight(10, "a", "b")])
    store.store([sight(30, "a", "c")])
    store.store([sight(20, "a", "b", "d")])
    assert changes(store) == [("ZACKS/FC", 30, ("b", "d"), ("c",))]


def test_a_reply_that_tells_no_columns_changes_nothing(store: Any) -> None:
    store.store([sight(10, "a", "b")])
    store.store([sight(20)])
    assert changes(store) == []


def test_the_columns_travel_with_the_batch() -> None:
    assert decode(encode(sight(10, "a", "b"))).records == sight(10, "a", "b").records
    assert decode(encode(bars(10, "o", "vol"))).columns == bars(10, "o", "vol").columns
    assert decode(encode(batch("r", {1: 1.0}))).columns is None


READ = ("o", "c", "v", "vw")


def bars(at: int, *columns: str, root: str = "") -> Batch:
    """A reply of bars at Unix ms `at`, whose rows have these fields; each has `v` by the documentation."""
    found = batch(root or f"r{at}", {at: 1.0}, fetched=at)
    return replace(found, columns=TableColumns("bars of stocks", columns, READ, ("o", "c", "v")))


def test_a_renamed_column_of_bars_is_told_by_the_first_reply_of_a_job_and_no_longer_once_it_is_back(store: Any) -> None:
    store.store([bars(10, "o", "c", "v")])
    assert changes(store) == []
    store.store([bars(86_400_000, "o", "c", "vol", root="b" * 20), bars(86_400_001, "o", "c", "vol")])
    (change,) = changed_columns(store)
    assert change.sentence() == "polygon bars of stocks: the column 'v' is gone since 1970-01-02, and 'vol' is new"
    store.save_job(Job(id="a", spec="{}", created_at_ms=1), ["b" * 20])
    assert changed_columns(store, job_id="a") == [change]
    store.store([bars(86_400_002, *READ)])
    assert changes(store) == [], "what is not read is never missed"
    store.store([bars(86_400_003, "o", "c", "v")])
    assert changes(store) == [("bars of stocks", 86_400_003, ("vw",), ())]


def test_a_column_that_each_reply_has_is_missed_by_the_first_reply_already(store: Any) -> None:
    store.store([bars(20, "o", "c", "vol")])
    assert changes(store) == [("bars of stocks", 20, ("v",), ("vol",))]
    store.store([bars(10, *READ)])
    assert [one[2] for one in changes(store)] == [("v", "vw")], "a reply to an older call takes nothing back"


def test_replies_with_the_columns_noted_before_cost_no_statement_for_ten_minutes() -> None:
    now_s = 0.0
    noted = NotedColumns(lambda: now_s)
    first, second, other = bars(10, *READ), bars(20, *READ), bars(30, "o")
    assert noted.others([(1, first), (2, batch("none", {1: 1.0}))]) == [(1, first)]
    assert noted.others([(2, second), (1, first)]) == [(1, first)], "nothing is kept before the commit; the first call tells"
    noted.keep([first])
    assert noted.others([(2, second), (3, other), (4, bars(40, "o"))]) == [(3, other)]
    now_s = 601.0
    assert noted.others([(2, second)]) == [(2, second)]


@pytest.mark.parametrize(
    "provider", [one for one in names() for dataset in vendor(one).datasets if dataset.records == VALUE_ROWS.name]
)
def test_every_vendor_with_tables_tells_their_columns(provider: str) -> None:
    """A vendor that left them out would hide its renamed columns."""
    assert provider == "nasdaq", "a recorded reply of this vendor belongs here"
    row = ["AAPL", "2024-03-31", 1.5, 3, "2024-01-01T00:00:00"]
    page = read_as(asked(cursor="rows:ticker,per_end_date:", page=1), rows(row))
    assert page.records.columns == tuple(name for name, _ in COLUMNS)
    series = {"dataset_data": {"column_names": ["Date", "Value"], "data": [["2024-01-31", 1.0]]}}
    page = read_as(asked("datasets/FRED/GDP"), json.dumps(series).encode())
    assert page.records.columns == ("Date", "Value")
    part = read_as(asked("datasets/FRED/GDP?column_index=1"), json.dumps(series).encode())
    assert part.records.columns == ()
    assert TABLE.startswith("ZACKS/FC")
