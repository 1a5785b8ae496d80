"""`python -m benchmarks.calls_at_latency [--short]`: calls a second to a vendor that is 100 ms away each way, and the memory.

Threads, as a call that waits needs no core: one worker with 60 threads, and two with 50. Memory is PSS, in which pages that
processes share count once.
"""

from __future__ import annotations

import time

import click
import psutil

from benchmarks.machine import busy, family
from benchmarks.testbed import a_testbed, until

_ONE_WAY_MS = (100.0, 100.0)


def calls(requests: int, *, workers: int, threads: int) -> tuple[float, float, int]:
    """Calls a second, MB of the workers, and calls over a limit, of which the vendor knows none here."""
    with a_testbed({"main": ()}, delay=_ONE_WAY_MS) as testbed:
        started = testbed.workers(workers, slots=threads, pool="threads")
        testbed.run("-m", "benchmarks.one_row_requests", "park", f"{requests}")
        until(lambda: testbed.arrived() >= requests // 10, what="the first calls", within_s=120)
        before, began = testbed.arrived(), time.monotonic()
        until(lambda: testbed.arrived() >= requests * 5 // 6, what="most calls", within_s=600)
        rate = (testbed.arrived() - before) / (time.monotonic() - began)
        processes = [psutil.Process(pid) for one in started for pid in family(one.pid)]
        return rate, sum(one.memory_full_info().pss for one in processes) / 1e6, testbed.violations()


@click.command()
@click.option("--short", is_flag=True, help="fewer calls")
def main(short: bool) -> None:
    """Prints a line for each way to start workers."""
    requests = 1_000 if short else 6_000
    print(f"{requests:,} requests, 200 ms of network each; {busy()}")
    for workers, threads in ((1, 60), (2, 50)):
        rate, pss_mb, over = calls(requests, workers=workers, threads=threads)
        print(f"{workers} workers of {threads} threads: {rate:4.0f} calls/s, {pss_mb:4.0f} MB PSS, {over} over a limit")


if __name__ == "__main__":
    main()
