"""Writes batches into SQLite: in one transaction, for each batch its ledger row, its rejects and its bars."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from string import Template
from typing import TYPE_CHECKING, Any, Final

from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.record_kinds import RecordKind, Value
from marketfetch.storage.coverage_rows import changes, covered_of, row_of, spans
from marketfetch.storage.record_writing import filled, write_records
from marketfetch.storage.series_zones import set_zones
from marketfetch.storage.sqlite.database import SPELLING, SqliteDatabase, executing
from marketfetch.storage.statements import statements
from marketfetch.storage.stored_rows import reject_rows, request_row

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarSeries

_SQL: Final = statements("sqlite/writing.sql", SPELLING)
_CORRECTIONS: Final = statements("sqlite/corrections.sql", SPELLING)
_RECORDS: Final = statements("sql/records.sql", SPELLING)
_ROW, _UPSERT = Template(_SQL["row"]), Template(_SQL["upsert"])

#: Rows per statement: to begin and to end one for each row costs a quarter more. Every SQLite takes 900 values.
_ROWS_AT_ONCE: Final = 100


class SqliteBatches:
    """Writes into `database`. `history`: also keeps the values of final bars that a later reply corrects."""

    def __init__(self, database: SqliteDatabase, *, history: bool = False) -> None:
        self._database = database
        self._triggers = [_CORRECTIONS["count"], *([_CORRECTIONS["keep"]] if history else [])]

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        now_ms = self._database.now_ms()
        new = [False] * len(batches)
        with self._database.transaction() as db:
            for trigger in self._triggers:
                db.execute(trigger)  # once a connection
            for i in sorted(range(len(batches)), key=lambda i: batches[i].ledger.request_id):
                ledger_id = _enter(db, batches[i], now_ms)
                if ledger_id is not None:
                    new[i] = True
                    for one in batches[i].series:
                        _upsert(db, one, ledger_id, batches[i].ledger.called_at_ms)
                    write_records(executing(db), partial(_put, db), SPELLING, [(ledger_id, batches[i])])
            _cover(db, [batch for batch, is_new in zip(batches, new, strict=True) if is_new])
        return new


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


def _upsert(db: sqlite3.Connection, series: BarSeries, ledger_id: int, fetched_ms: int) -> None:
    bars = series.bars
    constant = {"series": _series_id(db, series), "fetched": int(fetched_ms), "ledger": int(ledger_id)}
    row = _ROW.substitute(constant)

    def upsert(rows: int) -> str:
        return _UPSERT.substitute(constant, rows=", ".join([row] * rows))

    columns = (bars.ts, *(getattr(bars, name) for name in FLOAT_COLUMNS), bars.partial)
    wide, values = len(columns), [None] * (len(bars) * len(columns))
    for place, column in enumerate(columns):
        # SQLite stores NaN as NULL by itself: https://www.sqlite.org/c3ref/bind_blob.html
        values[place::wide] = column.tolist()
    step = _ROWS_AT_ONCE * wide
    rest = len(values) % step
    whole = len(values) - rest
    if whole:
        db.executemany(upsert(_ROWS_AT_ONCE), (values[start : start + step] for start in range(0, whole, step)))
    if rest:
        db.execute(upsert(rest // wide), values[whole:])


def _cover(db: sqlite3.Connection, batches: Sequence[Batch]) -> None:
    """Writes what the batches cover, whose ledger rows are written."""
    wanted = spans(batches, lambda root: db.execute(_SQL["pages"], (root,)).fetchall())
    standing = {
        one.series: [
            covered_of(row)
            for row in db.execute(_SQL["coverage"], (*one.series, one.last_day.isoformat(), one.first_day.isoformat()))
        ]
        for one in wanted
    }
    gone, put = changes(wanted, standing)
    if gone:
        db.executemany(_SQL["uncover"], [(*series, first.isoformat()) for series, first in gone])
    db.executemany(_SQL["cover"], map(row_of, put))


def _series_id(db: sqlite3.Connection, series: BarSeries) -> int:
    key = (series.provider, series.symbol, series.timespan, series.adjustment)
    found: tuple[int, str | None] | None = db.execute(_SQL["find_series"], key).fetchone()
    number, zone = found or (db.execute(_SQL["add_series"], key).lastrowid or 0, None)
    if series.zone and series.zone != zone:
        set_zones(executing(db), SPELLING, {number: series.zone})
    return number
