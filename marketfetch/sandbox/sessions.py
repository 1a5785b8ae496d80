"""Which days trade: New York sessions by rule, weekdays for currencies, every day for coins. Days are numpy `datetime64[D]`.

Half days are served as whole ones. Rules and closures: https://www.nyse.com/markets/hours-calendars
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.datetime64]
Ints = NDArray[np.int64]
Kind = Literal["stock", "fx", "crypto"]

#: The week that the longest recording begins in.
FIRST: Final = date(1999, 11, 8)
LAST: Final = date(2040, 12, 31)
NEW_YORK: Final = ZoneInfo("America/New_York")
DAY_MS: Final = 86_400_000

#: Closures that no rule foretells: September 2001, mourning, the storm of 2012.
_CLOSED: Final = "2001-09-11 2001-09-12 2001-09-13 2001-09-14 2004-06-11 2007-01-02 2012-10-29 2012-10-30 2018-12-05 2025-01-09"


def holidays(year: int) -> list[date]:
    """The full-day holidays of the New York exchanges in `year`."""
    days = [
        _nth(year, 2, weekday=0, n=3),
        _easter(year) - timedelta(days=2),
        _nth(year, 6, weekday=0, n=1) - timedelta(days=7),  # last Monday of May, or the one before it
        _observed(date(year, 7, 4)),
        _nth(year, 9, weekday=0, n=1),
        _nth(year, 11, weekday=3, n=4),
        _observed(date(year, 12, 25)),
    ]
    new_year = date(year, 1, 1)
    if new_year.weekday() != 5:  # on a Saturday it is not made up for: the year's books close on Friday
        days.append(_observed(new_year))
    if year >= 1998:
        days.append(_nth(year, 1, weekday=0, n=3))
    if year >= 2022:
        days.append(_observed(date(year, 6, 19)))
    return sorted(days)


@cache
def all_days(kind: Kind) -> Days:
    """Every day from FIRST to LAST on which this kind trades, ascending."""
    days = np.arange(np.datetime64(FIRST), np.datetime64(LAST) + np.timedelta64(1, "D"))
    if kind == "crypto":
        return days
    if kind == "fx":
        return days[np.is_busday(days)]
    closed = [np.datetime64(day) for year in range(FIRST.year, LAST.year + 1) for day in holidays(year)]
    return days[np.is_busday(days, holidays=closed + [np.datetime64(day) for day in _CLOSED.split()])]


def midnight_ms(days: Days, kind: Kind) -> Ints:
    """Unix ms of each day's beginning: New York's midnight for stocks, 00:00Z for the others."""
    utc = days.astype("datetime64[D]").astype(np.int64) * DAY_MS
    return utc - _offsets(0)[_index(days)] if kind == "stock" else utc


def opening_ms(days: Days, kind: Kind) -> Ints:
    """Unix ms of local 00:00 by the clock that holds during the session (clocks change at two at night)."""
    utc = days.astype("datetime64[D]").astype(np.int64) * DAY_MS
    return utc - _offsets(12)[_index(days)] if kind == "stock" else utc


def local_day(ms: int, kind: Kind) -> date:
    """The exchange's date at an instant."""
    zone = NEW_YORK if kind == "stock" else ZoneInfo("UTC")
    return datetime.fromtimestamp(ms / 1000, zone).date()


def _index(days: Days) -> Ints:
    span = len(_offsets(0)) - 1
    return np.clip((days.astype("datetime64[D]") - np.datetime64(FIRST - timedelta(days=40))).astype(np.int64), 0, span)


@cache
def _offsets(hour: int) -> Ints:
    """New York's offset from UTC in ms at `hour` o'clock of each day from 40 days before FIRST to 40 after LAST."""
    first, count = FIRST - timedelta(days=40), (LAST - FIRST).days + 81
    moments = (datetime.combine(first + timedelta(days=n), time(hour), NEW_YORK) for n in range(count))
    return np.array([int(moment.utcoffset().total_seconds()) * 1000 for moment in moments], dtype=np.int64)  # type: ignore[union-attr]


def _nth(year: int, month: int, *, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _observed(day: date) -> date:
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


def _easter(year: int) -> date:
    """Easter Sunday, by the anonymous Gregorian algorithm."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
