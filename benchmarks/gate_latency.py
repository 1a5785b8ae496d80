"""The latency from parked to the vendor, with an idle worker and a vendor without delay."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from benchmarks.testbed import a_testbed, secret, until


def latency(short: bool) -> dict[str, Any]:
    """ms, from delay() and from the moment a slot opens to the arrival at the vendor."""
    sent, opened = (30, 10) if short else (300, 60)
    return {"delay() to arrival": _spread(_from_delay(sent)), "slot's opening to arrival": _spread(_from_opening(opened))}


def _from_delay(count: int) -> list[float]:
    """Uses a key with room for all calls: every task finds its slot open, and the worker idle."""
    with a_testbed({"main": ("1000/second",)}, delay=False) as testbed:
        testbed.workers()
        testbed.run("-m", "benchmarks.gate_sending", "0", "16", "50")  # every child has called once
        until(lambda: testbed.arrived() >= 16, what="the first calls", within_s=30)
        moments = json.loads(testbed.run("-m", "benchmarks.gate_sending", "16", f"{count}", "130"))
        until(lambda: testbed.arrived() >= 16 + count, what=f"{count} calls", within_s=60)
        arrivals = testbed.arrivals()[secret("main")][16:]
        return [(at - sent) * 1000 for sent, at in zip(moments, arrivals, strict=True)]


def _from_opening(count: int) -> list[float]:
    """One call a second: a slot opens a window after the stamp of the call before, which the gate keeps."""
    with a_testbed({"main": ("1/second",)}, delay=False) as testbed:
        testbed.workers()
        testbed.park(count)
        until(lambda: testbed.arrived() >= count, what=f"{count} calls", within_s=60 + 3 * count)
        offset = time.time() - time.monotonic()
        arrivals = [at + offset for at in testbed.arrivals()[secret("main")]]
        until(lambda: testbed.redis.zcard("mf:{polygon}:early:main") >= count, what="the last stamp", within_s=30)
        stamps = [at / 1e6 for _, at in testbed.redis.zrange("mf:{polygon}:early:main", 0, -1, withscores=True)]
        openings = [stamp + 1.0 for stamp in sorted(stamps)]
        found = [(at - open_at) * 1000 for open_at, at in zip(openings, itertools.islice(arrivals, 1, None), strict=False)]
        # The first calls of new processes open connections: they measure a worker's start, not its latency.
        return found[4:]


def _spread(ms: list[float]) -> dict[str, Any]:
    some = sorted(ms)
    at = {name: some[min(int(len(some) * share), len(some) - 1)] for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
    return {**{f"{name}_ms": round(value, 1) for name, value in at.items()}, "most_ms": round(some[-1], 1), "calls": len(some)}
