"""The minutes in which a calendar's sessions trade, in bulk: where a bar shorter than a session may be expected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from marketfetch.vendors.expected_days import date_of, unix_day
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.times import NEW_YORK, day_start_ms, unix_ms, zone_info
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES, close_ms, exchange

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Flags, Ints  # imports numpy, which planning does not need

_MINUTE_MS: Final = 60_000
#: The week of currencies begins on Sunday and ends on Friday at this hour in New York.
_TURN_OF_THE_WEEK: Final = 17
_FRIDAY: Final = 4
_SUNDAY: Final = 6


@dataclass(frozen=True, slots=True)
class TradingHours:
    """Stretches of trading, ascending. `day` is the session's date as days since 1970; `begin` and `end` (exclusive) are
    minutes since 1970, UTC. `extended`: before the open or after the close of an exchange. The arrays are shared: read them
    only.
    """

    day: Ints
    begin: Ints
    end: Ints
    extended: Flags


class _Stretch(NamedTuple):
    day: int
    begin: int
    end: int
    extended: bool


def trading_hours(finality: Finality, first: int, last: int) -> TradingHours:
    """Returns when the sessions from `first` to `last` trade, days since 1970, both inclusive.

    Breaks are left out; early closes are known. Of 24/7 and 24/5 each day is one session; the latter's week begins and ends at
    17:00 in New York. Raises ValueError for an unknown calendar.
    """
    import numpy as np

    years = [_of_year(finality, year) for year in range(date_of(first).year, date_of(max(first, last)).year + 1)]
    day, begin, end, extended = (np.concatenate([getattr(one, name) for one in years]) for name in TradingHours.__slots__)
    low, high = np.searchsorted(day, (first, last + 1))
    return TradingHours(day[low:high], begin[low:high], end[low:high], extended[low:high])


@lru_cache(maxsize=256)
def _of_year(finality: Finality, year: int) -> TradingHours:
    import numpy as np

    days = (date(year, 1, 1) + timedelta(days=number) for number in range(366))
    found = [one for day in days if day.year == year for one in _of_day(finality, day)]
    columns = [np.array([one[place] for one in found], dtype=np.int64) for place in range(4)]
    return TradingHours(columns[0], columns[1], columns[2], columns[3].astype(np.bool_))


def _of_day(finality: Finality, day: date) -> list[_Stretch]:
    if finality.calendar in (EVERY_DAY, WEEK_OF_CURRENCIES):
        return _of_rule(finality, day)
    known, number = exchange(finality.calendar), unix_day(day)
    regular = [(_moment(day, begin, known.zone), _moment(day, end, known.zone)) for begin, end in known.hours(day)]
    if not regular:
        return []
    opened, closed = regular[0][0], regular[-1][1]
    found = [_Stretch(number, opened - finality.early_minutes, opened, True)] if finality.early_minutes else []
    found += [_Stretch(number, begin, end, False) for begin, end in regular]
    return [*found, _Stretch(number, closed, closed + finality.extended_minutes, True)] if finality.extended_minutes else found


def _of_rule(finality: Finality, day: date) -> list[_Stretch]:
    closes = close_ms(finality.calendar, day, zone=finality.zone)
    if closes is None:
        return []
    begin, end = day_start_ms(day, finality.zone) // _MINUTE_MS, closes // _MINUTE_MS
    if finality.calendar == WEEK_OF_CURRENCIES:
        turn = _moment(day, _TURN_OF_THE_WEEK * 60, NEW_YORK)
        begin = max(begin, turn) if day.weekday() == _SUNDAY else begin
        end = min(end, turn) if day.weekday() == _FRIDAY else end
    return [_Stretch(unix_day(day), begin, end, False)] if begin < end else []


def _moment(day: date, minutes: int, zone: str) -> int:
    """Minutes since 1970, UTC, of a wall time."""
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone_info(zone))
    return unix_ms(local.astimezone(UTC)) // _MINUTE_MS
