"""When the bars of a request can't change any more: their session has closed, and the vendor's delay has passed.

Two things follow from it: the generation of a request (`generations.py`), and the flag `partial` of a bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from marketfetch.schemas.timespans import LONGEST_MS, Timespan, is_intraday
from marketfetch.vendors.times import UTC_ZONE, day_start_ms, local_date, period_end, period_start
from marketfetch.vendors.trading_days import EVERY_DAY, close_ms, zone_of_days

_MINUTE_MS: Final = 60_000
#: So long after a date the month that it is in is over, and its last session has closed in every zone.
_LONG_OVER: Final = timedelta(days=34)
#: Midnight comes this much before midnight in UTC where clocks are furthest ahead.
_FURTHEST_AHEAD_MS: Final = 14 * 60 * _MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality:
    """The calendar and the delay of a request's bars.

    `calendar` is an exchange's code in the table (`trading_days.py`), "24/5" or "24/7"; the days of the last two end at
    midnight in `zone`. `extended_minutes` is how long trading goes on after a close, `early_minutes` how long before an open it
    begins. `delay_minutes` is how long after that, or
    for an intraday bar after its own end, the vendor may still change a bar. A request of several symbols has the latest of
    theirs. `sessions_known` is False where the calendar says when a day ends, but not on which days there is a bar: then no
    session of the series can be said to be missing. `until`: the last day of data that has ended for good, after which no
    session is due.
    """

    calendar: str = EVERY_DAY
    zone: str = UTC_ZONE
    extended_minutes: int = 0
    early_minutes: int = 0
    delay_minutes: int
    sessions_known: bool = True
    until: date | None = None

    @property
    def after_close_ms(self) -> int:
        return (self.extended_minutes + self.delay_minutes) * _MINUTE_MS


@lru_cache(maxsize=1_024)
def first_open_day(finality: Finality, at_ms: int) -> date:
    """Returns the date of the earliest session whose bars may change after `at_ms`. Raises ValueError: no such calendar."""
    zone = zone_of_days(finality.calendar, zone=finality.zone)
    # Every earlier session had closed by the midnight that begins this day.
    day = local_date(at_ms - finality.after_close_ms, zone)
    while True:
        closed_ms = close_ms(finality.calendar, day, zone=finality.zone)
        if closed_ms is not None and closed_ms + finality.after_close_ms > at_ms:
            return day
        day += timedelta(days=1)


def is_final(finality: Finality, timespan: Timespan, end: date, at_ms: int) -> bool:
    """True if no bar of a range that ends on `end` can change after `at_ms`. A range that ends in the future is not final.

    Raises ValueError for an unknown calendar.
    """
    if _in_utc(at_ms - finality.after_close_ms) - _LONG_OVER > end:
        return True  # without the table, which most jobs then never read
    if end > _local_day(at_ms, zone_of_days(finality.calendar, zone=finality.zone)):
        return False
    return period_end(end, timespan) < first_open_day(finality, at_ms)


def first_partial_ms(finality: Finality, timespan: Timespan, at_ms: int) -> int:
    """Returns the start from which on a bar may change after `at_ms`, in Unix ms: earlier bars are final.

    Raises ValueError for an unknown calendar.
    """
    if is_intraday(timespan):
        return at_ms - LONGEST_MS[timespan] - finality.delay_minutes * _MINUTE_MS + 1
    # The start of a daily bar is a midnight in the zone of its exchange, which a response may name otherwise than settings do:
    # no zone's midnight of this date is earlier, and of the date before none that has an exchange is later.
    first = period_start(first_open_day(finality, at_ms), timespan)
    return day_start_ms(first, UTC_ZONE) - _FURTHEST_AHEAD_MS


def lies_ahead(start: date, timespan: Timespan, at_ms: int, *, zone: str) -> date | None:
    """Returns the date in `zone` if no bar from `start` on can exist by then; None if one can."""
    first = period_start(start, timespan)
    if first < _in_utc(at_ms):
        return None  # no zone's date is more than one behind
    today = _local_day(at_ms, zone)
    return today if first > today else None


def _in_utc(at_ms: int) -> date:
    return _local_day(at_ms, UTC_ZONE)


@lru_cache(maxsize=256)
def _local_day(at_ms: int, zone: str) -> date:
    return local_date(at_ms, zone)
