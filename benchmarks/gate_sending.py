"""`python -m benchmarks.gate_sending FIRST COUNT EVERY_MS`: sends tasks one by one, as an app does, and prints the moments.

Task number n asks for a range of its own, from FIRST on, so that no two tasks share a call."""

from __future__ import annotations

import json
import sys
import time
from datetime import date, timedelta

from benchmarks.testbed import pause
from tasks.fetch import polygon


def send(first: int, count: int, *, every_ms: float) -> list[float]:
    """Moments just before each delay(), seconds of the machine's monotonic clock."""
    moments = []
    for number in range(first, first + count):
        start = date(2010, 1, 4) + timedelta(days=number)
        moments.append(time.monotonic())
        polygon.delay("AAPL", start=start.isoformat(), end=(start + timedelta(days=4)).isoformat())
        if every_ms:
            pause(every_ms / 1000)
    return moments


if __name__ == "__main__":
    print(json.dumps(send(int(sys.argv[1]), int(sys.argv[2]), every_ms=float(sys.argv[3]))))
