"""Which ranges to ask for, so that some missing intervals cost the fewest calls: pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from marketfetch.schemas.coverage import Days

#: So many intervals before one are looked at to be asked for together with it: what lies further back is a call of its own.
_LOOKED_BACK: Final = 30


def fewest(missing: Sequence[Days], cost: Callable[[Days], int]) -> list[Days]:
    """Returns ranges that have all the intervals, in order: those of the fewest calls, and of these the fewest days.

    `missing`: in order, without overlaps. `cost` is the number of calls that a range takes; it is called for ranges from the
    begin of one interval to the end of another.
    """
    #: Per number of intervals, from the first on: calls, days, and how many of them come before the last range.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for n in range(1, len(missing) + 1):
        best.append(
            min(
                (best[k][0] + cost(span), best[k][1] + span.last - span.first + 1, k)
                for k in range(max(0, n - _LOOKED_BACK), n)
                for span in [Days(missing[k].first, missing[n - 1].last)]
            )
        )
    found: list[Days] = []
    n = len(missing)
    while n:
        k = best[n][2]
        found.append(Days(missing[k].first, missing[n - 1].last))
        n = k
    return found[::-1]


def widened(ranges: Sequence[Days], firsts: Sequence[int], cost: Callable[[Days], int]) -> list[Days]:
    """Returns the ranges with the last one beginning at the earliest of `firsts` (ascending) that costs no further call.

    Ranges that it then reaches become one with it. Unchanged where the last one ends before all of `firsts`.
    """
    if not ranges:
        return []
    last = ranges[-1]
    before = sum(cost(one) for one in ranges)
    for first in firsts:
        if last.last < first or last.first <= first:
            continue
        kept = [one for one in ranges[:-1] if one.last < first - 1]
        begin = min([first, *(one.first for one in ranges[len(kept) :])])
        found = [*kept, Days(begin, last.last)]
        if sum(cost(one) for one in found) <= before:
            return found
    return list(ranges)
