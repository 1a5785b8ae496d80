"""Rows read back: bars as columns, rejects, and how much there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.schemas.page import Reject
from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store
from marketfetch.storage.store_errors import StoreError

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarColumns

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
    """The stored bars of one series by time, `start_ms` inclusive, `end_ms` exclusive (Unix ms). Empty if there are none.

    `adjustment` None takes the one that is stored. Raises StoreError where several are, and the store's own errors.
    """
    from marketfetch.schemas.bars import BarColumns  # only a process that reads bars needs numpy

    found = _read(store, "adjustments", provider, symbol, timespan)
    stored = [row[0] for row in found]
    if adjustment is None and len(stored) > 1:
        raise StoreError(f"{provider} {symbol} {timespan} is stored as {' and '.join(stored)}: name the adjustment you want")
    if not stored or (adjustment or stored[0]) not in stored:
        return BarColumns.empty()
    span = _span(start_ms, end_ms)
    return _columns(_read(store, "bars", provider, symbol, timespan, adjustment or stored[0], *span))


def last_bars(
    store: Store,
    provider: str,
    symbol: str,
    timespan: str,
    adjustment: str,
    limit: int,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> BarColumns:
    """The latest `limit` bars of one series, by time; of the range as in `bars`. Raises the store's errors."""
    of_series, span = (provider, symbol, timespan, adjustment), _span(start_ms, end_ms)
    return _columns(_read(store, "last_bars", *of_series, *span, limit)[::-1])


def first_bars(
    store: Store,
    provider: str,
    symbol: str,
    timespan: str,
    adjustment: str,
    limit: int,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> BarColumns:
    """The first `limit` bars of one series in the range, by time. Raises the store's errors."""
    of_series, span = (provider, symbol, timespan, adjustment), _span(start_ms, end_ms)
    return _columns(_read(store, "first_bars", *of_series, *span, limit))


def _span(start_ms: int | None, end_ms: int | None) -> tuple[int, int]:
    return _EARLIEST_MS if start_ms is None else start_ms, _LATEST_MS if end_ms is None else end_ms


def _columns(rows: list[tuple[Any, ...]]) -> BarColumns:
    import numpy as np

    from marketfetch.schemas.bars import BarColumns

    if not rows:
        return BarColumns.empty()
    ts, partial, *floats = zip(*rows, strict=True)
    values = {name: np.array(column, dtype=np.float64) for name, column in zip(FLOAT_COLUMNS, floats, strict=True)}
    return BarColumns.build(np.array(ts, dtype=np.int64), partial=np.array(partial, dtype=np.bool_), **values)


def rejects(store: Store, job_id: str, *, limit: int = 100) -> list[tuple[str, Reject]]:
    """The rejects of a job with their request's id, by request and row."""
    return [(request_id, Reject(*values)) for request_id, *values in _read(store, "rejects", job_id, limit)]


def counts(store: Store) -> Counts:
    """Reads every table once."""
    return Counts(*(int(number) for number in _read(store, "counts")[0]))


def _read(store: Store, statement: str, *values: object) -> list[tuple[Any, ...]]:
    database = store.database
    return database.read(statements("sql/reading_back.sql", database.spelling)[statement], *values)
