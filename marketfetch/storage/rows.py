"""The bars of several batches as one numpy table, and which of them differ from the bars in a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, Flags, Ints

Table = NDArray[Any]

#: One row of `bar_rows`, in the order of its columns; times in Unix ms, NaN for absent.
ROW: Final = np.dtype(
    [("ts", "i8"), ("fetched_at", "i8"), ("ledger_id", "i8")]
    + [(name, "f8") for name in FLOAT_COLUMNS]
    + [("series_id", "i4"), ("partial", "?")]
)

#: What two bars are compared by.
VALUE_COLUMNS: Final = (*FLOAT_COLUMNS, "partial")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The bars of one series from one batch."""

    series_id: int
    ledger_id: int
    fetched_ms: int
    bars: BarColumns

    def of(self, bars: BarColumns) -> Part:
        """The same part with only these bars."""
        return replace(self, bars=bars)


def waves(parts: Iterable[Part]) -> list[list[Part]]:
    """Splits parts so that no two of a wave overlap; written one after the other, later parts see earlier ones.

    Pages of one series follow one another in time, so they are one wave: a few round trips for all of them.
    """
    split: list[list[Part]] = []
    before: dict[int, list[tuple[int, int, int]]] = {}
    for part in parts:
        if not len(part.bars):
            continue
        first, last = int(part.bars.ts[0]), int(part.bars.ts[-1])
        its = before.setdefault(part.series_id, [])
        turn = 1 + max((wave for wave, start, end in its if start <= last and first <= end), default=-1)
        its.append((turn, first, last))
        if turn == len(split):
            split.append([])
        split[turn].append(part)
    return split


def table(parts: Sequence[Part]) -> Table:
    """All bars of `parts` below one another, by series and time."""
    rows = np.empty(sum(len(part.bars) for part in parts), dtype=ROW)
    start = 0
    for part in sorted((part for part in parts if len(part.bars)), key=lambda part: (part.series_id, int(part.bars.ts[0]))):
        here = rows[start : start + len(part.bars)]
        here["series_id"], here["ledger_id"], here["fetched_at"] = part.series_id, part.ledger_id, part.fetched_ms
        for name in ("ts", *VALUE_COLUMNS):
            here[name] = getattr(part.bars, name)
        start += len(part.bars)
    return rows


def table_of_many(bars: BarColumns, *, numbers: Ints, ledger_id: int, fetched_ms: int) -> Table:
    """Bars as a table, each of the series of its number."""
    rows = np.empty(len(bars), dtype=ROW)
    rows["series_id"], rows["ledger_id"], rows["fetched_at"] = numbers, ledger_id, fetched_ms
    for name in ("ts", *VALUE_COLUMNS):
        rows[name] = getattr(bars, name)
    return rows


def new_and_changed(ours: BarColumns, standing: BarColumns) -> tuple[BarColumns, BarColumns]:
    """Those of our bars that `standing` lacks, and those that differ from it. Both are of one series, by time."""
    nothing = BarColumns.empty()
    if not len(standing):
        return ours, nothing
    if np.array_equal(ours.ts, standing.ts):
        return nothing, _differing(ours, standing)
    place = np.minimum(np.searchsorted(standing.ts, ours.ts), len(standing) - 1)
    known = standing.ts[place] == ours.ts
    return ours.take(~known), _differing(ours.take(known), standing.take(place[known]))


def _differing(ours: BarColumns, standing: BarColumns) -> BarColumns:
    differs: Flags = ours.partial != standing.partial
    for name in FLOAT_COLUMNS:
        a, b = getattr(ours, name), getattr(standing, name)
        unequal = a != b
        if unequal.any():
            differs |= unequal & ~(np.isnan(a) & np.isnan(b))
    return ours.take(differs) if differs.any() else BarColumns.empty()
