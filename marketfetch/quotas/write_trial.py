"""Tries what every process of the gate does: load a script, write by it, publish. For `marketfetch check`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from marketfetch.quotas.key_state import WAKE_CHANNEL
from marketfetch.quotas.scripts import Scripts
from marketfetch.redis_keys import named

if TYPE_CHECKING:
    from redis import Redis

_EXPIRES_MS: Final = 30_000


def try_writing(redis: Redis) -> None:
    """Writes by a script of the gate's into a pool that no vendor has, and deletes it. Raises RedisError.

    What it writes expires, should this process end in between. The script is one that workers load too.
    """
    pool = f"check-{uuid.uuid4().hex}"
    prefix = named(redis, f"mf:{{{pool}}}:")
    try:
        Scripts(redis).keep_raw(keys=[f"{prefix}raws"], args=[prefix, "tried", b"", _EXPIRES_MS, 2])
        redis.publish(named(redis, f"{WAKE_CHANNEL}:{pool}"), pool)
    finally:
        redis.delete(f"{prefix}raws", f"{prefix}raw:tried")
