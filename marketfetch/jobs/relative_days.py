"""Relative days in a wish, such as "-5d": made absolute once, when the wish is made, so that a later look means the same days.

today, yesterday    the day of the wish, and the one before, in UTC
-5d -2w -3mo -1y    so many days, weeks, months or years before today; a day that the month does not have is its last one
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from marketfetch.exceptions import BadRequestError

_NAMES: Final = {"today": 0, "yesterday": 1}
_AGO: Final = re.compile(r"-([0-9]{1,5})(d|w|mo|y)")
_DAYS: Final = {"d": 1, "w": 7}
_MONTHS: Final = {"mo": 1, "y": 12}
#: What begins like this may be a date in ISO 8601: the planner reads it.
_DATE: Final = re.compile(r"\s*[0-9]")
_MOST_SHOWN: Final = 40


def absolute(wish: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """`wish` with its `start` and `end` as dates in ISO 8601 where they are relative to `at`. Raises BadRequestError."""
    return {name: day(name, value, at).isoformat() if _is_relative(name, value) else value for name, value in wish.items()}


def are_in(wish: Mapping[str, Any]) -> bool:
    """True if the `start` or the `end` of this wish is relative."""
    return any(_is_relative(name, value) for name, value in wish.items())


def _is_relative(name: str, value: Any) -> bool:
    return name in ("start", "end") and isinstance(value, str) and not _DATE.match(value)


def day(name: str, words: str, at: datetime) -> date:
    """The day that `words` mean at the moment `at`. Raises BadRequestError, which names the argument."""
    today, said = at.astimezone(UTC).date(), words.strip().lower()
    try:
        if said in _NAMES:
            return today - timedelta(days=_NAMES[said])
        if ago := _AGO.fullmatch(said):
            number, unit = int(ago[1]), ago[2]
            return today - timedelta(days=number * _DAYS[unit]) if unit in _DAYS else _earlier(today, number * _MONTHS[unit])
    except (OverflowError, ValueError):
        raise BadRequestError(f"The {name} {words[:_MOST_SHOWN]!r} lies before the year 1: name a later day.") from None
    raise BadRequestError(
        f"The {name} {words[:_MOST_SHOWN]!r} is no day: write a date such as 2024-01-31, or one of today, yesterday, "
        f"-5d, -2w, -3mo, -1y (days, weeks, months or years before today)."
    )


def _earlier(today: date, months: int) -> date:
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
