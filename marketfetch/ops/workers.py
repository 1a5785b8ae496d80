"""The live workers, by the heartbeat that each releaser writes to Redis, with the vendors whose queues it consumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from redis import Redis

from marketfetch.redis_keys import named

#: The prefix of the heartbeat keys; behind it stand host and process id. The value names the vendors, separated by blanks; it
#: is empty where the release before has written it, which releases for every queue that its worker consumed at its start.
HEARTBEAT: Final = "mf:releaser:"


def releasers(redis: Redis) -> int:
    """The number of workers that release at this moment. At 0, parked requests wait until a worker starts."""
    return len(heartbeats(redis))


def heartbeats(redis: Redis) -> list[tuple[str, ...]]:
    """The vendors of each worker that releases at this moment; () for one that does not name them. Raises RedisError."""
    names = list(redis.scan_iter(match=f"{named(redis, HEARTBEAT)}*", count=1000))
    return [tuple(_text(value).split()) for value in redis.mget(names)] if names else []


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def unserved(provider: str, alive: Sequence[tuple[str, ...]]) -> str:
    """A sentence if none of these workers consumes the vendor's queue, so that nothing is granted; "" otherwise."""
    if any(not one or provider in one for one in alive):
        return ""
    queue = f"fetch.{provider}"
    return (
        f"No worker is running that consumes the queue {queue}, so nothing of {provider} is fetched. Start one "
        "(`marketfetch up`, `celery -A marketfetch worker`), or let one that runs consume it: "
        f"`celery -A marketfetch control add_consumer {queue}`."
    )
