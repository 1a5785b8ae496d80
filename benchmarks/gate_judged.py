"""How much of a limit is used, judged by the vendor: our two workers of four processes."""

from __future__ import annotations

import math
import os
from typing import Any

from benchmarks.gate_broker import Broker
from benchmarks.gate_place import Place, a_place, until
from benchmarks.gate_scenarios import Scenario


def judged(scenario: Scenario) -> dict[str, Any]:
    """Parks n requests, waits until the vendor has got n calls, and asks its judge."""
    with a_place(scenario.limits, concurrency=scenario.concurrency) as place:
        place.workers()
        with Broker(place.redis_url, "fetch.polygon") as broker:
            place.park(scenario.calls)
            done(place, scenario)
        return verdict(place, scenario, broker)


def done(place: Place, scenario: Scenario) -> None:
    """Waits for n calls, ten times as long as an ideal caller would need."""
    seconds = 60 + 10 * scenario.ideal_s()
    until(lambda: place.arrived() >= scenario.calls, what=f"{scenario.calls} calls", within_s=seconds, every_s=0.5)


def verdict(place: Place, scenario: Scenario, broker: Broker) -> dict[str, Any]:
    """Calls over a limit, use, messages. Use = the ideal seconds for n calls / first to last arrival."""
    by_key = place.arrivals()
    arrivals = sorted(at for key, some in by_key.items() for at in some)
    span_s = arrivals[-1] - arrivals[0]
    found: dict[str, Any] = {
        "calls": len(arrivals),
        "over": place.violations(),
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
        round_trip_s = place.round_trip_s()
        found["round_trip_ms"] = round(round_trip_s * 1000, 1)
        found["bound"] = round(0.99 * scenario.window_s / (scenario.window_s + round_trip_s), 4)
    return found


def ideal_by_formula(scenario: Scenario) -> float:
    """W x (ceil(n / N) - 1): what `ideal_s` must say where all windows have the same W."""
    return scenario.window_s * (math.ceil(scenario.calls / scenario.count) - 1)
