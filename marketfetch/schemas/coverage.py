"""What replies have covered of a series: intervals of days, and how they are merged, united and subtracted. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple

#: Stands for every symbol of a vendor: the symbol of a reply with the whole market.
EVERY_SYMBOL: Final = "*"


@dataclass(frozen=True, slots=True)
class Covered:
    """Days of one series that replies have covered, empty replies too; both ends inclusive, in the zone of the exchange.

    `dataset`, `timespan` and `adjustment` are those of the request, `symbol` is the request's own spelling or EVERY_SYMBOL.
    `final_to` is the last of the days whose bars can't change any more, None if there is none.
    `fetched_at_ms` (Unix ms): each of the days was asked for then or later.
    """

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str
    first_day: date
    last_day: date
    final_to: date | None
    fetched_at_ms: int

    @property
    def series(self) -> tuple[str, str, str, str, str]:
        """What the days are days of: provider, dataset, symbol, timespan, adjustment."""
        return self.provider, self.dataset, self.symbol, self.timespan, self.adjustment


class Days(NamedTuple):
    """An interval of days as proleptic ordinals (`date.toordinal`), both ends inclusive."""

    first: int
    last: int


class _Piece(NamedTuple):
    first: int
    last: int
    final: bool
    at_ms: int


def merged(standing: Sequence[Covered], new: Covered, *, turns: Sequence[int] = ()) -> list[Covered]:
    """Returns the intervals of a series with one more, in order; no two overlap.

    Final days stay final, and a day's `fetched_at_ms` only grows. Final neighbours become one interval with the earlier of
    their times, unless one of `turns` (Unix ms, ascending) lies between the two: then replies of the one time and of the other
    differ, and which days are of the later one must not be lost. Days that are not final keep their own time, and so their
    interval. Each result is wholly final (`final_to == last_day`) or not at all (None).
    """
    apart, near = _by_distance(standing, new)
    pieces = [piece for one in near for piece in _pieces(one)]
    for piece in _pieces(new):
        pieces = _laid_over(pieces, piece)
    made = [
        replace(
            new,
            first_day=date.fromordinal(one.first),
            last_day=date.fromordinal(one.last),
            final_to=date.fromordinal(one.last) if one.final else None,
            fetched_at_ms=one.at_ms,
        )
        for one in _joined(pieces, turns)
    ]
    return sorted([*apart, *made], key=lambda one: one.first_day) if apart else made


def _by_distance(standing: Sequence[Covered], new: Covered) -> tuple[list[Covered], list[Covered]]:
    """The intervals that stay as they are, as days that are not covered lie between them and `new`; and the others.

    A series whose days were asked for one by one has many intervals, and each reply would lay all of them anew.
    """
    first, last = new.first_day.toordinal() - 1, new.last_day.toordinal() + 1
    apart: list[Covered] = []
    near: list[Covered] = []
    run: list[Covered] = []  # neighbours without a day between them
    for one in sorted(standing, key=lambda one: one.first_day):
        if run and one.first_day.toordinal() > run[-1].last_day.toordinal() + 1:
            (near if _touches(run, first, last) else apart).extend(run)
            run = []
        run.append(one)
    (near if _touches(run, first, last) else apart).extend(run)
    return apart, near


def _touches(run: Sequence[Covered], first: int, last: int) -> bool:
    """True for a run that reaches these days, and for one that `merged` would write otherwise in any case."""
    if not run or (run[0].first_day.toordinal() <= last and run[-1].last_day.toordinal() >= first):
        return True
    return any(one.final_to not in (None, one.last_day) for one in run)


def _pieces(one: Covered) -> list[_Piece]:
    """The final and the other days of an interval."""
    first, last = one.first_day.toordinal(), one.last_day.toordinal()
    final_to = first - 1 if one.final_to is None else min(one.final_to.toordinal(), last)
    both = (_Piece(first, final_to, True, one.fetched_at_ms), _Piece(max(first, final_to + 1), last, False, one.fetched_at_ms))
    return [piece for piece in both if piece.first <= piece.last]


def _laid_over(pieces: Iterable[_Piece], new: _Piece) -> list[_Piece]:
    found: list[_Piece] = []
    uncovered = new.first
    for old in sorted(pieces):
        if old.last < new.first or old.first > new.last:
            found.append(old)
            continue
        first, last = max(old.first, new.first), min(old.last, new.last)
        found += [
            old._replace(last=first - 1),
            new._replace(first=uncovered, last=first - 1),
            _Piece(first, last, old.final or new.final, max(old.at_ms, new.at_ms)),
            old._replace(first=last + 1),
        ]
        uncovered = last + 1
    found.append(new._replace(first=uncovered))
    return [one for one in found if one.first <= one.last]


def _joined(pieces: Iterable[_Piece], turns: Sequence[int]) -> list[_Piece]:
    found: list[_Piece] = []
    for one in sorted(pieces):
        before = found[-1] if found else None
        alike = before is not None and before.last + 1 == one.first and before.final == one.final
        same = before is not None and bisect_right(turns, before.at_ms) == bisect_right(turns, one.at_ms)
        if before is not None and alike and ((one.final and same) or before.at_ms == one.at_ms):
            found[-1] = _Piece(before.first, one.last, one.final, min(before.at_ms, one.at_ms))
        else:
            found.append(one)
    return found


def united(days: Iterable[Days]) -> list[Days]:
    """Returns intervals as few intervals with the same days, in order."""
    found: list[Days] = []
    for one in sorted(days):
        if found and one.first <= found[-1].last + 1:
            found[-1] = Days(found[-1].first, max(found[-1].last, one.last))
        else:
            found.append(one)
    return found


def without(wanted: Days, taken: Iterable[Days]) -> list[Days]:
    """Returns the intervals of `wanted` that no interval of `taken` has, in order."""
    found: list[Days] = []
    first = wanted.first
    for one in united(taken):
        if one.last < first:
            continue
        if one.first > wanted.last:
            break
        if one.first > first:
            found.append(Days(first, one.first - 1))
        first = one.last + 1
    if first <= wanted.last:
        found.append(Days(first, wanted.last))
    return found


def final_days(covered: Iterable[Covered]) -> list[Days]:
    """Returns the final days of intervals, united: those of a symbol's own rows and of EVERY_SYMBOL together."""
    return united(
        Days(one.first_day.toordinal(), min(one.final_to, one.last_day).toordinal())
        for one in covered
        if one.final_to is not None and one.final_to >= one.first_day
    )


def covered_days(covered: Iterable[Covered]) -> list[Days]:
    """Returns the days of intervals, final or not, united."""
    return united(Days(one.first_day.toordinal(), one.last_day.toordinal()) for one in covered)
