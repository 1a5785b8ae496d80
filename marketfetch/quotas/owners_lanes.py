"""The lanes of owners that have parked requests, as they stand in Redis. Each function costs one round trip; see lanes.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from redis import Redis

    from marketfetch.quotas.limits import KeyLimits


def names(redis: Redis, prefix: str) -> set[bytes]:
    """The lanes of owners that may have parked requests."""
    return cast("set[bytes]", redis.smembers(f"{prefix}lanes"))


def parked(redis: Redis, prefix: str, lanes: Collection[bytes]) -> list[int]:
    """How many requests are parked in each of these lanes."""
    with redis.pipeline(transaction=False) as pipe:
        for one in lanes:
            pipe.zcard(f"{prefix}ready:{one.decode()}")
        return cast("list[int]", pipe.execute())


def to_serve(redis: Redis, prefix: str, keys: Sequence[KeyLimits]) -> tuple[str, ...]:
    """The lane without an owner, and those of owners with parked requests that one of the keys serves.

    Thousands of owners may have keys, and few have requests at one moment. No round trip where no key has an owner.
    """
    owned = {lane for key in keys for lane in key.lanes if lane}
    return ("", *sorted(owned & {one.decode() for one in names(redis, prefix)})) if owned else ("",)
