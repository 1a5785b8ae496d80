"""What is true now, as numbers for the metrics: of gates and keys from Redis, of the database from itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from marketfetch import connections, vendors
from marketfetch.configured import keys
from marketfetch.ops import dead_letters, freshness_look, workers
from marketfetch.quotas import Gate, reporting
from marketfetch.redis_keys import named
from marketfetch.storage.database_size import database_bytes
from marketfetch.storage.notifications import Notifications
from marketfetch.storage.store_errors import NoTables

if TYPE_CHECKING:
    from redis import Redis

#: A metric's name, the values of its labels, its value.
Sample = tuple[str, tuple[str, ...], float]

#: The oldest request is looked for among so many at the front of each priority: see `_oldest_s`.
_FRONT: Final = 100
_OF_A_PRIORITY: Final = 1 << 48
_EVENTS: Final = ("parked", "admitted", "paused", "refused", "expired")


def of_redis() -> Iterator[Sample]:
    """The state of every vendor's gate and keys, of workers and dead letters. A dozen round trips. Raises RedisError."""
    redis = connections.redis()
    alive = workers.heartbeats(redis)
    for provider in vendors.names():
        yield "workers", (provider,), sum(1 for one in alive if not one or provider in one)
        yield from _of_gate(provider, connections.gate(provider))
        yield from _of_keys(provider, connections.gate(provider))
    yield "dead_letters", (), redis.xlen(named(redis, dead_letters.KEY))
    if (look := freshness_look.latest(redis)) is not None:
        for provider, one in look.vendors.items():
            yield "series_stale", (provider,), one.stale
            yield "series_behind_sessions", (provider,), one.behind
        yield "freshness_age_seconds", (), max(0.0, time.time() - look.at_s)


def of_database() -> Iterator[Sample]:
    """What the database says of itself, and of notifications. Raises StoreError."""
    store = connections.recorded()
    with suppress(NoTables):  # the first job makes them
        yield "database_bytes", (), database_bytes(store)
        recorded, week_ago_ms = Notifications(store), int(time.time() * 1000) - 7 * 86_400_000
        yield "notifications", ("waiting",), sum(many for _, many, _ in recorded.waiting())
        yield "notifications", ("given up",), sum(many for _, many, _ in recorded.given_up_since(week_ago_ms))


def _of_gate(provider: str, gate: Gate) -> Iterator[Sample]:
    counts, events, health = gate.counts(), gate.events(), reporting.health(gate, keys(provider))
    for state in ("parked", "granted", "running", "held"):
        yield "requests", (provider, state), getattr(counts, state)
    for event in _EVENTS:
        yield "gate_events", (provider, event), getattr(events, event)
    yield "stuck_seconds", (provider,), health.stuck_ms / 1000
    yield "unstarted_requests", (provider,), health.unstarted
    held_bytes, stored_ms, time = _held(gate)
    yield "held_bytes", (provider,), held_bytes
    # Redis keeps when a batch was stored last, or when the oldest waiting one began to wait.
    lag_s = reporting.microseconds(time) / 1e6 - stored_ms / 1000 if counts.held and held_bytes and stored_ms else 0
    yield "ledger_lag_seconds", (provider,), max(0.0, lag_s)
    yield "parked_oldest_seconds", (provider,), _oldest_s(gate, reporting.microseconds(time)) if counts.parked else 0


def _held(gate: Gate) -> tuple[int, int, tuple[int, int]]:
    with gate.redis.pipeline(transaction=False) as pipe:
        pipe.hmget(f"{gate.prefix}counts", ["bytes", "stored"])
        pipe.time()
        (held_bytes, stored_ms), time = pipe.execute()
    return int(held_bytes or 0), int(stored_ms or 0), time


def _oldest_s(gate: Gate, now_us: int) -> float:
    """The age of the oldest request among the first of each priority: a job's requests stand in its order, and jobs take turns.

    The fence of a request begins with the time at which it was parked, in us.
    """
    redis: Redis = gate.redis
    ready_sets = gate.ready_sets()
    with redis.pipeline(transaction=False) as pipe:
        for ready, priority in product(ready_sets, range(10)):
            lowest, end = priority * _OF_A_PRIORITY, (priority + 1) * _OF_A_PRIORITY
            pipe.zrangebyscore(ready, lowest, f"({end}", start=0, num=_FRONT)
        front: list[Any] = [one for some in pipe.execute() for one in some]
    with redis.pipeline(transaction=False) as pipe:
        for one in front:
            pipe.hget(f"{gate.prefix}req:{one.decode()}", "f")
        fences = [int(one) for one in pipe.execute() if one]
    return max(0.0, (now_us - min(fences, default=now_us)) / 1e6)


def _of_keys(provider: str, gate: Gate) -> Iterator[Sample]:
    for key in reporting.report(gate, keys(provider)) if keys(provider) else ():
        own = (provider, key.label)
        for limit in key.limits:
            yield "key_limit_used", (*own, limit.text), limit.used
            yield "key_limit_allowed", (*own, limit.text), limit.allowed
        yield "key_open_calls", own, key.open_calls
        yield "key_paused_seconds", own, key.paused_ms / 1000
        yield "key_set_aside", own, bool(key.aside_why)
        yield "key_suspected", own, bool(key.suspected_why)
