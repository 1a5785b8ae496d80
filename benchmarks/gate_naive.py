"""The same work for the same vendor by benchmarks/naive.py: what a gate of one's own is to be compared with.

`python -m benchmarks.gate_naive COUNT` sends that many of its tasks, in the process of a user.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.gate_broker import Broker
from benchmarks.gate_judged import done, verdict
from benchmarks.gate_parking import requests_of
from benchmarks.gate_place import a_place, until
from benchmarks.gate_scenarios import Scenario


def naively(scenario: Scenario) -> dict[str, Any]:
    """As `judged`, with two workers of four processes of the naive app."""
    with a_place(scenario.limits, concurrency=scenario.concurrency) as place:
        for number in range(2):
            place.start("-m", "celery", "-A", "benchmarks.naive", "worker", "-c", "4", "-n", f"w{number}@%h", "-l", "info")
        log = place.folder / "log"
        until(lambda: log.read_text().count(" ready.") >= 2, what="naive workers", within_s=180)
        with Broker(place.redis_url, "naive") as broker:
            place.run("-m", "benchmarks.gate_naive", f"{scenario.calls}")
            done(place, scenario)
        return verdict(place, scenario, broker)


def send(count: int) -> None:
    from benchmarks.naive import fetch

    for _, requests in requests_of(count):
        for one in requests:
            fetch.delay(json.loads(one.arguments))


if __name__ == "__main__":
    send(int(sys.argv[1]))
