"""How often a token may submit: its latest submits stand in Redis, so that all servers count together."""

from __future__ import annotations

import math
import secrets
from functools import lru_cache
from importlib.resources import files

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
    key = named(redis, f"mf:api:submits:{caller.token}")
    wait_ms = redis.register_script(_text())(keys=[key], args=[secrets.token_hex(8), limit.count, limit.window_ms])
    if wait_ms:
        wait_s = math.ceil(wait_ms / 1000)
        raise Refused(
            429,
            f"The token {caller.name!r} has submitted {caller.submits} already: it may again in {wait_s:,} s.",
            headers={"Retry-After": str(wait_s)},
        )


@lru_cache(maxsize=1)
def _text() -> str:
    return (files("marketfetch.web") / "submit_quota.lua").read_text(encoding="utf-8")
