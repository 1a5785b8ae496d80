"""Limits as people write them, and as the gate's scripts take them.

5/minute   300/10seconds   2/second     at most N calls in any such span of time (a sliding window)
25/day@America/New_York                 at most N calls a calendar day of that zone
5/minute;strict                         count a call until W after its reply, whatever W is (the default from 10 s on)
50/second;slack=100ms                   the way to the vendor never varies by more: a slot may open that long after sending
60/minute;pool                          all keys together, where the vendor counts per address
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_FORM: Final = re.compile(r"(\d+)\s*/\s*(\d*)\s*(second|minute|hour|day|s|m|h|d)s?(?:@([\w/+-]+))?((?:\s*;\s*[\w=.]+)*)")
_DAY_S: Final = 86_400
#: Larger numbers don't fit those that the gate's scripts count with.
MOST_COUNT: Final = 1_000_000_000
LONGEST_WINDOW_DAYS: Final = 366
_MOST_DIGITS: Final = 18
_SHORT: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_EXAMPLES: Final = '"5/minute", "300/10seconds", "25/day@America/New_York"'

#: Calls of a longer window, and of a calendar day, are reserved in the database: such a window can't just count as full when
#: the gate has lost its history.
LONGEST_FULL_MS: Final = 60_000

#: A shorter window gains more by reopening a little early than a slow call can cost it.
STRICT_FROM_MS: Final = 10_000


class LimitError(ValueError):
    """A limit's text can't be parsed; the message shows the accepted forms."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` calls in any `window_ms`. `slack_ms` None: no promise about the way to the vendor."""

    text: str
    count: int
    window_ms: int
    strict: bool
    slack_ms: int | None = None
    pool: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """At most `count` calls in a calendar day of `zone`."""

    text: str
    count: int
    zone: str

    @property
    def zone_info(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def counter(self, label: str, day: str) -> str:
        """The counter of a day's calls in admit.lua: named by zone, so that a changed number keeps the count."""
        return f"day:{label}:{self.zone}:{day}"

    def periods(self, now: datetime) -> list[tuple[str, int, int]]:
        """Yesterday, today and tomorrow as (date, start, end) in Unix microseconds; a day may have 23 to 25 hours."""
        zone = self.zone_info
        today = now.astimezone(zone).date()
        starts = [_day_start(datetime.combine(today + timedelta(days=n), time(), tzinfo=zone)) for n in (-1, 0, 1, 2)]
        days = [(today + timedelta(days=n)).isoformat() for n in (-1, 0, 1)]
        return [(day, start, end) for day, start, end in zip(days, starts, starts[1:], strict=False)]


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """All that limits one key. `concurrency` None: as many open calls as there are workers.

    `lanes`: the lanes that it serves (marketfetch/quotas/lanes.py), "" for that of requests without an owner.
    `secret_print`: says whether two labels stand for one secret, "" where that is not known.
    """

    label: str
    windows: tuple[Window, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    concurrency: int | None = None
    lanes: tuple[str, ...] = ("",)
    secret_print: str = ""

    @property
    def limits(self) -> tuple[Window | Calendar, ...]:
        """The windows, then the calendar days: the order of a KeyReport."""
        return (*self.windows, *self.calendars)

    @property
    def most_stamps(self) -> int:
        """How many call stamps are kept so that every window can be judged, also after a limit was raised."""
        return max([1000, *(window.count for window in self.windows)])

    def most_in(self, span_ms: int) -> int:
        """The most calls that the windows allow in any `span_ms`; 0 where there is no window."""
        return min((window.count * (span_ms // window.window_ms + 1) for window in self.windows), default=0)

    @property
    def remembered_s(self) -> int:
        """The seconds for which a stamp is kept: two days, or a day more than the longest window."""
        return max([2 * _DAY_S, *(window.window_ms // 1000 + _DAY_S for window in self.windows)])

    @property
    def reserved_windows(self) -> tuple[Window, ...]:
        """The windows whose calls are reserved in the database before they are made."""
        return tuple(window for window in self.windows if window.window_ms > LONGEST_FULL_MS)

    @property
    def most_reserved_ahead(self) -> int:
        """The largest reservation: a hundredth of the smallest limit whose calls are reserved, 0 where none are."""
        counts = [window.count for window in self.reserved_windows] + [calendar.count for calendar in self.calendars]
        return max(1, min(counts) // 100) if counts else 0

    def terms(self, now: datetime) -> dict[str, Any]:
        """What limits the key, as admit.lua decodes it: in microseconds, with the calendar days around `now`."""
        return {
            "concurrency": self.concurrency or 0,
            "keep": self.most_stamps,
            "ttl": self.remembered_s,
            "slack": min((one.slack_ms for one in self.windows if one.slack_ms is not None), default=-1) * 1000,
            "windows": [[one.count, one.window_ms * 1000, int(one.strict), int(one.pool)] for one in self.windows],
            "calendars": [[one.zone, one.count, one.periods(now)] for one in self.calendars],
            "lanes": self.lanes,
        }


def parse(text: str) -> Window | Calendar:
    """A limit as it is written in settings. Raises LimitError."""
    found = _FORM.fullmatch(text.strip().lower() if "@" not in text else _lower_before_zone(text.strip()))
    if found is None:
        raise LimitError(f"the limit {text!r} is not understood; write it like {_EXAMPLES}")
    if len(found[1]) > _MOST_DIGITS or len(found[2]) > _MOST_DIGITS:
        raise LimitError(
            f"the limit {text[:60]!r} is too large: at most {MOST_COUNT:,} calls in at most {LONGEST_WINDOW_DAYS} days"
        )
    count, many, unit, zone, options = int(found[1]), int(found[2] or 1), _SHORT.get(found[3], found[3]), found[4], found[5]
    if count < 1 or many < 1:
        raise LimitError(f"the limit {text!r} allows nothing; leave the key out instead")
    if count > MOST_COUNT or many * _UNITS[unit] > LONGEST_WINDOW_DAYS * _DAY_S:
        raise LimitError(f"the limit {text!r} is too large: at most {MOST_COUNT:,} calls in at most {LONGEST_WINDOW_DAYS} days")
    if zone is not None:
        if unit != "day" or many != 1 or options:
            raise LimitError(f"the limit {text!r} names a zone, which only a plain day has: 25/day@America/New_York")
        return Calendar(text="".join(text.split()), count=count, zone=_zone(zone, text))
    window_ms = many * _UNITS[unit] * 1000
    strict, slack_ms, pool = window_ms >= STRICT_FROM_MS, None, False
    for option in (part.strip() for part in options.split(";") if part.strip()):
        slack = re.fullmatch(r"slack=(\d{1,9})ms", option)
        if option == "strict":
            strict = True
        elif option == "pool":
            pool = True
        elif slack:
            strict, slack_ms = False, int(slack[1])
        else:
            raise LimitError(f"the limit {text!r} has an option {option!r}; there are strict, pool and slack=100ms")
    return Window(text=text, count=count, window_ms=window_ms, strict=strict, slack_ms=slack_ms, pool=pool)


def key_limits(label: str, limits: Sequence[str], *, concurrency: int | None = None, reserve: float = 0.0) -> KeyLimits:
    """One key with its limits, each less the share `reserve` (0 to 1) that is left for others. Raises LimitError."""
    parsed = [replace(one, count=max(1, int(one.count * (1 - reserve)))) for one in map(parse, limits)]
    calendars: dict[str, Calendar] = {}
    for one in parsed:
        # Of two limits on the days of one zone the smaller one satisfies both, and a call counts once.
        if isinstance(one, Calendar) and one.count < calendars.get(one.zone, Calendar("", 1 << 60, "")).count:
            calendars[one.zone] = one
    return KeyLimits(
        label=label,
        windows=tuple(one for one in parsed if isinstance(one, Window)),
        calendars=tuple(calendars.values()),
        concurrency=concurrency,
    )


@lru_cache(maxsize=64)
def pool_argument(keys: tuple[KeyLimits, ...], minute: int, lanes: tuple[str, ...] = ("",)) -> str:
    """The keys of a pool that serve one of these lanes as admit.lua decodes them, JSON: `{"terms": [...], "keys": [...]}`.

    A key is its label, the place of its terms, counted from 1, and the print of its secret. The terms come with the calendar
    days around `minute` (Unix time / 60); those that many keys of one plan have in common stand there once.
    """
    now = datetime.fromtimestamp(minute * 60, UTC)
    together = {
        "pool_keep": max((one.most_stamps for one in keys), default=0),
        "pool_ttl": max((one.remembered_s for one in keys), default=0),
    }
    places: dict[KeyLimits, int] = {}
    listed: list[tuple[str, int, str]] = []
    for key in keys:
        if not set(lanes).isdisjoint(key.lanes):
            plan = replace(key, label="", secret_print="")
            listed.append((key.label, places.setdefault(plan, len(places) + 1), key.secret_print))
    return json.dumps({"terms": [{**plan.terms(now), **together} for plan in places], "keys": listed}, separators=(",", ":"))


def _lower_before_zone(text: str) -> str:
    head, _, zone = text.partition("@")
    return f"{head.lower()}@{zone}"


def _zone(name: str, text: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise LimitError(
            f"the limit {text!r} names a zone {name!r} that does not exist, such as America/New_York does"
        ) from None
    return name


def _day_start(midnight: datetime) -> int:
    """The first moment of a local date in Unix microseconds; where clocks skip midnight, it is the moment after the gap."""
    first = midnight.astimezone(UTC)
    # zoneinfo reads a nonexistent midnight with the offset before the gap: the instant is right, its local date is the day's.
    while first.astimezone(midnight.tzinfo).date() < midnight.date():
        first += timedelta(minutes=15)
    return int(first.timestamp()) * 1_000_000
