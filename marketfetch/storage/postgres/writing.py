"""Writes batches into Postgres: in one transaction the ledger rows, their rejects, the series, and then their bars.

`store` locks the rows of the series it writes to, in order of their ids, so that no other writer changes their bars meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from psycopg.errors import SerializationFailure

from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.record_kinds import RecordKind, Value
from marketfetch.storage.postgres.coverage_writing import cover_batches, write_coverage
from marketfetch.storage.postgres.database import SPELLING, Db, PostgresDatabase, columns_of, executing, fetch
from marketfetch.storage.record_writing import filled, lists_of, write_records
from marketfetch.storage.series_zones import set_zones
from marketfetch.storage.statements import statements
from marketfetch.storage.stored_rows import reject_rows, request_row
from marketfetch.storage.value_columns import NotedColumns, note_columns_of_bars

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarSeries

SeriesKey = tuple[str, str, str, str]

_SQL: Final = statements("postgres/writing.sql", SPELLING)
_RECORDS: Final = statements("sql/records.sql", SPELLING)
#: A column of records as the parameter of one statement for all of them.
_ARRAYS: Final = {"text": "text[]", "day": "date[]", "number": "double precision[]", "whole": "bigint[]"}


class PostgresBatches:
    """Writes into `database`. Remembers the numbers of series as long as the session in which it found them.

    `history`: also keeps the values of final bars that a later reply corrects.
    """

    def __init__(self, database: PostgresDatabase, *, history: bool = False) -> None:
        self._database = database
        self._history = history
        self._columns = NotedColumns()
        self._session: Db | None = None
        self._series: dict[SeriesKey, int] = {}

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        new, noted, self._session, self._series = self._database.run(lambda db: self._store(db, batches))
        self._columns.keep(noted)
        return new

    def cover(self, covered: Sequence[Covered]) -> None:
        self._database.run(lambda db: write_coverage(db, covered))

    def _store(self, db: Db, batches: Sequence[Batch]) -> tuple[list[bool], list[Batch], Db, dict[SeriesKey, int]]:
        # Emptied until the commit: a rolled back transaction takes the series with it that it made.
        series, self._series = self._series if db is self._session else {}, {}
        ordered = sorted(range(len(batches)), key=lambda i: batches[i].ledger.request_id)
        ids = _enter(db, [batches[i] for i in ordered])
        new = [False] * len(batches)
        fresh: list[tuple[int, Batch]] = []
        for i in ordered:
            # `pop`, so that of two batches for one request in this call, the second finds it over.
            ledger_id = ids.pop(batches[i].ledger.request_id, None)
            if ledger_id is not None:
                new[i] = True
                fresh.append((ledger_id, batches[i]))
        _keep_rejects(db, [batch for _, batch in fresh])
        keys = sorted({key for _, batch in fresh for key, _ in _keys(batch.series)})
        if unknown := [one for one in keys if one not in series]:
            series |= _find_series(db, unknown)
        if keys:
            # loads numpy, which only bars need
            from marketfetch.storage.postgres.bar_writing import write_bars, write_section

            zones = _lock_series(db, {one: series[one] for one in keys})
            new_zones = {series[key]: zone for _, batch in fresh for key, zone in _keys(batch.series) if zone}
            if changed := {number: zone for number, zone in new_zones.items() if zones[number] != zone}:
                set_zones(executing(db), SPELLING, changed)
            sections = [(number, batch, batch.series) for number, batch in fresh if isinstance(batch.series, CrossSection)]
            several = [(number, batch) for number, batch in fresh if not isinstance(batch.series, CrossSection)]
            write_bars(
                db,
                [(series[_key(one)], number, batch, one.bars) for number, batch in several for one in batch.series],
                history=self._history,
            )
            for number, batch, section in sections:
                numbers = [series[key] for key, _ in _keys(section)]
                write_section(db, numbers, number, batch.ledger.called_at_ms, section.bars, history=self._history)
        others = self._columns.others(fresh)
        for name in lists_of((batch for _, batch in fresh), (batch for _, batch in others)):
            fetch(db, _SQL["lock_list"], f"{name.provider} {name.dataset} {name.symbol}")
        write_records(executing(db), partial(_put, db), SPELLING, fresh)
        noted = note_columns_of_bars(executing(db), SPELLING, others)
        cover_batches(db, [batch for _, batch in fresh])
        return new, noted, db, series


def _enter(db: Db, batches: Sequence[Batch]) -> dict[str, int]:
    """Writes the ledger rows that are new; their numbers by request id. Waits for another process entering the same."""
    return dict(fetch(db, _SQL["add_requests"], *columns_of([request_row(batch) for batch in batches])))


def _put(db: Db, kind: RecordKind, common: Sequence[Any], rows: Sequence[Sequence[Value]]) -> None:
    """Writes records; `common` are the values that all of them share."""
    names = ", ".join(one.name for one in kind.columns)
    arrays = ", ".join(f"?::{_ARRAYS[one.type]}" for one in kind.columns)
    source = f"FROM unnest({arrays}) AS new ({names})"
    fetch(db, filled(_RECORDS["put"], kind, picked=names, source=source, value=_RECORDS["value"]), *common, *columns_of(rows))


def _keep_rejects(db: Db, batches: Sequence[Batch]) -> None:
    rows = [row for batch in batches for row in reject_rows(batch)]
    if not rows:
        return
    now = fetch(db, "SELECT now()")[0][0]
    with db.cursor().copy(_SQL["copy_rejects"].encode()) as copy:
        for row in rows:
            copy.write_row((*row, now))


def _key(series: BarSeries) -> SeriesKey:
    return series.provider, series.symbol, series.timespan, series.adjustment


def _keys(series: Sequence[BarSeries]) -> Iterator[tuple[SeriesKey, str]]:
    """The key and the zone of each series."""
    if isinstance(series, CrossSection):
        for symbol in series.symbols:
            yield (series.provider, symbol, series.timespan, series.adjustment), series.zone
    else:
        for one in series:
            yield _key(one), one.zone


def _find_series(db: Db, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The numbers of series, by key. A series that is new gets one."""
    found = _known(db, keys)
    if absent := [one for one in keys if one not in found]:
        fetch(db, _SQL["add_series"], *columns_of(absent))
        found |= _known(db, absent)
    return found


def _known(db: Db, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    return {(a, b, c, d): number for number, a, b, c, d in fetch(db, _SQL["find_series"], *columns_of(keys))}


def _lock_series(db: Db, series: Mapping[SeriesKey, int]) -> dict[int, str | None]:
    """Blocks other writers of these series until the transaction ends. Returns the zone of each, by its number."""
    locked = fetch(db, _SQL["lock_series"], list(series.values()))
    # Also proves that a remembered number still means that series.
    if {(a, b, c, d): number for number, a, b, c, d, _ in locked} != series:
        raise SerializationFailure("a series has another number: the tables were made anew")
    return {number: zone for number, *_, zone in locked}
