"""Estimates of how long calls take at the limits of a pool's keys: shown to people, never used by the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from marketfetch.quotas.limits import KeyLimits
from marketfetch.quotas.values import KeyReport

_DAY_S: Final = 86_400


def calls_per_second(keys: Sequence[KeyLimits]) -> float | None:
    """The long-run rate that the keys allow together; None when no limit or no key is configured."""
    if not keys:
        return None
    paces = [_pace(key) for key in keys]
    pooled = [one.count / one.window_ms * 1000 for key in keys for one in key.windows if one.pool]
    own = None if None in paces else sum(pace for pace in paces if pace is not None)
    return min(pooled + ([] if own is None else [own]), default=None)


def seconds_for(calls: int, keys: Sequence[KeyLimits], now: Sequence[KeyReport] = ()) -> float:
    """Seconds from now until the last of `calls` may be made; 0 without limits.

    `now` is the current use of the limits; without it they count as unused.
    """
    pace = calls_per_second(keys)
    if pace is None:
        return 0.0
    opens_s = min(((one.opens_ms or 0) / 1000 for one in now), default=0.0)
    free = sum(_free(key, next((one for one in now if one.label == key.label), None)) for key in keys)
    return opens_s + max(0.0, (calls - free) / pace)


def _pace(key: KeyLimits) -> float | None:
    paces = [one.count / one.window_ms * 1000 for one in key.windows if not one.pool]
    paces += [one.count / _DAY_S for one in key.calendars]
    return min(paces, default=None)


def _free(key: KeyLimits, now: KeyReport | None) -> int:
    """The number of calls that this key may make at this moment."""
    used = [] if now is None else [one.used for one in now.limits]
    allowed = [one.count for one in key.limits]
    return max(0, min((n - taken for n, taken in zip(allowed, used or [0] * len(allowed), strict=True)), default=0))
