"""Rows of one time in one reply: identical ones are one bar, of versions the later counts, others contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, Ints

#: A vendor gives the current week or month as of today beside the former one; more versions than that are no versions.
_PERIODS_PER_VERSION = 4


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """Positions of bars. `dropped`: another row stands for each of them, `identical` and `earlier` count why.

    `different` has, by the first column that differs, the rows that contradict another one, and that other row. `shorter` has
    rows of a period that has too many of them.
    """

    dropped: Ints
    identical: int = 0
    earlier: int = 0
    different: Mapping[str, tuple[Ints, Ints]] = field(default_factory=lambda: MappingProxyType({}))
    shorter: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def find_twins(bars: BarColumns, good: Ints, *, moments: Ints | None, numbers: Ints, open_from_ms: int | None) -> Twins:
    """Compares the `good` bars, positions in ascending order of `ts`, that have one time.

    Two rows with different `moments` describe one period as of different days, and two rows from `open_from_ms` on a period
    that is not over: these are versions, and the later in the reply is kept. Where every other period has several days, the
    rows are of a shorter timespan, and no day is the bar of its week or month.
    """
    ts = bars.ts[good]
    equal = ts[1:] == ts[:-1]
    group = np.concatenate(([False], equal)) | np.concatenate((equal, [False]))
    some = good[group] if len(good) else good
    if not len(some):
        return Twins(some)
    values = [getattr(bars, name)[some] for name in FLOAT_COLUMNS]
    moment = bars.ts[some] if moments is None else moments[some]
    # By time, then by moment and values, so that identical rows stand side by side; of these the first in the reply is kept.
    order = np.lexsort((numbers[some], *reversed(values), moment, bars.ts[some]))
    some, moment = some[order], moment[order]
    same = (bars.ts[some][1:] == bars.ts[some][:-1]) & (moment[1:] == moment[:-1])
    for column in values:
        left, right = column[order][1:], column[order][:-1]
        same &= (left == right) | (np.isnan(left) & np.isnan(right))
    again = np.concatenate(([False], same))
    distinct, identical = some[~again], some[again]
    found = _versions(bars, distinct, identical, moment=moment[~again], numbers=numbers, open_from_ms=open_from_ms)
    # Periods with several days, by the days themselves: two rows of a bar that is not over have one.
    days, starts = moment[~again], bars.ts[distinct]
    another_day = (starts[1:] == starts[:-1]) & (days[1:] != days[:-1])
    periods = int(np.count_nonzero(~equal)) + 1
    if np.count_nonzero(another_day) <= 1 + periods // _PERIODS_PER_VERSION:
        return found
    several = distinct[np.isin(starts, starts[1:][another_day])]
    return Twins(identical, identical=len(identical), shorter=several)


def _versions(
    bars: BarColumns, distinct: Ints, identical: Ints, *, moment: Ints, numbers: Ints, open_from_ms: int | None
) -> Twins:
    """Decides about rows of one time that are not identical. `distinct` is ascending by time, then by moment."""
    ts = bars.ts[distinct]
    starts = np.flatnonzero(np.concatenate(([True], ts[1:] != ts[:-1])))
    ends = np.append(starts[1:], len(ts))
    earlier: list[int] = []
    different: dict[str, tuple[list[int], list[int]]] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start == 1:
            continue
        rivals = distinct[start:end]
        latest = moment[start:end] == moment[end - 1]
        if open_from_ms is not None and ts[start] >= open_from_ms:
            # The later row of the reply is the later version.
            last = rivals[latest][np.argmax(numbers[rivals[latest]])]
            earlier += [int(one) for one in rivals if one != last]
            continue
        earlier += rivals[~latest].tolist()
        rivals = rivals[latest]
        if len(rivals) > 1:
            rows, others = different.setdefault(_first_difference(bars, rivals), ([], []))
            rows += rivals.tolist()
            others += [int(rivals[0])] * len(rivals)
            others[-len(rivals)] = int(rivals[1])
    return Twins(
        dropped=np.concatenate((identical, np.array(earlier, dtype=np.int64))),
        identical=len(identical),
        earlier=len(earlier),
        different={name: (np.array(rows), np.array(others)) for name, (rows, others) in different.items()},
    )


def _first_difference(bars: BarColumns, rivals: Ints) -> str:
    """The first column, close first, in which the rows differ."""
    for name in ("close", *FLOAT_COLUMNS):
        column = getattr(bars, name)[rivals]
        if not (np.all(column == column[0]) or np.all(np.isnan(column))):
            return name
    return "close"
