"""The bars of several batches as one numpy table, and what of it differs from what a database holds already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.bars import FLOAT_COLUMNS, BarColumns, Flags, Ints
from storage.tables import VALUE_COLUMNS

Table = NDArray[Any]

#: One row of `bar_rows`, in the order of its columns; times in Unix ms, NaN for absent.
ROW: Final = np.dtype(
    [("ts", "i8"), ("fetched_at", "i8"), ("ledger_id", "i8")]
    + [(name, "f8") for name in FLOAT_COLUMNS]
    + [("series_id", "i4"), ("partial", "?")]
)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The bars of one series from one batch."""

    series_id: int
    ledger_id: int
    fetched_ms: int
    bars: BarColumns


def waves(parts: Iterable[Part]) -> list[list[Part]]:
    """Splits parts so that no series stands twice in a wave; written one after the other, later parts see earlier ones."""
    split: list[list[Part]] = []
    seen: dict[int, int] = {}
    for part in parts:
        if not len(part.bars):
            continue
        turn = seen.get(part.series_id, 0)
        seen[part.series_id] = turn + 1
        if turn == len(split):
            split.append([])
        split[turn].append(part)
    return split


def table(parts: Sequence[Part]) -> Table:
    """All bars of `parts` below one another, by series and time."""
    rows = np.empty(sum(len(part.bars) for part in parts), dtype=ROW)
    start = 0
    for part in sorted(parts, key=lambda part: part.series_id):
        here = rows[start : start + len(part.bars)]
        here["series_id"], here["ledger_id"], here["fetched_at"] = part.series_id, part.ledger_id, part.fetched_ms
        for name in ("ts", *VALUE_COLUMNS):
            here[name] = getattr(part.bars, name)
        start += len(part.bars)
    return rows


def new_and_changed(rows: Table, standing: Table) -> tuple[Table, Table]:
    """Those of `rows` that `standing` lacks, and those that differ from it and were fetched no earlier."""
    if not len(standing):
        return rows, rows[:0]
    ours, theirs = _same_keys(rows, standing)
    is_new = np.ones(len(rows), dtype=np.bool_)
    is_new[ours] = False
    mine, old = rows[ours], standing[theirs]
    differs: Flags = mine["partial"] != old["partial"]
    for name in FLOAT_COLUMNS:
        a, b = mine[name], old[name]
        differs |= (a != b) & ~(np.isnan(a) & np.isnan(b))
    return rows[is_new], mine[differs & (old["fetched_at"] <= mine["fetched_at"])]


def _same_keys(rows: Table, standing: Table) -> tuple[Ints, Ints]:
    """The positions in both tables of the keys (series, time) that stand in both."""
    series = np.concatenate((standing["series_id"], rows["series_id"]))
    ts = np.concatenate((standing["ts"], rows["ts"]))
    order = np.lexsort((ts, series))  # stable: of two equal keys, the standing one comes first
    series, ts = series[order], ts[order]
    twice = (series[1:] == series[:-1]) & (ts[1:] == ts[:-1])
    return order[1:][twice] - len(standing), order[:-1][twice]
