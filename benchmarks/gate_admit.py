"""The cost of one admit with three windows, beside no-op scripts and the `limits` library, measured in turn; medians."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limits import RateLimitItemPerHour, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis

from benchmarks.gate_parking import requests_of
from marketfetch.local.valkey_server import start_valkey
from marketfetch.quotas import Admission, Gate, KeyLimits, Parking, key_limits
from marketfetch.quotas.limits import pool_argument

KEY = key_limits("main", ["100000/second", "1000000/minute", "10000000/hour"])
_NAMES = ("ready", "delayed", "granted", "running", "held", "tags", "epoch", "counts", "newer")
#: Calls in every window before the first measurement, so that no window is empty.
_PAST = 200


def admit_costs(short: bool) -> dict[str, Any]:
    """Microseconds of the caller's wait: one request, eight at once, and the comparisons."""
    rounds = 300 if short else 2_000
    with tempfile.TemporaryDirectory() as name, start_valkey(Path(name)) as server, Redis.from_url(server.url) as redis:
        gate = Gate(redis, pool="bench")
        fill(gate, rounds * 9 + _PAST)
        for _ in range(_PAST // 8):
            end(gate, ask(gate, 8))
        limiter = MovingWindowRateLimiter(RedisStorage(server.url))
        items = (RateLimitItemPerSecond(100_000), RateLimitItemPerMinute(1_000_000), RateLimitItemPerHour(10_000_000))
        nothing = redis.register_script("return 1")
        names = [f"{gate.prefix}{one}" for one in _NAMES]
        # What admit sends, to the byte: prefix, numbers, epoch, clock and the key with its windows.
        arguments = [
            gate.prefix,
            1,
            10**9,
            10_000,
            30_000,
            500,
            0,
            "",
            0,
            pool_argument((KEY,), int(time.time()) // 60),
            '[""]',
        ]
        times: dict[str, list[float]] = {}

        def timed(name: str, action: Callable[[], Any]) -> Any:
            before = time.perf_counter()
            result = action()
            times.setdefault(name, []).append(time.perf_counter() - before)
            return result

        for _ in range(rounds):
            timed("no-op, same keys", lambda: nothing(keys=names))
            timed("no-op, same keys and arguments", lambda: nothing(keys=names, args=arguments))
            one = timed("admit, 1 request", lambda: ask(gate, 1))
            eight = timed("admit, 8 requests", lambda: ask(gate, 8))
            timed("limits, 3 windows", lambda: [limiter.hit(item, "main") for item in items])
            assert (len(one.grants), len(eight.grants)) == (1, 8)
            end(gate, one)
            end(gate, eight)
    us = {name: statistics.median(some) * 1e6 for name, some in times.items()}
    us["admit, each of 8"] = us["admit, 8 requests"] / 8
    floor, full = us["no-op, same keys"], us["no-op, same keys and arguments"]
    return {
        name: {"us": round(value, 1), "of_no_op": round(value / floor, 2), "of_no_op_with_arguments": round(value / full, 2)}
        for name, value in us.items()
    }


def fill(gate: Gate, count: int) -> None:
    """Parks `count` requests of jobs, with the arguments that feed parks."""
    for job, requests in requests_of(count, symbols=125):
        gate.park([Parking(id=one.id, arguments=one.arguments) for one in requests], job=job, wake=False)


def ask(gate: Gate, room: int, key: KeyLimits = KEY) -> Admission:
    """One admit as the releaser calls it, without the epoch checks."""
    return gate.admit(room=room, most_granted=10**9, keys=(key,))


def end(gate: Gate, admission: Admission) -> None:
    """Starts, finishes and settles the grants, unmeasured, so that every admit meets the same gate."""
    for grant in admission.grants:
        gate.start(grant.id, fence=grant.fence)
        gate.finish(grant.id, fence=grant.fence, batch=b"x")
        gate.settle(grant.id)
