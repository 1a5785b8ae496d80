"""The one reader of days, for every way in: the command line, Python, tasks and messages. It returns days, or a sentence.

2024-01-31          a date in ISO 8601, of the exchange
today, yesterday    the day of the wish, and the one before, in UTC
-5d -2w -3mo -1y    so many days, weeks, months or years before today; a day that the month does not have is its last one

A wish to fetch that names no `end` means today, and one that names no `start` a year before its end. A question for stored
bars that names none is open on that side.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from marketfetch.exceptions import BadRequestError

#: For help texts and errors: what can be written.
WORDS: Final = (
    "a date such as 2024-01-31, today, yesterday, or -5d, -2w, -3mo, -1y (days, weeks, months, years before today, UTC)"
)

_NAMES: Final = {"today": 0, "yesterday": 1}
_AGO: Final = re.compile(r"-([0-9]{1,5})(d|w|mo|y)")
_DAYS: Final = {"d": 1, "w": 7}
_MONTHS: Final = {"mo": 1, "y": 12}
_MOST_SHOWN: Final = 40
#: The first and the last midnight of the calendar are, in some zones, no moment that can be named.
_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9_998


def absolute(wish: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """`wish` with a `start` and an `end`, both dates in ISO 8601 as texts. Raises BadRequestError, which names the argument.

    `at` is the moment of the wish: relative days, and those that are not named, are counted from it.
    """
    start, end = (None if wish.get(name) is None else day(name, wish[name], at) for name in ("start", "end"))
    # A start in the future is refused as such, and not as one that lies after an end that the user has not written.
    end = end or max(at.astimezone(UTC).date(), start or date.min)
    start = start or _earlier(end, 12)
    return {**wish, "start": start.isoformat(), "end": end.isoformat()}


def are_in(wish: Mapping[str, Any]) -> bool:
    """True if the days of this wish depend on its moment: one of them is relative, or not named."""
    return any(wish.get(name) is None or _is_relative(wish[name]) for name in ("start", "end"))


def _is_relative(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()[:1].isdigit()


def day(name: str, value: Any, at: datetime) -> date:
    """The day that `value` means at the moment `at`: a date, a midnight, or words. Raises BadRequestError, which has `name`."""
    found = moment(name, value, at)
    if isinstance(found, datetime):
        if (found.hour, found.minute, found.second, found.microsecond) != (0, 0, 0, 0):
            raise BadRequestError(f"The {name} {found} is a moment, and a job takes whole days: write {found.date()}.")
        return found.date()
    return found


def moment(name: str, value: Any, at: datetime) -> date | datetime:
    """The same, where a moment is taken too: a datetime as it was given, or the text of one. Raises BadRequestError."""
    found = _from_words(name, value, at) if isinstance(value, str) else value
    if not isinstance(found, date):
        raise BadRequestError(f"The {name} is no day (got {found!r:.{_MOST_SHOWN}}): write {WORDS}.")
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise BadRequestError(
            f"The {name} {value!s:.{_MOST_SHOWN}} lies outside of the years {_FIRST_YEAR} to {_LAST_YEAR}: name another day."
        )
    return found


def _from_words(name: str, words: str, at: datetime) -> date:
    today, said = at.astimezone(UTC).date(), words.strip().lower()
    try:
        if said in _NAMES:
            return today - timedelta(days=_NAMES[said])
        if ago := _AGO.fullmatch(said):
            number, unit = int(ago[1]), ago[2]
            return today - timedelta(days=number * _DAYS[unit]) if unit in _DAYS else _earlier(today, number * _MONTHS[unit])
    except (OverflowError, ValueError):
        raise BadRequestError(f"The {name} {words[:_MOST_SHOWN]!r} lies before the year 1: name a later day.") from None
    try:
        written = words.strip()
        return date.fromisoformat(written) if len(written) <= len("2024-01-02") else datetime.fromisoformat(written)
    except ValueError:
        raise BadRequestError(f"The {name} {words[:_MOST_SHOWN]!r} is no day: write {WORDS}.") from None


def _earlier(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def out_of_order(start: date, end: date) -> str:
    """The sentence about a range that ends before it begins."""
    return f"the end date {end} is before the start date {start}: swap them"
