"""Converts dates and wall times of exchanges to Unix milliseconds.

The rule for `ts`, one for all vendors: an intraday bar starts at its instant; a daily bar at midnight of the session's
date in the exchange's zone; a weekly bar at that midnight of its Monday, a monthly bar of the 1st. So a partial week and its
final version are one bar, whichever session's date the vendor gives it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marketfetch.schemas.timespans import Timespan

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Flags, Ints  # imports numpy, which planning does not need

NEW_YORK: Final = "America/New_York"
UTC_ZONE: Final = "UTC"

_FIRST_YEAR: Final = 1500
_LAST_YEAR: Final = 2500
_DAY_MS: Final = 86_400_000
EVENING_MS: Final = 18 * 3_600_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=64)
def zone_info(name: str) -> ZoneInfo:
    """Returns the zone that a vendor or a setting names ("US/Eastern", "UTC+0"). Raises ValueError if there is none."""
    known = {"US/Eastern": NEW_YORK, "EST": NEW_YORK, "EST5EDT": NEW_YORK, "UTC+0": UTC_ZONE, "GMT": UTC_ZONE}
    try:
        return ZoneInfo(known.get(name.strip(), name.strip()))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None


def unix_ms(moment: datetime) -> int:
    """Returns exact Unix ms, without float arithmetic; works before 1970 too."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=65_536)
def day_start_ms(day: date, zone: str) -> int:
    """Returns midnight of `day` in `zone` as Unix ms."""
    return unix_ms(datetime(day.year, day.month, day.day, tzinfo=zone_info(zone)).astimezone(UTC))


def local_date(ts_ms: int, zone: str) -> date:
    """Returns the date in `zone` at a Unix time."""
    return (_EPOCH + timedelta(milliseconds=ts_ms)).astimezone(zone_info(zone)).date()


def period_start(day: date, timespan: Timespan) -> date:
    """Returns the first day of `day`'s week or month; `day` itself for the other timespans."""
    if timespan == "1w":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if timespan == "1mo" else day


def period_end(day: date, timespan: Timespan) -> date:
    """Returns the last day of `day`'s week or month; `day` itself for the other timespans."""
    if timespan == "1w":
        return period_start(day, timespan) + timedelta(days=6)
    if timespan == "1mo":
        return (day.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return day


def bar_start_ms(day: date, timespan: Timespan, zone: str) -> int:
    """Returns the `ts` of a daily or longer bar from any day of its period."""
    return day_start_ms(period_start(day, timespan), zone)


def session_starts(ts: Ints, zone: str) -> tuple[Ints, Flags]:
    """Puts the moments of daily bars on the start of their session's date, and says which ones name no date for certain.

    Vendors give a session's midnight, its close (16:00), or another time of it. A moment after 18:00 is none of these: midnight
    UTC lies in the evening before in New York, so it is uncertain which of the two dates it means.
    """
    import numpy as np

    days, where = np.unique(ts // _DAY_MS, return_inverse=True)
    starts = np.array([[_midnight(int(day) + step, zone) for step in (-1, 0, 1)] for day in days], dtype=np.int64).reshape(
        -1, 3
    )
    begun = starts[where]
    found = np.where(begun <= ts[:, None], begun, np.iinfo(np.int64).min).max(axis=1)
    return found, ts - found > EVENING_MS


def _midnight(unix_day: int, zone: str) -> int:
    return day_start_ms(_EPOCH.date() + timedelta(days=unix_day), zone)


def parse_day(text: object) -> date | None:
    """Parses an ISO date, with or without a time after it; returns None for anything else, and for a year without markets."""
    if not isinstance(text, str):
        return None
    try:
        day = date.fromisoformat(text[:40].strip()[:10])
    except ValueError:
        return None
    # Midnight of the first and the last years that a date can have is, in some zones, no moment that a datetime can have.
    return day if _FIRST_YEAR <= day.year <= _LAST_YEAR else None


def wall_to_unix_ms(walls: Sequence[str], zone: str) -> list[int | None]:
    """Converts wall times (`YYYY-MM-DD HH:MM[:SS]`, ascending) to Unix ms; None if unreadable, or skipped by a clock change.

    When clocks go back, an hour occurs twice: a time means its first occurrence unless the list has already passed it.
    """
    info = zone_info(zone)
    hours: dict[str, tuple[int | None, int | None]] = {}
    found: list[int | None] = []
    latest: int | None = None
    for wall in walls:
        hour = wall[:13]
        if hour not in hours:
            hours[hour] = _hour_starts(hour, info)
        first, second = hours[hour]
        past_ms = _past_hour_ms(wall[13:])
        if first is None or past_ms is None:
            found.append(None)
            continue
        ts = first + past_ms
        if second is not None and latest is not None and ts <= latest:
            ts = second + past_ms
        found.append(ts)
        latest = ts if latest is None else max(latest, ts)
    return found


def _hour_starts(hour: str, info: ZoneInfo) -> tuple[int | None, int | None]:
    """Returns the one or two moments at which this wall hour begins."""
    try:
        naive = datetime.strptime(f"{hour}+0000", "%Y-%m-%d %H%z").replace(tzinfo=None)
    except ValueError:
        return None, None
    if not _FIRST_YEAR <= naive.year <= _LAST_YEAR:
        return None, None
    moments = []
    for fold in (0, 1):
        moment = naive.replace(tzinfo=info, fold=fold).astimezone(UTC)
        if moment.astimezone(info).replace(tzinfo=None) == naive:
            moments.append(unix_ms(moment))
    if not moments:
        return None, None
    return moments[0], moments[-1] if moments[-1] != moments[0] else None


def _past_hour_ms(rest: str) -> int | None:
    """Converts `:MM` or `:MM:SS` to milliseconds."""
    parts = rest.split(":")[1:]
    if not 1 <= len(parts) <= 2 or not all(re.fullmatch(r"[0-5][0-9]", part) for part in parts):
        return None
    return int(parts[0]) * 60_000 + (int(parts[1]) * 1000 if len(parts) == 2 else 0)
