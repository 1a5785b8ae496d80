"""How much of each day's sessions is stored, by vendor, timespan and adjustment: the heat map of the page of freshness."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final, cast

from marketfetch.ops.asked_series import asked_of, by_series
from marketfetch.ops.series_calendars import SeriesCalendar, SeriesCalendars
from marketfetch.ops.staleness import Stale
from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.storage.asked_ranges import asked_ranges
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.store import Store
from marketfetch.storage.stored_days import days_of, ends, stored_days, stored_minutes
from marketfetch.storage.stored_series import StoredSeries, stored_series
from marketfetch.vendors.expected_days import date_of, unix_day

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Ints  # imports numpy

WEEKS: Final = 26
_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000
#: Of weekly and monthly bars a day says nothing.
_LONG: Final = ("1w", "1mo")


@dataclass(frozen=True, slots=True)
class DayShare:
    """How many series should have a final bar of this day, and how many have."""

    day: date
    expected: int
    stored: int


@dataclass(frozen=True, slots=True)
class Group:
    """The series of one vendor, timespan and adjustment, and each day on which one of them has a session."""

    provider: str
    timespan: str
    adjustment: str
    series: int
    days: list[DayShare]


def shares(store: Store, over: Iterable[Stale] = (), *, weeks: int = WEEKS, at_ms: int | None = None) -> list[Group]:
    """The last `weeks` weeks at `at_ms` (Unix ms; None: now). A session before the first bar of a series does not count, nor
    one behind the last of `over`, of which the vendor has no more. Raises StoreError."""
    import numpy as np

    now_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    begin = now_ms // _DAY_MS - 7 * weeks
    ended = {(one.provider, one.symbol, one.timespan, one.adjustment): one.last for one in over if one.last is not None}
    expected: dict[tuple[str, str, str], Ints] = {}
    found: dict[tuple[str, str, str], Ints] = {}
    counts: dict[tuple[str, str, str], int] = {}
    firsts = {number: first for number, (first, _) in ends(store).items() if first is not None}
    known = {one: calendar for one, calendar in _with_calendars(store, now_ms) if one.number in firsts}
    for one, days in _days(store, list(known), begin):
        key, calendar = (one.provider, one.timespan, one.adjustment), known[one]
        first = max(begin, _first_day(firsts[one.number], one))
        last = ended.get((one.provider, one.symbol, one.timespan, one.adjustment))
        due = calendar.sessions(first, calendar.last_final if last is None else unix_day(last)) - begin
        counts[key] = counts.get(key, 0) + 1
        for sums, places in ((expected, due), (found, due[np.isin(due, days - begin, assume_unique=True)])):
            sums.setdefault(key, np.zeros(7 * weeks + 2, dtype=np.int64))[places] += 1
    return [
        Group(
            *key,
            counts[key],
            [
                DayShare(date_of(begin + n), int(expected[key][n]), int(found[key][n]))
                for n in np.flatnonzero(expected[key]).tolist()
            ],
        )
        for key in sorted(counts)
    ]


def _with_calendars(store: Store, now_ms: int) -> Iterator[tuple[StoredSeries, SeriesCalendar]]:
    calendars, asked = SeriesCalendars(now_ms), by_series(asked_ranges(store))
    for one in stored_series(store):
        if one.timespan in _LONG:
            continue
        dataset = asked_of((one.provider, one.symbol, one.timespan, one.adjustment), asked).dataset
        if (calendar := calendars.of(one, dataset)) is not None:
            yield (one if one.zone else replace(one, zone=calendar.zone)), calendar


def _days(store: Store, series: list[StoredSeries], begin: int) -> Iterator[tuple[StoredSeries, Ints]]:
    """Each series with the dates of its final bars."""
    within = {"start_ms": (begin - 2) * _DAY_MS}
    intraday = [one for one in series if is_intraday(cast("Timespan", one.timespan))]
    yield from stored_days(store, [one for one in series if one not in intraday], **within)
    for one, minutes in stored_minutes(store, intraday, **within):
        yield one, days_of(minutes * _MINUTE_MS, one)


def _first_day(first_ms: int, one: StoredSeries) -> int:
    import numpy as np

    days = session_days(np.array([first_ms], dtype=np.int64), one.timespan, one.zone or "UTC")
    return first_ms // _DAY_MS if days is None else int(days[0])
