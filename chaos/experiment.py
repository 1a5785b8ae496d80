"""One run: submits, injects faults, waits, audits. Two phases: all faults at once, then Redis emptied during a quieter job."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import psycopg

from chaos.audit import audit
from chaos.fault_injection import INJECTIONS
from chaos.installation import Installation, an_installation, faults, pause, until
from chaos.leftovers import left_over, vendor_calls, wait_for_quiet
from chaos.results import Emptied, Phase, Results
from chaos.workload import PROVIDERS, Job, Limits, Size, injections, jobs, limits
from marketfetch.sandbox.sessions import NEW_YORK

Log = Callable[[str], None]

#: A run that takes this many times as long as an undisturbed one counts as stuck.
_AT_MOST: Final = 3.0


def run(size: Size, *, seed: int, folder: Path, settings: Mapping[str, str], log: Log) -> Results:
    """Runs both phases; `log` gets progress sentences. Raises RuntimeError when the installation can't be set up."""
    today, mine = datetime.now(NEW_YORK).date(), limits(size)
    first = jobs(seed, size.requests, skip=0, today=today)
    # So many that the limits alone make it last for some seconds: Redis is emptied in the middle.
    second = jobs(seed, max(60, size.requests // 7), skip=size.requests, today=today)
    with an_installation(folder, seed=seed, limits=mine, settings=settings) as installation:
        for job in first:
            installation.submit(job)
        faults(installation)
        installation.start_workers(size)
        phase = _chaos(installation, size, mine, seed=seed, log=log)
        installation.vendors.control.clear_faults()
        emptied = _emptied(installation, second, done=phase.over, log=log, within_s=size.seconds + 120)
        left = {
            f"{name}, phase {n}": keys
            for n, each in enumerate((phase.left, left_over(installation)), 1)
            for name, keys in each.items()
        }
        installation.end_workers()
        left["processes"] = installation.processes()
        left["temporary tables"] = [
            str(one[0]) for one in installation.rows("SELECT relname FROM pg_class WHERE relpersistence = 't'")
        ]
        return Results(
            seed=seed,
            limits={name: asdict(one) for name, one in mine.items()},
            chaos=phase,
            emptied=emptied,
            books=audit(installation, first + second),
            left=left,
            own_ends=[code for worker in installation.workers for code in worker.own_ends],
            log=_log_counts(installation.logs()),
        )


def _chaos(installation: Installation, size: Size, mine: Mapping[str, Limits], *, seed: int, log: Log) -> Phase:
    phase, draw, todo = Phase(size.requests), random.Random(seed), list(injections(seed, size))
    begin, done = time.monotonic(), Counter[str]()
    deadline, logged_at, wall = begin + size.seconds * _AT_MOST + 120, 0.0, time.time()
    while time.monotonic() < deadline:
        installation.tend()
        now_s = time.monotonic() - begin
        if todo and todo[0].at_s <= now_s:
            fault = todo[0]
            if INJECTIONS[fault.name](installation, draw):
                done[fault.name] += 1
            todo.pop(0)
            if not todo:
                phase.last_blow_s, phase.remaining = time.monotonic() - begin, _remaining(installation, size)
                log(f"{phase.last_blow_s:.0f} s: the last fault; to do: {phase.remaining}")
            continue
        if now_s - logged_at > 1:
            logged_at = now_s
            phase.over = _count(installation, phase.over)
            if int(now_s) % 30 == 0:
                log(f"{now_s:.0f} s: {phase.over} of {size.requests} requests are over")
            if phase.over >= size.requests:
                break
        pause(0.05)
    ((last,),) = installation.rows("SELECT extract(epoch FROM max(over_at)) FROM ledger")
    phase.took_s = float(last) - wall
    phase.recovered_s = phase.took_s - phase.last_blow_s
    phase.needed_s = max(mine[name].seconds_for(count) for name, count in phase.remaining.items())
    phase.blows = dict(sorted(done.items()))
    wait_for_quiet(installation)
    phase.left, phase.calls = left_over(installation), vendor_calls(installation)
    with installation.redis() as redis:
        phase.unacked, phase.dead = int(redis.hlen("unacked")), int(redis.xlen("mf:dead"))
    log(f"{phase.took_s:.0f} s: {phase.over} of {size.requests} requests are over")
    return phase


def _emptied(installation: Installation, second: list[Job], *, done: int, within_s: float, log: Log) -> Emptied:
    """FLUSHALL in the middle of a job; requests that are over by then must not be fetched again."""
    found = Emptied(sum(len(job.symbols) for job in second))
    before, begin = vendor_calls(installation).violations, time.monotonic()
    for job in second:
        installation.submit(job)
    until(lambda: _count(installation, 0) >= done + found.requests * 0.4, what="40 % of the second phase", within_s=within_s)
    over = set(installation.rows("SELECT provider, symbol FROM ledger"))
    flushed = time.monotonic()
    with installation.redis() as redis:
        redis.flushall()
    found.over_before = len(over) - done
    log(f"Redis is emptied with {found.over_before} of {found.requests} requests over")
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and _count(installation, 0) < done + found.requests:
        installation.tend()
        pause(0.5)
    wait_for_quiet(installation)
    found.over = _count(installation, 0) - done
    found.took_s = time.monotonic() - begin
    found.violations = vendor_calls(installation).violations - before
    # The sandbox uses this machine's clock. A call may have been on its way for the length of the delays.
    late = flushed + 0.2
    for provider, keys in installation.vendors.control.log(full=True)["providers"].items():
        for account in keys.values():
            found.again += sum(1 for at, symbol in account["arrivals"] if at > late and (provider, symbol) in over)
    return found


def _count(installation: Installation, otherwise: int) -> int:
    try:
        return sum(installation.over().values())
    except psycopg.OperationalError:
        return otherwise


def _remaining(installation: Installation, size: Size) -> dict[str, int]:
    over = installation.over()
    each = {name: len(range(n, size.requests, len(PROVIDERS))) for n, name in enumerate(PROVIDERS)}
    return {name: count - over.get(name, 0) for name, count in each.items()}


def _log_counts(text: str) -> dict[str, int]:
    """The workers' logs, counted: lines by level and event, and tracebacks."""
    found = Counter[str]({"Traceback": text.count("Traceback (most recent call last)")})
    for line in text.splitlines():
        if match := re.match(r"\S+Z \[(warning|error|critical)\s*\] ([^=]*?)(?:\s{2,}|\s\S+=|\s*\[|$)", line):
            found[f"{match[1]}: {match[2][:80].strip()}"] += 1
    return dict(found.most_common())
