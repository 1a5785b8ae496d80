"""A time zone as the moments at which its clocks change: what the view `bars` and a frame count a bar's date by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Before the first zone was introduced, and further ahead than a bar of today can lie.
_FIRST: Final = _EPOCH - timedelta(seconds=4_102_444_800)  # 1840
_LAST: Final = _EPOCH + timedelta(seconds=4_102_444_800)  # 2100
#: No zone of tzdata 2025b has changed its offset and gone back within so short a time.
_STEP: Final = timedelta(days=3)
_SECOND: Final = timedelta(seconds=1)
#: Year 1: every bar has an offset.
_EARLIEST_MS: Final = -62_135_596_800_000


@lru_cache(maxsize=64)
def zone_offsets(zone: str) -> tuple[tuple[int, int], ...]:
    """Each offset from UTC as (Unix ms from which on it holds, seconds), ascending; empty for a zone that is not known here.

    The first one holds from the year 1 on. It takes 0.03 s.
    """
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ()
    at, offset = _FIRST, _FIRST.astimezone(info).utcoffset()
    found = [(_EARLIEST_MS, _seconds(offset))]
    while at < _LAST:
        ahead = at + _STEP
        if ahead.astimezone(info).utcoffset() == offset:
            at = ahead
            continue
        while ahead - at > _SECOND:
            between = at + (ahead - at) // _SECOND // 2 * _SECOND
            if between.astimezone(info).utcoffset() == offset:
                at = between
            else:
                ahead = between
        at, offset = ahead, ahead.astimezone(info).utcoffset()
        found.append((int((at - _EPOCH).total_seconds()) * 1000, _seconds(offset)))
    return tuple(found)


def _seconds(offset: timedelta | None) -> int:
    return 0 if offset is None else int(offset.total_seconds())
