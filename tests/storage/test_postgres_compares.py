"""Postgres: bars are compared with what stands there, value by value, and only what differs is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns
from marketfetch.storage import open_store
from marketfetch.storage.postgres import bar_writing, binary
from marketfetch.storage.rows import Part, new_and_changed, table
from tests.storage.batches import DAY_MS, batch, closes

_value = st.floats(width=64) | st.sampled_from((0.0, -0.0, math.nan, 5e-324, 1.0, 5.0, 1e308))
_row = st.tuples(st.integers(-62_135_596_800_000, 253_402_300_799_000), st.booleans(), *[_value] * len(FLOAT_COLUMNS))
_rows = st.lists(_row, min_size=1, max_size=30, unique_by=lambda row: row[0]).map(sorted)


def columns(rows: list[Any]) -> BarColumns:
    ts, partial, *values = zip(*rows, strict=True)
    floats = {name: np.array(column, dtype=np.float64) for name, column in zip(FLOAT_COLUMNS, values, strict=True)}
    return BarColumns.build(np.array(ts, dtype=np.int64), partial=np.array(partial, dtype=np.bool_), **floats)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Any]:
    opened = open_store(postgres_url)
    opened.create()
    yield opened
    opened.close()


@pytest.fixture
def db(store: Any, postgres_url: str) -> Iterator[Any]:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("ALTER TABLE bar_rows ALTER close DROP NOT NULL")
        binary.register(db.adapters)
        yield db


def read_back(db: Any, bars: BarColumns) -> BarColumns:
    """The same bars, from the server."""
    part = Part(1, 1, 1, bars)
    db.execute("TRUNCATE bar_rows")
    with db.cursor().copy(f"COPY bar_rows ({', '.join(binary.COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy:
        for piece in binary.copy_stream(table([part])):
            copy.write(piece)
    (standing,) = bar_writing._standing(db, [part])
    return standing


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_rows)
@example(rows=[(0, False, *[0.0] * 7)])
@example(rows=[(1, True, *[math.nan] * 7), (2, False, *[-0.0] * 7), (1_234_567_890_123, True, 1, 2, 3, 4, 0, 0, 7)])
def test_the_same_bars_are_neither_new_nor_changed(db, rows):
    bars = columns(rows)
    new, changed = new_and_changed(bars, read_back(db, bars))
    assert (len(new), len(changed)) == (0, 0)


@settings(deadline=None)
@given(rows=_rows, data=st.data())
def test_whatever_differs_is_new_or_changed(rows, data):
    bars = columns(rows)
    at, name = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from(("ts", "partial", *FLOAT_COLUMNS)))
    changed = getattr(bars, name).copy()
    changed[at] = not changed[at] if name == "partial" else changed[at] + 1
    if np.array_equal(changed, getattr(bars, name), equal_nan=name in FLOAT_COLUMNS):
        return  # a number so large, or none, that adding one changes nothing
    if name == "ts" and np.any(changed[1:] <= changed[:-1]):
        return  # two bars of one moment
    assert sum(len(some) for some in new_and_changed(replace(bars, **{name: changed}), bars)) == 1


@pytest.mark.parametrize("left", range(7))
@pytest.mark.parametrize("right", range(7))
def test_a_value_in_another_column_or_row_differs(left, right):
    one, two = [0.0] * 7, [0.0] * 7
    one[left], two[right] = 5.0, 5.0
    a, b = (columns([(1, False, *first), (2, False, *second)]) for first, second in ((one, two), (two, one)))
    new, changed = new_and_changed(a, b)
    assert (len(new), len(changed)) == (0, 0 if left == right else 2)


def test_equal_bars_are_not_written_and_a_bar_changed_by_hand_is_mended(store, postgres_url, monkeypatch):
    wanted = {day * DAY_MS: 10.0 + day for day in range(5)}
    store.store([batch("a", wanted, fetched=1)])
    written: list[int] = []
    as_it_was = table

    def counted(parts: Any) -> Any:
        rows = as_it_was(parts)
        written.append(len(rows))
        return rows

    monkeypatch.setattr(bar_writing, "table", counted)
    store.store([batch("b", wanted, fetched=2)])
    assert written == [0, 0]
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("UPDATE bar_rows SET close = close + 1 WHERE ts = to_timestamp(86400)")
    store.store([batch("c", wanted, fetched=3)])
    assert written == [0, 0, 0, 1]
    assert closes(store) == wanted


def test_a_server_too_old_is_refused_with_what_to_do(postgres_url, monkeypatch):
    monkeypatch.setattr("marketfetch.storage.postgres.database._OLDEST", 990_000)
    with pytest.raises(Exception, match=r"is Postgres \d+, and 99 or newer is needed: upgrade it"):
        open_store(postgres_url).create()
