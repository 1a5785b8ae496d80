"""Messages: with 10,000 requests parked, how many fetch messages a finished request costs, and how long the queue ever was."""

from __future__ import annotations

from typing import Any

from benchmarks.gate_broker import Broker
from benchmarks.gate_place import a_place, until

_SLOTS = 8


def delivery(short: bool) -> dict[str, Any]:
    """Two workers of four processes at 50/second, until 1,000 requests are finished."""
    parked, finished = (2_000, 200) if short else (10_000, 1_000)
    with a_place({"main": ("50/second",)}) as place:
        place.park(parked)
        with Broker(place.redis_url, "fetch.polygon") as broker:
            place.workers()
            until(lambda: place.arrived() >= finished, what=f"{finished} calls", within_s=300)
            pushed, arrived, longest = broker.pushed, place.arrived(), broker.longest
        ran = pushed - place.redis.llen("fetch.polygon")
        left = int(place.redis.zcard("mf:{polygon}:ready"))
    return {
        "parked": parked,
        "finished": arrived,
        "messages_each": round(ran / arrived, 3),
        "longest_queue": longest,
        "longest_queue_per_slot": round(longest / _SLOTS, 2),
        "still_parked": left,
    }
