"""The sessions of a calendar as numbers, in bulk: what a series of bars should have between two dates."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.times import period_start
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES, exchange

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Ints  # imports numpy, which planning does not need

_EPOCH: Final = date(1970, 1, 1)
#: 1 January 1970 was a Thursday; Monday is 0.
_FIRST_WEEKDAY: Final = 3
_SATURDAY: Final = 5


def unix_day(day: date) -> int:
    """Returns the days since 1970 of a date."""
    return (day - _EPOCH).days


def date_of(day: int) -> date:
    """Returns the date of a number of days since 1970."""
    return _EPOCH + timedelta(days=day)


@lru_cache(maxsize=64)
def expected_days(calendar: str, timespan: Timespan, first: int, last: int) -> Ints:
    """Returns the dates of the bars that a series should have from `first` to `last`, as days since 1970, ascending.

    For intraday and daily bars the sessions; for longer ones the first dates of the periods of which all sessions lie in the
    range, and which have one. `calendar` is an exchange's code, "24/5" or "24/7". Outside of an exchange's table every weekday
    counts as a session. The array is shared: read it only. Raises ValueError for an unknown calendar.
    """
    import numpy as np

    days = np.arange(first, last + 1, dtype=np.int64)
    if calendar != EVERY_DAY:
        weekdays = (days + _FIRST_WEEKDAY) % 7
        days = days[weekdays != _SATURDAY] if calendar == WEEK_OF_CURRENCIES else days[weekdays < _SATURDAY]
    if calendar not in (EVERY_DAY, WEEK_OF_CURRENCIES):
        days = np.setdiff1d(days, _closed(calendar), assume_unique=True)
    if timespan not in ("1w", "1mo"):
        return days
    return _periods(days, timespan, first, last)


@lru_cache(maxsize=16)
def _closed(calendar: str) -> Ints:
    import numpy as np

    days = (unix_day(date(day // 10_000, day // 100 % 100, day % 100)) for day in exchange(calendar).closed)
    return np.array(sorted(days), dtype=np.int64)


def _periods(days: Ints, timespan: Timespan, first: int, last: int) -> Ints:
    import numpy as np

    starts = np.array(sorted({unix_day(period_start(date_of(day), timespan)) for day in days.tolist()}), dtype=np.int64)
    # The next period's first day lies behind the range where the last period ends in it, or later.
    after = [unix_day(period_start(date_of(start + (7 if timespan == "1w" else 31)), timespan)) for start in starts.tolist()]
    return starts[(starts >= first) & (np.array(after, dtype=np.int64) <= last + 1)]


def table_ends(calendar: str) -> date | None:
    """Returns the last date that the table knows of an exchange; None for a rule, which ends never. Raises ValueError."""
    return None if calendar in (EVERY_DAY, WEEK_OF_CURRENCIES) else exchange(calendar).last
