"""The number of live workers, by the heartbeat that each releaser writes to Redis."""

from __future__ import annotations

from typing import Final

from redis import Redis

#: The prefix of the heartbeat keys; behind it stand host and process id.
HEARTBEAT: Final = "mf:releaser:"


def releasers(redis: Redis) -> int:
    """The number of workers that release at this moment. At 0, parked requests wait until a worker starts."""
    return sum(1 for _ in redis.scan_iter(match=f"{HEARTBEAT}*", count=1000))
