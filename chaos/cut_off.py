"""`python -m chaos.cut_off`: two workers on two machines, one of which is cut off for a while, and then joined again.

Valkey, Postgres and the vendors are on a third machine. The worker that is cut off can neither report nor be stopped: what it
had sent may arrive at the vendor late, and what it holds must be done by the other. Prints the report as JSON, and exits with 1
if a promise was broken.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from chaos import sizes
from chaos.audit import AuditResult, audit
from chaos.installation import Installation, an_installation, pause, until
from chaos.leftovers import left_over, vendor_calls, wait_for_quiet
from chaos.machines import APART, SERVERS, Machines, refusal
from chaos.results import Calls
from chaos.worker_process import Worker
from chaos.workload import Size, jobs, limits
from marketfetch.sandbox.sessions import NEW_YORK

_QUIET: Final = {"worker_crashes": 0, "redis_crashes": 0, "redis_away_s": 0, "cuts": 0, "postgres_away_s": 0, "workers": 2}
_SIZE: Final = Size(requests=360, seconds=60, **_QUIET)
_SHORT: Final = Size(requests=90, seconds=18, **_QUIET)
#: A call that a worker has made, in its log.
_DONE: Final = "] fetched "
#: No vendor knows ZZZZA.
_FAILED: Final = "SELECT count(*) FROM ledger WHERE outcome = 'failed' AND symbol NOT LIKE 'ZZZZ%'"


@dataclass(frozen=True, slots=True)
class CutOff:
    """What was found. `returned_s`: from the moment of the joining until the worker that was cut off had done a task again."""

    requests: int
    over: int
    cut_s: float
    over_meanwhile: int
    returned_s: float
    calls: Calls
    books: AuditResult
    left: dict[str, list[str]]
    failed: int
    own_ends: list[int]
    tracebacks: int

    def broken(self) -> list[str]:
        """The promises that were not kept."""
        books = self.books
        must_be_none: dict[str, Any] = {
            "calls over a limit": self.calls.violations,
            "requests lost": self.requests - self.over,
            "rows missing": books.missing,
            "rows doubled": books.doubled,
            "rows altered": books.altered,
            "requests that failed, though the vendor knows them": self.failed,
            "requests left in Redis": sum(map(len, self.left.values())),
            "workers that ended": len(self.own_ends),
        }
        return [f"{what}: {count}" for what, count in must_be_none.items() if count]


def run(folder: Path, *, size: Size, cut_s: float, settings: Mapping[str, str], seed: int = 1) -> CutOff:
    """Runs it; only inside of `APART`. Raises RuntimeError when something did not happen in time."""
    names = ("machine-1", "machine-2")
    machines, cut = Machines(*names), names[1]
    wishes = jobs(seed, size.requests, skip=0, today=datetime.now(NEW_YORK).date())
    with an_installation(folder, seed=seed, limits=limits(size), settings=settings, address=SERVERS) as installation:
        with ThreadPoolExecutor() as threads:
            list(threads.map(installation.submit, wishes))
        installation.workers = [
            Worker(name, folder, installation.env, pool="prefork", slots=size.slots, before=machines.on(name)) for name in names
        ]
        cut_worker = installation.workers[1]
        within_s = size.seconds + 120
        until(lambda: all(_done(one) > 1 for one in installation.workers), what="both workers fetch", within_s=within_s)
        machines.cut_off(cut)
        before = _over(installation)
        pause(cut_s)
        meanwhile, done = _over(installation) - before, _done(cut_worker)
        machines.join(cut)
        joined = time.monotonic()
        until(lambda: _done(cut_worker) > done, what="the worker that was cut off does tasks again", within_s=within_s)
        returned_s = time.monotonic() - joined
        until(lambda: _over(installation) >= size.requests, what="all requests are over", within_s=within_s)
        wait_for_quiet(installation)
        ended = [worker.process.returncode for worker in installation.workers if worker.process.poll() is not None]
        for worker in installation.workers:
            worker.kill()
        return CutOff(
            requests=size.requests,
            over=_over(installation),
            cut_s=cut_s,
            over_meanwhile=meanwhile,
            returned_s=round(returned_s, 1),
            calls=vendor_calls(installation),
            books=audit(installation, wishes),
            left=left_over(installation),
            failed=installation.rows(_FAILED)[0][0],
            own_ends=ended,
            tracebacks=installation.logs().count("Traceback (most recent call last)"),
        )


def _over(installation: Installation) -> int:
    return sum(installation.over().values())


def _done(worker: Worker) -> int:
    return worker.log.read_text(errors="replace").count(_DONE)


@click.command()
@click.option("--cut", "cut_s", type=click.FloatRange(1, 600), default=30, show_default=True, help="Seconds without a network.")
@click.option("--short", is_flag=True, help="The small run of the test suite, with shorter leases.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Work in this folder and leave it.")
@click.option("--inside", is_flag=True, hidden=True)
def main(*, cut_s: float, short: bool, keep: Path | None, inside: bool) -> None:
    """Cuts one of two machines off, and reports what is lost."""
    if not inside:
        if why := refusal():
            raise click.ClickException(f"no namespaces on this machine: {why}; run it as root on Linux, with iproute2")
        os.execvp(APART[0], [*APART, sys.executable, "-m", "chaos.cut_off", "--inside", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        size, settings = (_SHORT, sizes.CUT_SETTINGS) if short else (_SIZE, sizes.FULL_SETTINGS)
        found = run(folder, size=size, cut_s=cut_s, settings=settings)
    click.echo(json.dumps({"broken": found.broken(), **asdict(found)}, indent=2))
    raise SystemExit(bool(found.broken()))


if __name__ == "__main__":
    main()
