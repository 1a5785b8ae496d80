"""`python -m benchmarks.peers_compared PYTHON [--short]`: other queues and loaders, each beside ours in one run.

PYTHON is the interpreter of the environment with benchmarks/peers/requirements.txt. The queue alone: tasks that add one to a
counter in Redis, four processes each; CPU of all worker processes and of Valkey from the first task sent to the last one done.
The way of a reply: symbols with twenty years of daily bars from the sandbox into SQLite, the whole command.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.machine import busy, cpu_s, family
from benchmarks.peers.names import names
from benchmarks.testbed import Testbed, a_testbed, secret, until

_SLOTS: Final = 4
_WARM_UP: Final = 50


@dataclass(frozen=True, slots=True)
class Queue:
    """A task queue: `module` has the task and sends, `worker` consumes with four processes."""

    title: str
    module: str
    worker: tuple[str, ...]


QUEUES: Final = (
    Queue(
        "Celery",
        "celery_peer",
        ("-m", "celery", "-A", "benchmarks.peers.celery_peer", "worker", "-l", "error", "-c", f"{_SLOTS}"),
    ),
    Queue(
        "huey",
        "huey_peer",
        ("-m", "huey.bin.huey_consumer", "benchmarks.peers.huey_peer.huey", "-k", "process", "-w", f"{_SLOTS}", "-q"),
    ),
    Queue("dramatiq", "dramatiq_peer", ("-m", "dramatiq", "benchmarks.peers.dramatiq_peer", "-p", f"{_SLOTS}", "-t", "1")),
    Queue("taskiq", "taskiq_peer", ("-m", "taskiq", "worker", "benchmarks.peers.taskiq_peer:broker", "-w", f"{_SLOTS}")),
)


@click.command()
@click.argument("python", type=click.Path(exists=True, dir_okay=False))
@click.option("--short", is_flag=True, help="few tasks and symbols, one round")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def main(python: str, short: bool, as_json: bool) -> None:
    """Measures the peers and prints medians."""
    # The peers start in folders of their own. Not resolved: the interpreter of an environment is a link.
    python = str(Path(python).absolute())
    tasks, symbols, rounds = (300, 5, 1) if short else (5_000, 100, 3)
    found: dict[str, list[dict[str, float]]] = {}

    def noted(name: str, figures: dict[str, float]) -> None:
        click.echo(f"{name}: {figures}", err=True)
        found.setdefault(name, []).append(figures)

    for _ in range(rounds):
        for queue in QUEUES:
            noted(f"queue alone: {queue.title}", queue_alone(queue, python, tasks))
        for name, load in LOADERS.items():
            noted(f"{symbols} symbols stored: {name}", loaded(load, python, symbols))
    medians = {
        name: {figure: round(statistics.median(one[figure] for one in some), 2) for figure in some[0]}
        for name, some in found.items()
    }
    if as_json:
        report = {"load": busy(), "rounds": rounds, "tasks": tasks, "symbols": symbols, "medians": medians}
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(f"medians of {rounds}; load {busy()}")
    for name, figures in medians.items():
        click.echo(f"{name:38} " + ", ".join(f"{figure} {value:,}" for figure, value in figures.items()))


def queue_alone(queue: Queue, python: str, tasks: int) -> dict[str, float]:
    """Tasks per second, and CPU per task of all worker processes and of Valkey."""
    with _a_vendor() as testbed:
        worker = testbed.start(*queue.worker, python=python)
        valkey = int(testbed.redis.info("server")["process_id"])

        def send(count: int) -> None:
            testbed.run("-m", f"benchmarks.peers.{queue.module}", f"{count}", python=python)

        def done(count: int) -> Callable[[], bool]:
            return lambda: int(testbed.redis.get("done") or 0) >= count

        send(_WARM_UP)
        until(done(_WARM_UP), what=f"the first tasks of {queue.title}", within_s=300)
        processes = family(worker.pid)
        before, before_valkey, began = cpu_s(processes), cpu_s([valkey]), time.monotonic()
        send(tasks)
        until(done(_WARM_UP + tasks), what=f"{tasks} tasks of {queue.title}", within_s=900)
        took_s = time.monotonic() - began
        return {
            "tasks/s": tasks / took_s,
            "CPU ms": (cpu_s(processes) - before) / tasks * 1e3,
            "Valkey ms": (cpu_s([valkey]) - before_valkey) / tasks * 1e3,
        }


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a loader has used besides its own command, and the bars that it has stored."""

    rows: int
    workers_cpu_s: float = 0.0


def loaded(load: Callable[[Testbed, str, int], Loaded], python: str, symbols: int) -> dict[str, float]:
    """Rows per second of the whole command, and CPU per thousand rows of all processes but the vendor and Valkey."""
    with _a_vendor() as testbed:
        before, began = _children_cpu_s(), time.monotonic()
        result = load(testbed, python, symbols)
        took_s, used_s = time.monotonic() - began, _children_cpu_s() - before + result.workers_cpu_s
        return {"rows/s": result.rows / took_s, "CPU ms per 1,000 rows": used_s / result.rows * 1e6, "rows": result.rows}


def by_us(testbed: Testbed, _python: str, symbols: int) -> Loaded:
    """`marketfetch fetch --wait` with a worker that runs already; checked rows, ledger and coverage."""
    (worker,) = testbed.workers(1, slots=_SLOTS)
    processes = family(worker.pid)
    before = cpu_s(processes)
    testbed.run(
        "-m", "marketfetch", "fetch", "polygon", *names(symbols), "--start", "2005-01-03", "--end", "2024-12-31", "--wait"
    )
    return Loaded(_rows(testbed, "marketfetch.db", "bars"), cpu_s(processes) - before)


def by_dlt(testbed: Testbed, python: str, symbols: int) -> Loaded:
    """dlt's `rest_api` source with `write_disposition="merge"`."""
    testbed.run("-m", "benchmarks.peers.dlt_peer", f"{symbols}", python=python)
    return Loaded(_rows(testbed, "dlt__peer.db", "bars"))


LOADERS: Final = {"marketfetch": by_us, "dlt rest_api, merge": by_dlt}


@contextmanager
def _a_vendor() -> Iterator[Testbed]:
    """A testbed whose folder tells the peers where Redis and the vendor are."""
    with a_testbed({"main": ()}, delay=False) as testbed:
        places = {"redis": testbed.redis_url, "vendor": testbed.vendors.url, "key": secret("main")}
        (testbed.folder / "places.json").write_text(json.dumps(places))
        yield testbed


def _rows(testbed: Testbed, file: str, table: str) -> int:
    with closing(sqlite3.connect(testbed.folder / file)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
