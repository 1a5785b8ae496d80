"""Memory of a worker (main and children) with nothing, 10,000 and 100,000 requests parked beside what it works on."""

from __future__ import annotations

from typing import Any

import psutil

from benchmarks.gate_place import a_place, pause, until

_WORKED_ON = 300


def worker_memory(short: bool) -> dict[str, Any]:
    """Each time a new worker of four processes, at 50/second, looked at when it has served the same number of calls.

    PSS, which shares out what processes have in common; RSS beside it, which counts that once for each.
    """
    levels = (0, 2_000) if short else (0, 10_000, 100_000)
    found: dict[str, Any] = {f"{parked:,} parked": _with(parked) for parked in levels}
    first = found["0 parked"]
    for figures in found.values():
        figures["more_pss_mb"] = round(figures["pss_mb"] - first["pss_mb"], 1)
    return found


def _with(parked: int) -> dict[str, Any]:
    # After the calls that every round makes, the day is over: what is parked stays so while memory is looked at.
    with a_place({"main": ("50/second", f"{_WORKED_ON}/hour")}) as place:
        place.park(_WORKED_ON + parked)
        (worker,) = place.workers(1)
        until(lambda: place.arrived() >= _WORKED_ON, what=f"{_WORKED_ON} calls", within_s=120)
        pause(3)
        main = psutil.Process(worker.pid)
        all_of_it = [main, *main.children(recursive=True)]
        memory = [process.memory_full_info() for process in all_of_it]
        return {
            "processes": len(memory),
            "pss_mb": round(sum(one.pss for one in memory) / 2**20, 1),
            "rss_mb": round(sum(one.rss for one in memory) / 2**20, 1),
            "main_pss_mb": round(memory[0].pss / 2**20, 1),
        }
