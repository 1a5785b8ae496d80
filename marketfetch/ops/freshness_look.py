"""The latest look at which series are behind their calendar, kept in Redis for metrics and notifications.

A look reads every series, so a task makes it every ten minutes (tasks/freshness_task.py), and no scrape does.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from marketfetch import vendors
from marketfetch.ops.staleness import Stale, freshness
from marketfetch.redis_keys import named
from marketfetch.storage.store import Store

if TYPE_CHECKING:
    from redis import Redis

KEY: Final = "mf:freshness"
EVERY_S: Final = 600
#: A look that is older says nothing any more: beat, or every worker, has stopped.
_KEPT_S: Final = 6 * EVERY_S


@dataclass(frozen=True, slots=True)
class OfVendor:
    """Of one vendor: how many series are behind, by how many sessions at most, and which one that is. None that is over."""

    stale: int = 0
    behind: int = 0
    worst: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look has found, by vendor, and when it was made (Unix s)."""

    at_s: float
    vendors: dict[str, OfVendor]


def look(store: Store, redis: Redis) -> Look:
    """Looks at every series, and keeps what it finds. Raises StoreError, RedisError."""
    found = of(freshness(store).stale)
    redis.set(named(redis, KEY), json.dumps(asdict(found)), ex=_KEPT_S)
    return found


def of(stale: list[Stale]) -> Look:
    """The same, from the series that are behind."""
    known = {name: OfVendor() for name in vendors.names()}
    for one in stale:
        if one.over:
            continue
        before = known.get(one.provider, OfVendor())
        worse = one.sessions > before.behind
        worst = f"{one.symbol} {one.timespan}" if worse else before.worst
        known[one.provider] = OfVendor(before.stale + 1, max(before.behind, one.sessions), worst)
    return Look(time.time(), known)


def latest(redis: Redis) -> Look | None:
    """The latest look, None if none was made in the last hour. Raises RedisError."""
    kept = redis.get(named(redis, KEY))
    if kept is None:
        return None
    found = json.loads(kept)
    return Look(found["at_s"], {name: OfVendor(**one) for name, one in found["vendors"].items()})
