"""Columns of dates and wall times as Unix ms, all at once; a column with an unusual text is left to `times.py`.

The texts are read as digits in fixed places, so nothing is a date here that `times.py` reads otherwise, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketfetch.schemas.bars import Flags, Ints
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.times import EVENING_MS, bar_start_ms, day_start_ms, parse_day, session_starts

#: Unix ms, None where a text has no meaning.
Moments = Sequence[int | None] | Ints
Digits = NDArray[np.int16]

_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).date()
#: Other years, which no market has, are left to `times.py`: the midnights of each year are computed once.
_FIRST_YEAR, _LAST_YEAR = 1789, 2099
_FIRST_MS: Final = (date(_FIRST_YEAR + 1, 1, 1) - _EPOCH).days * _DAY_MS
_LAST_MS: Final = (date(_LAST_YEAR, 1, 1) - _EPOCH).days * _DAY_MS
#: Days of each month, from 1 on, without a leap day.
_LENGTHS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
#: Days from 0000-03-01 to 1970-01-01.
_UNTIL_1970: Final = 719_468
#: Fewer are as fast one by one.
_FEWEST: Final = 16
#: `YYYY-MM-DD`, then `HH:MM` or `HH:MM:SS`.
_SIGNS: Final = ((4, "-"), (7, "-"), (10, " "), (13, ":"), (16, ":"))


def starts_of_days(texts: Sequence[object], timespan: Timespan, zone: str) -> tuple[Moments, Moments]:
    """The `ts` of daily or longer bars from ISO dates, and the midnights of those dates; None where a text is no date.

    Raises ValueError for an unknown zone.
    """
    digits = _digits(texts, lengths=(10,))
    unix_days = None if digits is None else _days(digits)
    if unix_days is None:
        days = [parse_day(text) for text in texts]
        starts = [None if day is None else bar_start_ms(day, timespan, zone) for day in days]
        return starts, [None if day is None else day_start_ms(day, zone) for day in days]
    first, last = int(unix_days.min()), int(unix_days.max())
    moments = _midnights(first, last, zone)[unix_days - first]
    if timespan not in ("1w", "1mo"):
        return moments, moments
    unique, where = np.unique(unix_days, return_inverse=True)
    begun = [bar_start_ms(_EPOCH + timedelta(days=day), timespan, zone) for day in unique.tolist()]
    return np.array(begun, dtype=np.int64)[where], moments


def starts_of_sessions(ts: Ints, zone: str) -> tuple[Ints, Flags]:
    """`session_starts`, from the midnights of whole years: day by day they took three times as long as all else of a reply."""
    if not len(ts) or ts.min() < _FIRST_MS or ts.max() > _LAST_MS:
        return session_starts(ts, zone)
    days = ts // _DAY_MS
    first = int(days.min()) - 1
    midnights = _midnights(first, int(days.max()) + 1, zone)
    place = days - first
    before, same, after = midnights[place - 1], midnights[place], midnights[place + 1]
    found = np.where(after <= ts, after, np.where(same <= ts, same, before))
    return found, ts - found > EVENING_MS


def are_days(texts: Sequence[object]) -> bool:
    """True for dates all of which are written as `date.isoformat` writes them; False where one is not, or may not be."""
    digits = _digits(texts, lengths=(10,))
    return digits is not None and _days(digits) is not None


def moments_of_walls(walls: Sequence[object], zone: str) -> Ints | None:
    """The moments of wall times; None where one is unusual, or of a day on which clocks change.

    Raises ValueError for an unknown zone.
    """
    digits = _digits(walls, lengths=(16, 19))
    if digits is None or (days := _days(digits)) is None:
        return None
    hours, minutes = _number(digits, 11, 13), _number(digits, 14, 16)
    seconds = _number(digits, 17, 19) if digits.shape[1] == 19 else np.zeros(len(digits), dtype=np.int64)
    if hours.max() > 23 or minutes.max() > 59 or seconds.max() > 59:
        return None
    first = int(days.min())
    midnights = _midnights(first, int(days.max()) + 1, zone)
    starts = midnights[days - first]
    if np.any(midnights[days - first + 1] - starts != _DAY_MS):
        return None
    return starts + ((hours * 60 + minutes) * 60 + seconds) * 1_000


def _digits(texts: Sequence[object], *, lengths: tuple[int, ...]) -> Digits | None:
    """A row of digits for each text, with 0 at the places of the signs between them."""
    if len(texts) < _FEWEST or not isinstance(texts[0], str) or len(texts[0]) not in lengths:
        return None
    wide = len(texts[0])
    try:
        joined = "".join(texts)  # type: ignore[arg-type]
        if len(joined) != wide * len(texts) or set(map(len, texts)) != {wide}:  # type: ignore[arg-type]
            return None
        signs = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).reshape(-1, wide)
    except (TypeError, UnicodeEncodeError):
        return None
    digits = signs.astype(np.int16) - ord("0")
    for place, sign in _SIGNS:
        if place < wide:
            if np.any(signs[:, place] != ord(sign)):
                return None
            digits[:, place] = 0
    return digits if digits.min() >= 0 and digits.max() <= 9 else None


def _number(digits: Digits, start: int, stop: int) -> Ints:
    found = digits[:, start].astype(np.int64)
    for place in range(start + 1, stop):
        found = found * 10 + digits[:, place]
    return found


def _days(digits: Digits) -> Ints | None:
    """Days since 1970-01-01; None where one is no date, or of a year without markets."""
    years, months, days = _number(digits, 0, 4), _number(digits, 5, 7), _number(digits, 8, 10)
    if years.min() < _FIRST_YEAR or years.max() > _LAST_YEAR or months.min() < 1 or months.max() > 12 or days.min() < 1:
        return None
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    if np.any(days > _LENGTHS[months] + ((months == 2) & leap)):
        return None
    # The year begins in March, so that a leap day is its last: https://howardhinnant.github.io/date_algorithms.html
    march_years, of_year = years - (months <= 2), (153 * ((months + 9) % 12) + 2) // 5 + days - 1
    return march_years * 365 + march_years // 4 - march_years // 100 + march_years // 400 + of_year - _UNTIL_1970


def _midnights(first: int, last: int, zone: str) -> Ints:
    """The midnights of the days from `first` to `last`, in Unix ms."""
    years = range((_EPOCH + timedelta(days=first)).year, (_EPOCH + timedelta(days=last)).year + 1)
    begin = (date(years[0], 1, 1) - _EPOCH).days
    found = np.concatenate([_midnights_of_year(year, zone) for year in years])
    return found[first - begin : last - begin + 1]


@lru_cache(maxsize=512)
def _midnights_of_year(year: int, zone: str) -> Ints:
    begin = date(year, 1, 1)
    many = (date(year + 1, 1, 1) - begin).days
    return np.array([day_start_ms(begin + timedelta(days=n), zone) for n in range(many)], dtype=np.int64)
