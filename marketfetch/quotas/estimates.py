"""Estimates of when calls may be made at the limits of a pool's keys: shown to people, never used by the gate.

The next calls are played through, from what each window counts now, so that a window of 5 a minute gives five calls at once and
then none for a minute; calls further ahead follow at the long-run rate.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

from marketfetch.quotas.limits import Calendar, KeyLimits, Window
from marketfetch.quotas.values import KeyReport

_DAY_S: Final = 86_400
#: How many calls ahead are played through, one by one.
_PLAYED: Final = 2_000
_ROUNDS: Final = (8, 32, 128, 512, _PLAYED)
#: A window of more calls counts as a steady rate behind what is free now.
_MOST_COUNTED: Final = 1_000


def calls_per_second(keys: Sequence[KeyLimits]) -> float | None:
    """The long-run rate that the keys allow together; None when no limit or no key is configured."""
    if not keys:
        return None
    paces = [_pace(key) for key in keys]
    pooled = [one.count / one.window_ms * 1000 for key in keys for one in key.windows if one.pool]
    own = None if None in paces else sum(pace for pace in paces if pace is not None)
    return min(pooled + ([] if own is None else [own]), default=None)


def seconds_for(calls: int, keys: Sequence[KeyLimits], now: Sequence[KeyReport] = ()) -> float:
    """Seconds from now until the last of `calls` may be made; 0 without limits, or where no key is in service.

    `now` is the current use of the limits; without it they count as unused, and a process plays the same calls through once
    a minute, not for each task that it sends behind a backlog.
    """
    if now:
        return Timetable(keys, now).seconds(calls) or 0.0
    played = next((one for one in _ROUNDS if one >= calls), _PLAYED)
    # The minute, since a calendar day ends.
    return _unused(tuple(keys), int(time.time() // 60), played).seconds(calls) or 0.0


@lru_cache(maxsize=32)
def _unused(keys: tuple[KeyLimits, ...], minute: int, played: int) -> Timetable:  # noqa: ARG001 (until the next minute)
    """The timetable of limits without use, played through so far that no question of `played` calls changes it."""
    found = Timetable(keys)
    found.seconds(played)
    return found


class Timetable:
    """When the next calls of a pool may be made. Each question plays on from the one before.

    `every_s`: what lies between two calls that no limit keeps apart. A window of 20 calls opens call by call as they were made,
    so the last of many calls is late by what 20 of them take.
    """

    def __init__(self, keys: Sequence[KeyLimits], now: Sequence[KeyReport] = (), *, every_s: float = 0.0) -> None:
        reports = {one.label: one for one in now}
        known = [(key, reports.get(key.label)) for key in keys]
        usable = [(key, report) for key, report in known if report is None or not report.aside_why]
        shared: dict[str, _Limit] = {}
        self._keys = [_Key(key, report, shared) for key, report in usable]
        self._every_s = every_s
        self._pace = calls_per_second([key for key, _ in usable])
        self._times: list[float] = []

    def seconds(self, calls: int) -> float | None:
        """Seconds from now until the last of `calls` may be made; None where no key is in service."""
        if not self._keys:
            return None
        if calls <= 0:
            return 0.0
        if self._pace is None:
            return min(key.opens_s for key in self._keys) + (calls - 1) * self._every_s
        while len(self._times) < min(calls, _PLAYED):
            at, key = min(((key.at(), key) for key in self._keys), key=lambda one: one[0])
            self._times.append(max(at, self._times[-1] + self._every_s if self._times else 0.0))
            key.made(self._times[-1])
        further = max(0, calls - _PLAYED) * max(1 / self._pace, self._every_s)
        return self._times[min(calls, _PLAYED) - 1] + further


class _Limit(Protocol):
    def at(self) -> float:
        """When it allows one more call, in seconds from now; 0 for now."""
        ...

    def made(self, at_s: float) -> None:
        """A call is made then."""
        ...


class _Key:
    def __init__(self, key: KeyLimits, now: KeyReport | None, shared: dict[str, _Limit]) -> None:
        self.opens_s = now.paused_ms / 1000 if now else 0.0
        self._limits: list[_Limit] = []
        for number, limit in enumerate(key.limits):
            one = _limit(limit, number, now)
            # The keys of a pool have one window together.
            self._limits.append(shared.setdefault(limit.text, one) if isinstance(limit, Window) and limit.pool else one)

    def at(self) -> float:
        return max([self.opens_s, *(limit.at() for limit in self._limits)])

    def made(self, at_s: float) -> None:
        for limit in self._limits:
            limit.made(at_s)


class _Sliding:
    """A window of few calls: a call counts for `window_s` after it was made."""

    def __init__(self, count: int, window_s: float, counted_s: Sequence[float]) -> None:
        self._ends = deque(counted_s[-count:], maxlen=count)
        self._count, self._window_s = count, window_s

    def at(self) -> float:
        return max(0.0, self._ends[0]) if len(self._ends) == self._count else 0.0

    def made(self, at_s: float) -> None:
        self._ends.append(at_s + self._window_s)


class _Steady:
    """A window of many calls: what is free now, then one call after the other at its rate."""

    def __init__(self, free: int, opens_s: float, every_s: float) -> None:
        self._free, self._next_s, self._every_s = free, opens_s, every_s

    def at(self) -> float:
        return 0.0 if self._free > 0 else self._next_s

    def made(self, at_s: float) -> None:
        if self._free > 0:
            self._free -= 1
        else:
            self._next_s = max(self._next_s, at_s) + self._every_s


class _Day:
    """A calendar quota. A day counts as 24 hours."""

    def __init__(self, count: int, used: int, ends_s: float) -> None:
        self._count, self._left, self._ends_s = count, count - used, ends_s

    def at(self) -> float:
        return 0.0 if self._left > 0 else self._ends_s

    def made(self, at_s: float) -> None:
        while at_s >= self._ends_s:
            self._left, self._ends_s = self._count, self._ends_s + _DAY_S
        self._left -= 1


def _limit(limit: Window | Calendar, number: int, now: KeyReport | None) -> _Limit:
    use = now.limits[number] if now and number < len(now.limits) else None
    if isinstance(limit, Calendar):
        moment = datetime.now(UTC)
        ends_s = next(end for _, _, end in limit.periods(moment)[1:]) / 1e6 - moment.timestamp()
        return _Day(limit.count, use.used if use else 0, ends_s)
    window_s = limit.window_ms / 1000
    if limit.count > _MOST_COUNTED:
        used, resets_ms = (use.used, max(0, use.resets_ms)) if use else (0, 0)
        return _Steady(limit.count - used, resets_ms / 1000, window_s / limit.count)
    counted = now.counted_ms[number] if now and number < len(now.counted_ms) else None
    return _Sliding(limit.count, window_s, [ms / 1000 for ms in counted or ()])


def _pace(key: KeyLimits) -> float | None:
    paces = [one.count / one.window_ms * 1000 for one in key.windows if not one.pool]
    paces += [one.count / _DAY_S for one in key.calendars]
    return min(paces, default=None)
