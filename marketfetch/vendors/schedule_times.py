"""When a schedule is due: a time after the close of a calendar's sessions, an interval, or a cron expression. Pure.

session close              when the session of the calendar has closed; early closes are known
session close + 20m        that much later; also 2h
every 15m                  each quarter of an hour of the Unix clock; also 6h, 1d
cron 30 22 * * mon-fri     minute, hour, day of the month, month, day of the week (0 or 7: Sunday), in `zone`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from marketfetch.vendors.times import UTC_ZONE, local_date, unix_ms, zone_info
from marketfetch.vendors.trading_days import close_ms, zone_of_days

_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CLOSE: Final = re.compile(r"session close(?:\s*\+\s*([0-9]{1,5})\s*([mh]))?")
_EVERY: Final = re.compile(r"every\s+([0-9]{1,5})\s*([mhd])")
#: The fields of a cron expression: their name, their least and greatest value.
_FIELDS: Final = (
    ("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7),
)  # fmt: skip
_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS: Final = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
#: A calendar has a session, and a cron expression a day (29 February), within so many days.
_MOST_DAYS: Final = 8 * 366
_DAY: Final = timedelta(days=1)
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class When:
    """A schedule's `when`, read. One of `after_close_ms`, `every_ms` and `cron` is there.

    `cron` has the allowed values of each field, with 0 for Sunday; `either_day`: the day of the month and that of the week are
    both restricted, and then one of them is enough, as in cron.
    """

    after_close_ms: int | None = None
    every_ms: int | None = None
    cron: tuple[frozenset[int], ...] = ()
    either_day: bool = False

    def latest(self, at_ms: int, *, calendar: str, zone: str = UTC_ZONE) -> int | None:
        """The latest moment at `at_ms` or before it at which this was due (Unix ms). None if there is none in eight years."""
        if self.every_ms is not None:
            return at_ms - at_ms % self.every_ms
        for n in range(_MOST_DAYS):
            day = self._day(at_ms, calendar, zone) - n * _DAY
            found = [due for due in self._of_day(day, calendar, zone) if due <= at_ms]
            if found:
                return max(found)
        return None

    def next(self, at_ms: int, *, calendar: str, zone: str = UTC_ZONE) -> int | None:
        """The first moment behind `at_ms` at which this is due (Unix ms). None if there is none in eight years."""
        if self.every_ms is not None:
            return at_ms - at_ms % self.every_ms + self.every_ms
        # A close may lie days before the moment that follows it.
        begin = self._day(at_ms, calendar, zone) - _DAY * (1 + (self.after_close_ms or 0) // _DAY_MS)
        for n in range(_MOST_DAYS):
            found = [due for due in self._of_day(begin + n * _DAY, calendar, zone) if due > at_ms]
            if found:
                return min(found)
        return None

    def _day(self, at_ms: int, calendar: str, zone: str) -> date:
        return local_date(at_ms, zone if self.cron else zone_of_days(calendar))

    def _of_day(self, day: date, calendar: str, zone: str) -> list[int]:
        """The moments that belong to a date: of its session, or of the cron expression in `zone`."""
        if self.after_close_ms is not None:
            closed_ms = close_ms(calendar, day)
            return [] if closed_ms is None else [closed_ms + self.after_close_ms]
        minutes, hours, days, months, weekdays = self.cron
        in_month, in_week = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month not in months or not ((in_month or in_week) if self.either_day else (in_month and in_week)):
            return []
        info = zone_info(zone)
        found = set()
        for hour in hours:
            for minute in minutes:
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=info)
                # An hour that clocks skip is none; one that occurs twice counts once.
                if local.astimezone(UTC).astimezone(info).replace(tzinfo=None) == local.replace(tzinfo=None):
                    found.add(unix_ms(local.astimezone(UTC)))
        return sorted(found)


def read_when(text: str) -> When:
    """Reads a `when`. Raises ValueError with a sentence."""
    words = " ".join(text.lower().split())
    if found := _CLOSE.fullmatch(words):
        return When(after_close_ms=int(found[1]) * _UNITS[found[2]] if found[1] else 0)
    if found := _EVERY.fullmatch(words):
        every_ms = int(found[1]) * _UNITS[found[2]]
        if not every_ms:
            raise ValueError(f"{text!r} is no interval: write one of a minute or more, such as 'every 15m'")
        return When(every_ms=every_ms)
    if words.startswith("cron "):
        return _cron(words.removeprefix("cron "))
    raise ValueError(f"{text!r} is no time: write 'session close + 20m', 'every 15m', or 'cron 30 22 * * mon-fri'")


def _cron(text: str) -> When:
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"'cron {text}' has {len(parts)} fields and not five: minute, hour, day, month, day of the week")
    values = [_values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    values[4] = frozenset(value % 7 for value in values[4])
    return When(cron=tuple(values), either_day="*" not in (parts[2][0], parts[4][0]))


def _values(text: str, name: str, least: int, most: int) -> frozenset[int]:
    """`*`, `5`, `1-5`, `mon-fri`, `*/15`, `0-30/10`, and several of them with commas between."""
    words = {"month": _MONTHS, "day of the week": _WEEKDAYS}.get(name, {})
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        try:
            low = least if span == "*" else words.get(first) if first in words else int(first)
            high = most if span == "*" or (step and not last) else words.get(last) if last in words else int(last or str(low))
            every = int(step or "1")
        except ValueError:
            raise ValueError(f"{part!r} is no {name} of a cron expression ({least} to {most})") from None
        if low is None or high is None or not least <= low <= high <= most or every < 1:
            raise ValueError(f"{part!r} is no {name} of a cron expression ({least} to {most})")
        found.update(range(low, high + 1, every))
    return frozenset(found)
