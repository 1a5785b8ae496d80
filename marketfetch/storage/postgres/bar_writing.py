"""Writes bars into Postgres: reads what stands in the same spans, copies the new bars and upserts the changed ones.

Bars that are equal cost one look and no write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.ledger import Batch
from marketfetch.storage.postgres import binary
from marketfetch.storage.postgres.database import SPELLING, Db, sent
from marketfetch.storage.rows import Part, Table, new_and_changed, table, table_of_many, waves
from marketfetch.storage.statements import statements

_SQL: Final = statements("postgres/writing.sql", SPELLING)
_CORRECTIONS: Final = statements("postgres/corrections.sql", SPELLING)


def write_bars(db: Db, series: Sequence[tuple[int, int, Batch, BarColumns]], *, history: bool) -> None:
    """Writes bars that are new or differ, each given as (series id, ledger id, batch, bars). All series are locked.

    Corrections of final bars are counted in the ledger; with `history` their former values are kept.
    """
    binary.register(db.adapters)
    parts = (Part(series_id, ledger_id, batch.ledger.called_at_ms, bars) for series_id, ledger_id, batch, bars in series)
    for wave in waves(parts):
        _write(db, wave, history=history)


def _write(db: Db, parts: Sequence[Part], *, history: bool) -> None:
    """No two parts overlap in a series."""
    new: list[Part] = []
    changed: list[Part] = []
    for part, standing in zip(parts, _standing(db, parts), strict=True):
        its_new, its_changed = new_and_changed(part.bars, standing)
        new.append(part.of(its_new))
        changed.append(part.of(its_changed))
    _write_rows(db, table(new), table(changed), history=history)


def write_section(db: Db, series: Sequence[int], ledger_id: int, fetched_ms: int, bars: BarColumns, *, history: bool) -> None:
    """As `write_bars`, for the bars of a cross-section; `series` has the number of each. All are locked."""
    binary.register(db.adapters)
    numbers = np.array(series, dtype=np.int64)
    order = np.argsort(numbers)
    # The number of the series stands for the time of a bar, which all of them share: so they compare as one series does.
    ours, times = replace(bars.take(order), ts=numbers[order]), bars.ts[order]
    with db.cursor(binary=True) as cursor:
        cursor.execute(sent(_SQL["standing_of_many"]), [numbers[order].tolist(), binary.times(times)])
        (columns,) = cursor.fetchall()
    new, changed = new_and_changed(ours, binary.bars_from(columns, of_many=True))

    def rows(some: BarColumns) -> Table:
        its_times = times[np.searchsorted(ours.ts, some.ts)]
        return table_of_many(replace(some, ts=its_times), numbers=some.ts, ledger_id=ledger_id, fetched_ms=fetched_ms)

    _write_rows(db, rows(new), rows(changed), history=history)


def _write_rows(db: Db, new: Table, changed: Table, *, history: bool) -> None:
    if len(new):
        with db.cursor().copy(_SQL["copy_bars"].encode()) as copy:
            for piece in binary.copy_stream(new):
                copy.write(piece)
    if len(changed):
        values = binary.array_columns(changed)
        for statement in ("count", *(("keep",) if history else ())):
            db.execute(sent(_CORRECTIONS[statement]), values)
        # Its WHERE leaves out bars that were fetched later than these.
        db.execute(sent(_SQL["upsert"]), values)


def _standing(db: Db, parts: Sequence[Part]) -> list[BarColumns]:
    """For each part, the bars of its series in the database from its first to its last."""
    first = binary.times(np.array([part.bars.ts[0] for part in parts], dtype=np.int64))
    last = binary.times(np.array([part.bars.ts[-1] for part in parts], dtype=np.int64))
    with db.cursor(binary=True) as cursor:
        cursor.execute(sent(_SQL["standing"]), [[part.series_id for part in parts], first, last])
        result = cursor.pgresult
        if result is None:
            return []
        columns = range(len(binary.COMPARED))
        return [binary.bars_from([result.get_value(row, n) for n in columns]) for row in range(result.ntuples)]
