"""A vendor's limit as it is written: "5/minute", "300/10seconds", "50/second", "25/day@America/New_York"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_FORM: Final = re.compile(r"(\d+)/(\d*\.?\d*)\s*(second|minute|hour|day)s?(?:@([\w/+-]+))?(?:;.*)?")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` arrivals within any `window_s` seconds; with a `zone`, within a calendar day there."""

    text: str
    count: int
    window_s: float
    zone: str | None = None

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Parses a limit; options behind a ";" are for the client and are ignored. Raises ValueError with the reason."""
        match = _FORM.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is not a limit: write for example 5/minute, 300/10seconds or 25/day@America/New_York")
        count, many, unit, zone = match.groups()
        if zone is not None:
            ZoneInfo(zone)
        return cls(text, int(count), float(many or 1) * _SECONDS[unit], zone)

    def period(self, wall_s: float) -> int:
        """The calendar day (ordinal) that a wall clock time falls in; only for limits with a zone."""
        return datetime.fromtimestamp(wall_s, ZoneInfo(self.zone) if self.zone else UTC).toordinal()


@lru_cache(maxsize=256)
def parsed(text: str) -> Limit:
    return Limit.parse(text)
