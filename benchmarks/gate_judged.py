"""The use of a limit, judged by the vendor: our two workers of four processes."""

from __future__ import annotations

import math
import os
from typing import Any

from benchmarks.gate_broker import Broker
from benchmarks.gate_scenarios import Scenario
from benchmarks.testbed import Testbed, a_testbed, until


def judged(scenario: Scenario) -> dict[str, Any]:
    """Parks n requests, waits until the vendor has received n calls, and reads its judge's report."""
    with a_testbed(scenario.limits, concurrency=scenario.concurrency) as testbed:
        testbed.workers()
        with Broker(testbed.redis_url, "fetch.polygon") as broker:
            testbed.park(scenario.calls)
            done(testbed, scenario)
        return verdict(testbed, scenario, broker)


def done(testbed: Testbed, scenario: Scenario) -> None:
    """Waits for n calls, ten times as long as an ideal caller would need."""
    seconds = 60 + 10 * scenario.ideal_s()
    until(lambda: testbed.arrived() >= scenario.calls, what=f"{scenario.calls} calls", within_s=seconds, every_s=0.5)


def verdict(testbed: Testbed, scenario: Scenario, broker: Broker) -> dict[str, Any]:
    """Calls over a limit, use, messages. Use = the ideal seconds for n calls / first to last arrival."""
    by_key = testbed.arrivals()
    arrivals = sorted(at for key, some in by_key.items() for at in some)
    span_s = arrivals[-1] - arrivals[0]
    found: dict[str, Any] = {
        "calls": len(arrivals),
        "over": testbed.violations(),
        "seconds": round(span_s, 2),
        "ideal_s": round(scenario.ideal_s(len(arrivals)), 2),
        "use": round(scenario.ideal_s(len(arrivals)) / span_s, 4),
        "messages_each": round(broker.pushed / len(arrivals), 3),
        "longest_queue": broker.longest,
        "first_burst_s": round(arrivals[min(scenario.count, len(arrivals)) - 1] - arrivals[0], 3),
        "load": round(os.getloadavg()[0], 1),
        "arrivals": [round(at - arrivals[0], 3) for at in arrivals],
    }
    if scenario.window_s <= 1:
        round_trip_s = testbed.round_trip_s()
        found["round_trip_ms"] = round(round_trip_s * 1000, 1)
        found["bound"] = round(0.99 * scenario.window_s / (scenario.window_s + round_trip_s), 4)
    return found


def ideal_by_formula(scenario: Scenario) -> float:
    """W x (ceil(n / N) - 1): equals `ideal_s` where all windows have the same W."""
    return scenario.window_s * (math.ceil(scenario.calls / scenario.count) - 1)
