"""How often a token may submit: its latest submits stand in Redis, so that all servers count together."""

from __future__ import annotations

import math
import secrets
import time

from marketfetch import connections
from marketfetch.ops.access_tokens import limit_of
from marketfetch.redis_keys import named
from marketfetch.web.callers import Caller
from marketfetch.web.problems import Refused


def count(caller: Caller) -> None:
    """Counts a submit. Raises Refused (429) for one too many, which is not counted, and RedisError."""
    if not (caller.token and caller.submits):
        return
    limit, redis = limit_of(caller.submits), connections.redis()
    key, one, now_ms = named(redis, f"mf:api:submits:{caller.token}"), secrets.token_hex(8), time.time_ns() // 1_000_000
    with redis.pipeline() as pipe:
        pipe.zremrangebyscore(key, "-inf", now_ms - limit.window_ms)
        pipe.zadd(key, {one: now_ms})
        pipe.zrank(key, one)
        pipe.zrange(key, 0, 0, withscores=True)
        pipe.pexpire(key, limit.window_ms)
        *_, place, oldest, _ = pipe.execute()
    if place is not None and place >= limit.count:
        redis.zrem(key, one)
        wait_s = max(1, math.ceil((oldest[0][1] + limit.window_ms - now_ms) / 1000))
        raise Refused(
            429,
            f"The token {caller.name!r} has submitted {caller.submits} already: it may again in {wait_s:,} s.",
            headers={"Retry-After": str(wait_s)},
        )
