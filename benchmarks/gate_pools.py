"""Calls a second and memory of one worker, by its pool, with a vendor 200 ms away and a key without limits."""

from __future__ import annotations

import time
from typing import Any

import psutil

from benchmarks.testbed import a_testbed, pause, until

_WAYS = (("prefork", 8), ("prefork", 24), ("threads", 8), ("threads", 20), ("threads", 50))
_EACH_WAY_MS = (100.0, 100.0)
#: More than any pool makes in the time that is measured.
_PARKED = 12_000


def pools(short: bool) -> dict[str, Any]:
    """Starts a new worker for each pool, and counts what the vendor gets in ten seconds once the worker is warm.

    PSS divides shared memory among the processes, main process and children. `of ideal`: a
    pool whose slots do nothing but wait makes a call per slot every 200 ms.
    """
    measured_s = 2.0 if short else 10.0
    return {f"{pool} {slots}": _with(pool, slots, measured_s) for pool, slots in (_WAYS[2:3] if short else _WAYS)}


def _with(pool: str, slots: int, measured_s: float) -> dict[str, Any]:
    with a_testbed({"main": ()}, delay=_EACH_WAY_MS) as testbed:
        testbed.park(_PARKED)
        (worker,) = testbed.workers(1, slots=slots, pool=pool)
        until(lambda: testbed.arrived() >= 4 * slots, what=f"{4 * slots} calls", within_s=60)
        main = psutil.Process(worker.pid)
        family = [main, *main.children(recursive=True)]
        cpu_s, arrived, began = _cpu_s(family), testbed.arrived(), time.monotonic()
        pause(measured_s)
        took_s, calls = time.monotonic() - began, testbed.arrived() - arrived
        used = (_cpu_s(family) - cpu_s) / took_s
        memory = [process.memory_full_info() for process in family]
        return {
            "calls/s": round(calls / took_s, 1),
            "of ideal": round(calls / took_s / (slots / 0.2), 2),
            "cores": round(used, 2),
            "processes": len(family),
            "pss_mb": round(sum(one.pss for one in memory) / 2**20),
            "rss_mb": round(sum(one.rss for one in memory) / 2**20),
        }


def _cpu_s(family: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in family)
