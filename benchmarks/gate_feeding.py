"""Seconds from `submit` of a job of 10,000 requests until all of them are parked, with two workers running.

`python -m benchmarks.gate_feeding COUNT`: submits one such job in the process of a user and prints the seconds.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.testbed import a_testbed
from marketfetch.local.postgres_server import start_postgres

SYMBOLS = ["".join(letters) for letters in itertools.product("ABCDEFGHIJ", repeat=4)]
#: Nearly everything stays parked, so that only feeding is measured.
LIMITS = {"main": ("5/minute",)}


def feeding(short: bool) -> dict[str, Any]:
    """SQLite and Postgres: seconds inside `submit`, and of the whole command with Python's start."""
    rounds, count = (1, 2_000) if short else (3, 10_000)
    found: dict[str, Any] = {"SQLite": _fed(rounds, count)}
    with tempfile.TemporaryDirectory() as name, start_postgres(Path(name), durable=True) as postgres:
        found["Postgres"] = _fed(rounds, count, {"MARKETFETCH_DATABASE_URL": postgres.database("feeding")})
    return found


def _fed(rounds: int, count: int, settings: dict[str, str] | None = None) -> dict[str, Any]:
    submits, commands = [], []
    with a_testbed(LIMITS, settings=settings) as testbed:
        testbed.workers()
        for number in range(rounds):
            before = testbed.redis.zcard("mf:{polygon}:ready")
            submits.append(float(testbed.run("-m", "benchmarks.gate_feeding", f"{count}", f"{number}")))
            parked = testbed.redis.zcard("mf:{polygon}:ready") - before
            assert parked >= count - 30, f"only {parked} of {count} are parked"
        for number in range(rounds):
            start = time.perf_counter()
            day = f"2023-02-{number + 1:02d}"
            testbed.run("-m", "marketfetch", "fetch", "polygon", *SYMBOLS[:count], "--start", day, "--end", "2023-03-01")
            commands.append(time.perf_counter() - start)
    return {
        "requests": count,
        "submit_s": round(statistics.median(submits), 2),
        "command_s": round(statistics.median(commands), 2),
    }


def submit_one(count: int, number: int) -> float:
    """Seconds of one submit."""
    from marketfetch import submit

    start = time.perf_counter()
    job = submit("polygon", SYMBOLS[:count], start=date(2024, 1, 2 + number), end=date(2024, 2, 2))
    took = time.perf_counter() - start
    assert job.requests == count
    return took


if __name__ == "__main__":
    print(submit_one(int(sys.argv[1]), int(sys.argv[2])))
