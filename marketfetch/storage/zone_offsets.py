"""A time zone as the moments at which its clocks change: what the view `bars` and a frame count a bar's date by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Before the first zone was introduced, and further ahead than a bar of today can lie.
_FIRST_S: Final = -4_102_444_800  # 1840
_LAST_S: Final = 4_102_444_800  # 2100
#: No zone of tzdata 2025b has changed its offset and gone back within so short a time.
_STEP_S: Final = 3 * 86_400
#: Year 1: every bar has an offset.
_EARLIEST_MS: Final = -62_135_596_800_000


@lru_cache(maxsize=64)
def zone_offsets(zone: str) -> tuple[tuple[int, int], ...]:
    """Each offset from UTC as (Unix ms from which on it holds, seconds), ascending; empty for a zone that is not known here.

    The first one holds from the year 1 on. It takes a tenth of a second.
    """
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ()
    at, offset = _FIRST_S, _seconds(info, _FIRST_S)
    found = [(_EARLIEST_MS, offset)]
    while at < _LAST_S:
        ahead = at + _STEP_S
        if _seconds(info, ahead) == offset:
            at = ahead
            continue
        while ahead - at > 1:
            between = (at + ahead) // 2
            if _seconds(info, between) == offset:
                at = between
            else:
                ahead = between
        at, offset = ahead, _seconds(info, ahead)
        found.append((at * 1000, offset))
    return tuple(found)


def _seconds(info: ZoneInfo, unix_s: int) -> int:
    offset = (_EPOCH + timedelta(seconds=unix_s)).astimezone(info).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
