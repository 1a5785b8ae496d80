"""Which stretches of a session have no stored bar, of bars shorter than a session, and why.

A minute without a trade has no bar, so a short stretch says nothing, and a longer one only together with what was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from marketfetch.ops.gap_reasons import Known, Why, labels, ranked
from marketfetch.schemas.timespans import LONGEST_MS
from marketfetch.vendors.expected_days import date_of
from marketfetch.vendors.trading_hours import TradingHours, trading_hours

if TYPE_CHECKING:
    from marketfetch.ops.series_calendars import SeriesCalendar
    from marketfetch.schemas.bars import Ints  # imports numpy
    from marketfetch.storage.stored_series import StoredSeries

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bars in a row that are missing in the session of `day`: `bars` of the `possible` ones of its regular hours.

    `begin_ms` is the start of the first missing bar, `end_ms` the end of the last one (Unix ms). `extended`: outside of the
    regular hours; then it is the session's first to last missing bar there, and `possible` counts the extended hours.
    `reason` and `at_ms` as in `Gap`.
    """

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str
    zone: str
    day: date
    begin_ms: int
    end_ms: int
    bars: int
    possible: int
    why: Why
    reason: str = ""
    at_ms: int = 0
    extended: bool = False

    @property
    def first(self) -> date:
        return self.day

    @property
    def last(self) -> date:
        return self.day


class Lacks(NamedTuple):
    """Runs of missing bars, ascending: the session's day, and the numbers of the first bar and of the one behind the last."""

    day: Ints
    begin: Ints
    end: Ints


def minutes_of(timespan: str) -> int:
    """The length of an intraday bar."""
    return LONGEST_MS[timespan] // _MINUTE_MS  # type: ignore[index]


def stretches(
    one: StoredSeries,
    minutes: Ints,
    days: Ints,
    calendar: SeriesCalendar,
    known: Sequence[Known],
    *,
    dataset: str,
    first_bar: int | None,
    least: int,
) -> Iterator[Stretch]:
    """Yields what the sessions of these days lack, in stretches of `least` minutes or longer.

    `minutes` are the starts of the stored bars, `days` sessions that have a bar; both ascend. Outside of the regular hours
    only what was never asked, or failed, counts: a reply that brings some of these minutes is the usual case. What the vendor
    has none of on the day of the `first_bar` (days since 1970), before that bar, is no gap: the listing began then.
    """
    import numpy as np

    if not len(days):
        return
    step, by_rank = minutes_of(one.timespan), ranked(known)
    hours = trading_hours(calendar.finality, int(days[0]), int(days[-1]))
    stored = minutes // step
    stored = stored[np.flatnonzero(np.diff(stored, prepend=-1))]
    for extended in (False, True):
        chosen = np.isin(hours.day, days) & (hours.extended == extended)
        part = TradingHours(*(getattr(hours, name)[chosen] for name in TradingHours.__slots__))
        found, possible = lacking(stored, part, step), _possible(part, step)
        long = (found.end - found.begin) * step >= least
        found = Lacks(*(column[long] for column in found))
        bars = found.end - found.begin
        label = labels(found.day, bars, by_rank)
        if extended:
            found, bars, label = _by_session(found, bars, label, by_rank)
        for day, begin, end, number, at in zip(*(column.tolist() for column in (*found, bars, label)), strict=True):
            why: Why = "never asked" if at < 0 else by_rank[at].why
            if why == "vendor has none" and day == first_bar and end <= stored[0]:
                continue
            yield Stretch(
                provider=one.provider,
                dataset=dataset,
                symbol=one.symbol,
                timespan=one.timespan,
                adjustment=one.adjustment,
                zone=one.zone or calendar.zone,
                day=date_of(day),
                begin_ms=begin * step * _MINUTE_MS,
                end_ms=end * step * _MINUTE_MS,
                bars=number,
                possible=possible[day],
                why=why,
                reason="" if at < 0 else by_rank[at].reason,
                at_ms=0 if at < 0 else by_rank[at].at_ms,
                extended=extended,
            )


def lacking(stored: Ints, hours: TradingHours, step: int) -> Lacks:
    """The runs of bars that are not in `stored`, within the stretches of `hours`. A bar's number is its start by its length.

    A bar that begins anywhere within its length counts, since some vendors count the hours from the open. A bar of which a
    part lies in the stretch may be expected.
    """
    import numpy as np

    begins, ends = hours.begin // step, -(-hours.end // step)
    # Each stored bar, and a mark just before the first and just behind the last possible one of each stretch. What lies
    # between two neighbours is missing, if it lies within a stretch.
    marks = np.sort(np.concatenate((stored * 2, begins * 2 - 1, ends * 2 - 1)), kind="stable")
    first, behind = marks[:-1] // 2 + 1, (marks[1:] + 1) // 2
    within = np.searchsorted(begins, first, side="right") - 1
    missing = (first < behind) & (within >= 0)
    first, behind, within = first[missing], behind[missing], within[missing]
    inside = behind <= ends[within]
    return Lacks(hours.day[within[inside]], first[inside], behind[inside])


def shortest_session(calendar: SeriesCalendar, timespan: str, days: Ints) -> int:
    """How many bars the shortest of these sessions may have; 1 where there is none."""
    if not len(days):
        return 1
    hours = trading_hours(calendar.finality, int(days[0]), int(days[-1]))
    regular = TradingHours(*(getattr(hours, name)[~hours.extended] for name in TradingHours.__slots__))
    return max(1, min(_possible(regular, minutes_of(timespan)).values(), default=1))


def for_sessions(known: Sequence[Known], shortest: int) -> list[Known]:
    """The same about whole sessions, of which one lacks all of its bars: a few rejects do not explain it."""
    return [one if one.most is None else replace(one, most=one.most // shortest) for one in known]


def _possible(hours: TradingHours, step: int) -> dict[int, int]:
    """How many bars a day's stretches may have, by day."""
    found: dict[int, int] = {}
    for day, bars in zip(hours.day.tolist(), (-(-hours.end // step) - hours.begin // step).tolist(), strict=True):
        found[day] = found.get(day, 0) + bars
    return found


def _by_session(found: Lacks, bars: Ints, label: Ints, by_rank: Sequence[Known]) -> tuple[Lacks, Ints, Ints]:
    """One run a day, of what the vendor has not said to have none of."""
    import numpy as np

    none = np.array([one.why == "vendor has none" for one in by_rank] + [False], dtype=np.bool_)
    kept = ~none[label]
    day, begin, end, bars, label = (column[kept] for column in (*found, bars, label))
    starts = np.flatnonzero(np.diff(day, prepend=-1))
    if not len(starts):
        return Lacks(day, begin, end), bars, label
    last = np.append(starts[1:], len(day)) - 1
    return Lacks(day[starts], begin[starts], end[last]), np.add.reduceat(bars, starts), label[starts]
