"""Rows read back: bars as columns, and how much there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns
from marketfetch.schemas.page import Reject
from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.storage.questions import Questions
from marketfetch.storage.store import Store, StoreError

#: Before and after all that both databases can name.
_EARLIEST_MS = -62_135_596_800_000
_LATEST_MS = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows stand in each table."""

    rows: int
    series: int
    requests: int
    rejects: int
    jobs: int


def bars(
    store: Store,
    provider: str,
    symbol: str,
    timespan: Timespan,
    *,
    adjustment: Adjustment | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> BarColumns:
    """The stored bars of one series by time, `start_ms` inclusive, `end_ms` exclusive. Empty if there are none.

    `adjustment` None takes the one that is stored. Raises StoreError where several are, and what the store raises.
    """
    ask = _questions(store)
    found = ask.read(
        "SELECT adjustment FROM series WHERE provider = ? AND symbol = ? AND timespan = ? ORDER BY adjustment",
        *(provider, symbol, timespan),
    )
    stored = [row[0] for row in found]
    if adjustment is None and len(stored) > 1:
        raise StoreError(f"{provider} {symbol} {timespan} is stored as {' and '.join(stored)}: name the adjustment you want")
    if not stored or (adjustment or stored[0]) not in stored:
        return BarColumns.empty()
    columns = ", ".join(FLOAT_COLUMNS)
    rows = ask.read(
        f"SELECT {ask.ms('ts')}, partial, {columns} FROM bars WHERE provider = ? AND symbol = ? AND timespan = ?"  # noqa: S608
        f" AND adjustment = ? AND ts >= {ask.time()} AND ts < {ask.time()} ORDER BY ts",
        *(provider, symbol, timespan, adjustment or stored[0]),
        _EARLIEST_MS if start_ms is None else start_ms,
        _LATEST_MS if end_ms is None else end_ms,
    )
    if not rows:
        return BarColumns.empty()
    ts, partial, *floats = zip(*rows, strict=True)
    values = {name: np.array(column, dtype=np.float64) for name, column in zip(FLOAT_COLUMNS, floats, strict=True)}
    return BarColumns.build(np.array(ts, dtype=np.int64), partial=np.array(partial, dtype=np.bool_), **values)


def rejects(store: Store, job_id: str, *, limit: int = 100) -> list[tuple[str, Reject]]:
    """The rejects of a job with their request's id, by request and row."""
    sql = """
        SELECT r.request_id, r.row, r.field, r.value, r.reason, r.symbol
        FROM job_requests j JOIN ledger l ON l.root = j.root JOIN rejects r ON r.request_id = l.request_id
        WHERE j.job_id = ? ORDER BY r.request_id, r.row, r.id LIMIT ?"""
    return [(request_id, Reject(*values)) for request_id, *values in _questions(store).read(sql, job_id, limit)]


def counts(store: Store) -> Counts:
    """Reads every table once."""
    row = _questions(store).read(
        "SELECT (SELECT count(*) FROM bar_rows), (SELECT count(*) FROM series), (SELECT count(*) FROM ledger),"
        " (SELECT count(*) FROM rejects), (SELECT count(*) FROM jobs)"
    )[0]
    return Counts(*(int(number) for number in row))


def _questions(store: Store) -> Questions:
    if not isinstance(store, Questions):
        raise TypeError(f"{type(store).__name__} can't be asked in SQL")
    return store
