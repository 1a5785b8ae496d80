"""Messages: with 10,000 requests parked, the fetch messages per finished request, and the queue's greatest length."""

from __future__ import annotations

from typing import Any

from benchmarks.gate_broker import Broker
from benchmarks.testbed import a_testbed, until

_SLOTS = 8


def delivery(short: bool) -> dict[str, Any]:
    """Two workers of four processes at 50/second, until 1,000 requests are finished."""
    parked, finished = (2_000, 200) if short else (10_000, 1_000)
    with a_testbed({"main": ("50/second",)}) as testbed:
        testbed.park(parked)
        with Broker(testbed.redis_url, "fetch.polygon") as broker:
            testbed.workers()
            until(lambda: testbed.arrived() >= finished, what=f"{finished} calls", within_s=300)
            pushed, arrived, longest = broker.pushed, testbed.arrived(), broker.longest
        ran = pushed - testbed.redis.llen("fetch.polygon")
        left = int(testbed.redis.zcard("mf:{polygon}:ready"))
    return {
        "parked": parked,
        "finished": arrived,
        "messages_each": round(ran / arrived, 3),
        "longest_queue": longest,
        "longest_queue_per_slot": round(longest / _SLOTS, 2),
        "still_parked": left,
    }
