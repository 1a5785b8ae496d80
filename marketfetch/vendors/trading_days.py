"""The sessions of exchanges with their hours, from the table `trading_days.txt` beside this file; currencies by rule.

`python -m tests.vendors.trading_days_table` makes the table from the library exchange-calendars, which needs pandas; this
module needs neither, and reads an exchange's part of the table at its first use. Outside the table's years every weekday counts
as a session with the usual close. So an unknown holiday or early close makes a bar final later, never earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.times import UTC_ZONE, day_start_ms, unix_ms, zone_info

#: Every day is a session that ends at midnight: crypto, and whatever has no known calendar.
EVERY_DAY: Final = "24/7"
#: Every day but Saturday is one: currencies trade from Sunday evening to Friday evening in New York.
WEEK_OF_CURRENCIES: Final = "24/5"

_TABLE: Final = Path(__file__).with_name("trading_days.txt")
_SATURDAY: Final = 5

#: The parts of a session, each from and to (exclusive).
Hours = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange of the table. Days are numbers such as 20241129, times are minutes after midnight in `zone`.

    `usual` has the hours of trading by the day from which on they hold, ascending: one part, or two around a break.
    `closed` are the weekdays without a session, `closes` the unusual closes. No exchange of the table has sessions at weekends.
    """

    zone: str
    usual: tuple[tuple[int, Hours], ...]
    first: date
    last: date
    closed: frozenset[int] = frozenset()
    closes: Mapping[int, int] = field(default_factory=dict)

    def close_minutes(self, day: date) -> int | None:
        """Returns the close of the session of this date, None if there is no session."""
        number = _number(day)
        if day.weekday() >= _SATURDAY or number in self.closed:
            return None
        return self.closes.get(number) or self._usual(number)[-1][1]

    def hours(self, day: date) -> Hours:
        """Returns from when to when the session of this date trades; nothing if there is no session.

        A session that closes within the break, or before it, has one part.
        """
        close = self.close_minutes(day)
        if close is None:
            return ()
        (begin, end), *afternoon = self._usual(_number(day))
        if afternoon and close > afternoon[0][0]:
            return ((begin, end), (afternoon[0][0], close))
        return ((begin, close),)

    def _usual(self, number: int) -> Hours:
        return next((hours for since, hours in reversed(self.usual) if since <= number), self.usual[0][1])


def close_ms(calendar: str, day: date, *, zone: str = UTC_ZONE) -> int | None:
    """Returns when the session of `day` closes, in Unix ms; None if there is no session.

    `zone` is where the days of 24/7 and 24/5 end at midnight; an exchange has its own. Raises ValueError for an unknown
    calendar.
    """
    if calendar in (EVERY_DAY, WEEK_OF_CURRENCIES):
        if calendar == WEEK_OF_CURRENCIES and day.weekday() == _SATURDAY:
            return None
        return day_start_ms(day + timedelta(days=1), zone)
    known = exchange(calendar)
    minutes = known.close_minutes(day)
    if minutes is None:
        return None
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone_info(known.zone))
    return unix_ms(local.astimezone(UTC))


def sessions(calendar: str, first: date, last: date) -> list[date]:
    """Returns the days with a session from `first` to `last`, both included. Raises ValueError for an unknown calendar."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if close_ms(calendar, day) is not None]


def zone_of_days(calendar: str, *, zone: str = UTC_ZONE) -> str:
    """Returns the zone of the dates of a calendar. Raises ValueError for an unknown calendar."""
    return zone if calendar in (EVERY_DAY, WEEK_OF_CURRENCIES) else exchange(calendar).zone


def exchanges() -> tuple[str, ...]:
    """Returns the codes (ISO 10383) of the exchanges in the table."""
    return tuple(_lines())


@lru_cache(maxsize=16)
def exchange(calendar: str) -> Exchange:
    """Returns an exchange by its code. Raises ValueError with those that there are."""
    known = _lines().get(calendar)
    if known is None:
        there_are = (*exchanges(), EVERY_DAY, WEEK_OF_CURRENCIES)
        meant = did_you_mean(calendar, there_are)
        raise ValueError(
            f"there is no calendar {calendar!r}. {meant}{' ' if meant else ''}The calendars are {', '.join(there_are)}."
        )
    (zone, first, last), *rest = known
    days: dict[str, dict[int, int]] = {"closed": {}, "closes": {}}
    usual: list[tuple[int, Hours]] = []
    for kind, since, *words in rest:
        if kind == "hours":
            usual.append((int(since), tuple((_minutes(word[:5]), _minutes(word[6:])) for word in words)))
            continue
        for word in words:
            day, _, at = word.partition("@")
            days[kind][int(since + day)] = _minutes(at) if at else 0
    return Exchange(
        zone=zone,
        usual=tuple(usual),
        first=date.fromisoformat(first),
        last=date.fromisoformat(last),
        closed=frozenset(days["closed"]),
        closes=days["closes"],
    )


@lru_cache(maxsize=1)
def _lines() -> dict[str, list[list[str]]]:
    """The table's lines as words, by exchange: zone, first and last day; its usual hours; then a year's days in each line."""
    found: dict[str, list[list[str]]] = {}
    for line in _TABLE.read_text(encoding="ascii").splitlines():
        words = line.split()
        if not words or words[0] == "#":
            continue
        if words[0] == "exchange":
            here = found[words[1]] = [words[2:]]
        else:
            here.append(words)
    return found


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[-2:])
