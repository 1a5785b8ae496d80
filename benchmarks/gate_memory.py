"""The memory of a worker (main and children) with no, 10,000 and 100,000 further requests parked."""

from __future__ import annotations

from typing import Any

import psutil

from benchmarks.testbed import a_testbed, pause, until

_WORKED_ON = 300


def worker_memory(short: bool) -> dict[str, Any]:
    """Starts a new worker of four processes for each level, at 50/second, and measures it after the same number of calls.

    PSS divides shared memory among the processes; RSS counts it once for each.
    """
    levels = (0, 2_000) if short else (0, 10_000, 100_000)
    found: dict[str, Any] = {f"{parked:,} parked": _with(parked) for parked in levels}
    first = found["0 parked"]
    for figures in found.values():
        figures["more_pss_mb"] = round(figures["pss_mb"] - first["pss_mb"], 1)
    return found


def _with(parked: int) -> dict[str, Any]:
    # The hourly limit stops the calls after the first ones: the parked requests stay parked while memory is measured.
    with a_testbed({"main": ("50/second", f"{_WORKED_ON}/hour")}) as testbed:
        testbed.park(_WORKED_ON + parked)
        (worker,) = testbed.workers(1)
        until(lambda: testbed.arrived() >= _WORKED_ON, what=f"{_WORKED_ON} calls", within_s=120)
        pause(3)
        main = psutil.Process(worker.pid)
        processes = [main, *main.children(recursive=True)]
        memory = [process.memory_full_info() for process in processes]
        return {
            "processes": len(memory),
            "pss_mb": round(sum(one.pss for one in memory) / 2**20, 1),
            "rss_mb": round(sum(one.rss for one in memory) / 2**20, 1),
            "main_pss_mb": round(memory[0].pss / 2**20, 1),
        }
