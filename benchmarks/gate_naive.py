"""The same work for the same vendor by benchmarks/naive.py, the yardstick for the gate.

`python -m benchmarks.gate_naive COUNT` sends that many of its tasks, in the process of a user.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.gate_broker import Broker
from benchmarks.gate_judged import done, verdict
from benchmarks.gate_parking import requests_of
from benchmarks.gate_scenarios import Scenario
from benchmarks.testbed import a_testbed, until


def naively(scenario: Scenario) -> dict[str, Any]:
    """As `judged`, with two workers of four processes of the naive app."""
    with a_testbed(scenario.limits, concurrency=scenario.concurrency) as testbed:
        for number in range(2):
            testbed.start("-m", "celery", "-A", "benchmarks.naive", "worker", "-c", "4", "-n", f"w{number}@%h", "-l", "info")
        log = testbed.folder / "log"
        until(lambda: log.read_text().count(" ready.") >= 2, what="naive workers", within_s=180)
        with Broker(testbed.redis_url, "naive") as broker:
            testbed.run("-m", "benchmarks.gate_naive", f"{scenario.calls}")
            done(testbed, scenario)
        return verdict(testbed, scenario, broker)


def send(count: int) -> None:
    from benchmarks.naive import fetch

    for _, requests in requests_of(count):
        for one in requests:
            fetch.delay(json.loads(one.arguments))


if __name__ == "__main__":
    send(int(sys.argv[1]))
