"""Writes batches into SQLite: in one transaction, for each batch its ledger row, its rejects and its bars."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import partial
from string import Template
from typing import TYPE_CHECKING, Any, Final

from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.record_kinds import RecordKind, Value
from marketfetch.storage.action_knowledge import turns_of
from marketfetch.storage.coverage_rows import changes, covered_now, covered_of, row_of, spans
from marketfetch.storage.record_writing import filled, write_records
from marketfetch.storage.series_zones import set_zones
from marketfetch.storage.sqlite.database import SPELLING, SqliteDatabase, executing
from marketfetch.storage.statements import statements
from marketfetch.storage.stored_rows import reject_rows, request_row
from marketfetch.storage.value_columns import NotedColumns, note_columns_of_bars

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarColumns, BarSeries

_SQL: Final = statements("sqlite/writing.sql", SPELLING)
_CORRECTIONS: Final = statements("sqlite/corrections.sql", SPELLING)
_RECORDS: Final = statements("sql/records.sql", SPELLING)
_ROW, _UPSERT = Template(_SQL["row"]), Template(_SQL["upsert"])

#: Rows per statement: one each costs 1.8 times the CPU, and with more of them values leave the processor's cache.
_ROWS_AT_ONCE: Final = 40


class SqliteBatches:
    """Writes into `database`. `history`: also keeps the values of final bars that a later reply corrects."""

    def __init__(self, database: SqliteDatabase, *, history: bool = False) -> None:
        self._database = database
        self._columns = NotedColumns()
        self._triggers = [_CORRECTIONS["count"], *([_CORRECTIONS["keep"]] if history else [])]

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        now_ms = self._database.now_ms()
        new = [False] * len(batches)
        entered: list[tuple[int, Batch]] = []
        with self._database.transaction() as db:
            for trigger in self._triggers:
                db.execute(trigger)  # once a connection
            for i in sorted(range(len(batches)), key=lambda i: batches[i].ledger.request_id):
                ledger_id = _enter(db, batches[i], now_ms)
                if ledger_id is not None:
                    new[i] = True
                    entered.append((ledger_id, batches[i]))
                    _write_series(db, batches[i].series, ledger_id, batches[i].ledger.called_at_ms)
                    write_records(executing(db), partial(_put, db), SPELLING, [(ledger_id, batches[i])])
            noted = note_columns_of_bars(executing(db), SPELLING, self._columns.others(entered))
            fresh = [batch for batch, is_new in zip(batches, new, strict=True) if is_new]
            _cover(db, covered_now(fresh, lambda root: db.execute(_SQL["pages"], (root,)).fetchall()))
        self._columns.keep(noted)
        return new

    def cover(self, covered: Sequence[Covered]) -> None:
        with self._database.transaction() as db:
            _cover(db, covered)


def _enter(db: sqlite3.Connection, batch: Batch, now_ms: int) -> int | None:
    """Writes the ledger row and the rejects. Returns the row's number, None if the request was over before."""
    *row, called_at_ms, next_cursor = request_row(batch)
    entered = db.execute(_SQL["add_request"], (*row, called_at_ms or None, next_cursor, now_ms))
    if not entered.rowcount:
        return None
    db.executemany(_SQL["add_reject"], ((*bad, now_ms) for bad in reject_rows(batch)))
    return entered.lastrowid


def _put(db: sqlite3.Connection, kind: RecordKind, common: Sequence[Any], rows: Sequence[Sequence[Value]]) -> None:
    """Writes records; `common` are the values that all of them share."""
    marks = ", ".join("?" * len(kind.columns))
    sql = filled(_RECORDS["put"], kind, picked=marks, source="", value=_RECORDS["value"])
    db.executemany(sql, ((*common, *row) for row in rows))


def _write_series(db: sqlite3.Connection, series: Sequence[BarSeries], ledger_id: int, fetched_ms: int) -> None:
    if isinstance(series, CrossSection):
        _upsert(db, series.bars, series=_section_ids(db, series), ledger_id=ledger_id, fetched_ms=fetched_ms)
        return
    for one in series:
        _upsert(db, one.bars, series=_series_id(db, one), ledger_id=ledger_id, fetched_ms=fetched_ms)


def _upsert(db: sqlite3.Connection, bars: BarColumns, *, series: int | list[int], ledger_id: int, fetched_ms: int) -> None:
    """Writes bars. `series` is the number of their series, or the number of each.

    All values are floats, since numpy makes a list of those at once, and Python's sqlite3 binds a bool in several times the
    time. The table's columns make whole numbers of times and flags again, exact below 2**53.
    """
    import numpy as np

    columns = [bars.ts, *(getattr(bars, name) for name in FLOAT_COLUMNS)]
    shared = {"series": "?", "fetched": str(int(fetched_ms)), "ledger": str(int(ledger_id)), "partial": "0"}
    if bars.partial.any():
        columns.append(bars.partial)
        shared["partial"] = "?"
    if isinstance(series, list):
        columns.insert(0, np.array(series))
    else:
        shared["series"] = str(series)
    row = _ROW.substitute(shared)

    def upsert(rows: int) -> str:
        return _UPSERT.substitute(shared, rows=", ".join([row] * rows))

    # SQLite stores NaN as NULL by itself: https://www.sqlite.org/c3ref/bind_blob.html
    values = np.column_stack(columns)
    rest = len(values) % _ROWS_AT_ONCE
    whole = values[: len(values) - rest].reshape(-1, _ROWS_AT_ONCE * len(columns))
    if len(whole):
        db.executemany(upsert(_ROWS_AT_ONCE), map(np.ndarray.tolist, whole))
    if rest:
        db.execute(upsert(rest), values[-rest:].ravel().tolist())


def _cover(db: sqlite3.Connection, covered: Sequence[Covered]) -> None:
    wanted = spans(covered)
    near = {
        one.series: db.execute(_SQL["coverage"], (*one.series, one.last_day.isoformat(), one.first_day.isoformat())).fetchall()
        for one in wanted
    }
    standing = {series: list(map(covered_of, rows)) for series, rows in near.items()}
    no_actions = any(not row[-1] for rows in near.values() for row in rows)
    known = [one for rows in standing.values() for one in rows]
    turns = {} if no_actions else turns_of(covered, known, executing(db), SPELLING, json.dumps)
    gone, put = changes(wanted, standing, turns)
    if gone:
        db.executemany(_SQL["uncover"], [(*series, first.isoformat()) for series, first in gone])
    db.executemany(_SQL["cover"], map(row_of, put))


def _section_ids(db: sqlite3.Connection, section: CrossSection) -> list[int]:
    """The number of the series of each symbol; those that are new get one."""
    shared, symbols = (section.provider, section.timespan, section.adjustment), json.dumps(section.symbols)
    asked = (symbols, section.provider, section.timespan, section.adjustment)
    found: list[tuple[int | None, str | None]] = db.execute(_SQL["find_many_series"], asked).fetchall()
    if any(number is None for number, _ in found):
        db.execute(_SQL["add_many_series"], (*shared, symbols))
        found = db.execute(_SQL["find_many_series"], asked).fetchall()
    numbers = [number for number, _ in found if number is not None]
    if section.zone and (new := {number: section.zone for number, zone in found if number and zone != section.zone}):
        set_zones(executing(db), SPELLING, new)
    return numbers


def _series_id(db: sqlite3.Connection, series: BarSeries) -> int:
    key = (series.provider, series.symbol, series.timespan, series.adjustment)
    found: tuple[int, str | None] | None = db.execute(_SQL["find_series"], key).fetchone()
    number, zone = found or (db.execute(_SQL["add_series"], key).lastrowid or 0, None)
    if series.zone and series.zone != zone:
        set_zones(executing(db), SPELLING, {number: series.zone})
    return number
