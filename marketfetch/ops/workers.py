"""The live workers, by the heartbeat that each releaser writes to Redis, with the vendors whose queues it consumes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from marketfetch.quotas.key_state import WAKE_CHANNEL
from marketfetch.quotas.reporting import microseconds
from marketfetch.redis_keys import named

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

#: The prefix of the heartbeat keys; behind it stand host and process id. The value names the vendors, separated by blanks; it
#: is empty where the release before has written it, which releases for every queue that its worker consumed at its start.
HEARTBEAT: Final = "mf:releaser:"
#: The same heartbeats in one hash, so that a command need not look through all keys of Redis: by name, the Unix time (s) at
#: which it expires, then the vendors.
_TOGETHER: Final = "mf:releasers"
_LIVES_S: Final = 15


def own_name() -> str:
    """The name of this process's heartbeat."""
    return f"{HEARTBEAT}{socket.gethostname()}:{os.getpid()}"


def beat(redis: Redis, name: str, vendors: Sequence[str]) -> None:
    """Renews the heartbeat of this releaser, and removes those that have expired. Raises RedisError."""
    seconds, micros = redis.time()
    together = named(redis, _TOGETHER)
    found = redis.hgetall(together)
    expired = [other for other, value in found.items() if _expires_s(value) <= seconds]
    with redis.pipeline() as pipe:
        pipe.set(named(redis, name), " ".join(vendors), ex=_LIVES_S)
        pipe.hset(together, name, " ".join([f"{seconds + micros / 1e6 + _LIVES_S:.3f}", *vendors]))
        pipe.expire(together, _LIVES_S)
        if expired:
            pipe.hdel(together, *expired)
        pipe.execute()


def stop_beating(redis: Redis, name: str) -> None:
    """Removes the heartbeat of this releaser. Raises RedisError."""
    with redis.pipeline() as pipe:
        pipe.delete(named(redis, name))
        pipe.hdel(named(redis, _TOGETHER), name)
        pipe.execute()


def ask(redis: Redis, pipe: Pipeline) -> None:
    """Adds the question for the heartbeats to a pipeline; `live` reads the reply."""
    pipe.hgetall(named(redis, _TOGETHER))


def live(reply: Mapping[bytes, bytes], now_us: int) -> list[tuple[str, ...]]:
    """As `heartbeats`, without the workers of the release before."""
    return [tuple(value.decode().split()[1:]) for value in reply.values() if _expires_s(value) * 1e6 > now_us]


def _expires_s(value: bytes | str) -> float:
    return float(_text(value).partition(" ")[0])


def releasers(redis: Redis) -> int:
    """The number of workers that release at this moment. At 0, parked requests wait until a worker starts."""
    return len(heartbeats(redis))


def heartbeats(redis: Redis) -> list[tuple[str, ...]]:
    """The vendors of each worker that releases at this moment; () for one that does not name them.

    Looks through all keys only if more releasers listen for wake messages than the hash names: a worker of the release before
    has a key alone, and a million parked requests are a million keys. Raises RedisError.
    """
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        ask(redis, pipe)
        pipe.pubsub_numsub(named(redis, WAKE_CHANNEL))
        now, together, [(_, listeners)] = pipe.execute()
    alive = live(together, microseconds(now))
    if listeners <= len(alive):
        return alive
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
