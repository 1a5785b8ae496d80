"""`python -m benchmarks.whole_way`: from a vendor's reply to stored rows, whole commands, beside a script without any promise.

Ours is `marketfetch fetch ... --wait` beside a running worker: gate, checks, ledger, coverage, recovery and an fsync at each
commit. The script is `benchmarks/asyncio_script.py`. Both ask the same server on loopback for the same replies of 5,217 bars,
and are timed from their start as processes until they have ended, in turn. CPU is that of all that serves the command: itself,
the worker with its children, Valkey, and Postgres; the server of replies counts for neither.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import psutil

from benchmarks.reply_server import FIRST, LAST, prepared
from benchmarks.testbed import ROOT, Testbed, a_testbed
from marketfetch.local.postgres_server import start_postgres
from marketfetch.storage import open_store

BARS = 5_217


class Took(NamedTuple):
    """Seconds by the clock, and of CPU."""

    wall: float
    cpu: float


@click.command()
@click.option("--replies", default="200,800", show_default=True, help="how many replies, sizes with commas between them")
@click.option("--rounds", default=3, show_default=True, help="how often each is run")
@click.option("--children", default=2, show_default=True, help="processes of the worker")
@click.option("--only", default="", help="sqlite or postgres")
@click.option("--short", is_flag=True, help="20 replies, once")
def main(replies: str, rounds: int, children: int, only: str, short: bool) -> None:
    """Prints a line for each database and size: medians, and how many times as fast as the script."""
    sizes, rounds = ([20], 1) if short else (list(map(int, replies.split(","))), rounds)
    click.echo(
        f"{'replies of 5,217 bars':24}{'script s':>10}{'ours s':>9}{'script/ours':>13}{'CPU s':>9}{'CPU s':>8}{'ratio':>7}"
    )
    for database in ("sqlite", "postgres"):
        for count in sizes if only in database else ():
            runs = [_pair(database, count, children) for _ in range(rounds)]
            theirs, ours = (Took(*map(median, zip(*some, strict=True))) for some in zip(*runs, strict=True))
            click.echo(
                f"{f'{database}, {count}':24}{theirs.wall:10.2f}{ours.wall:9.2f}{theirs.wall / ours.wall:13.2f}"
                f"{theirs.cpu:9.2f}{ours.cpu:8.2f}{theirs.cpu / ours.cpu:7.2f}"
            )


def _pair(database: str, count: int, children: int) -> tuple[Took, Took]:
    """The script and ours, each into an empty database."""
    assert prepared().count(b'"t":') == BARS
    with tempfile.TemporaryDirectory() as name, _replies() as url:
        if database == "sqlite":
            theirs, ours = f"{name}/script.db", f"sqlite:///{name}/ours.db"
            return _script(url, theirs, count, None), _command(url, ours, count, children, None)
        with start_postgres(Path(name) / "postgres", durable=True) as server:
            both = server.database("script"), server.database("ours")
            return _script(url, both[0], count, server.pid), _command(url, both[1], count, children, server.pid)


def _script(url: str, database: str, count: int, server: int | None) -> Took:
    before, began = _cpu_s(server), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.asyncio_script", url, database, str(count)], cwd=ROOT)
    own = _ended(process)
    return Took(time.perf_counter() - began, own + _cpu_s(server) - before)


def _command(url: str, database: str, count: int, children: int, server: int | None) -> Took:
    settings = {"MARKETFETCH_PROVIDERS__POLYGON__BASE_URL": url, "MARKETFETCH_DATABASE_URL": database}
    with a_testbed({"main": ()}, delay=False, settings=settings) as testbed:
        open_store(database).create()
        (worker,) = testbed.workers(1, slots=children)
        serving = [worker.pid, int(testbed.redis.info("server")["process_id"]), *([server] if server else [])]
        before, began = _cpu_s(*serving), time.perf_counter()
        own = _ended(_fetching(testbed, count))
        took = Took(time.perf_counter() - began, own + _cpu_s(*serving) - before)
        stored = open_store(database).database.read("SELECT count(*) FROM bar_rows")[0][0]
        assert stored == count * BARS, f"{stored} rows"
        return took


def _fetching(testbed: Testbed, count: int) -> subprocess.Popen[bytes]:
    symbols = [f"S{number}" for number in range(count)]
    asked = ["fetch", "polygon", *symbols, "--start", f"{FIRST}", "--end", f"{LAST}", "--adjustment", "raw", "--wait", "--json"]
    return testbed.start("-m", "marketfetch", *asked)


def _ended(process: subprocess.Popen[bytes]) -> float:
    """Waits for the end of a process; its CPU. Raises RuntimeError if it failed."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def _cpu_s(*pids: int | None) -> float:
    """CPU of processes and their children, those that have ended too."""
    parents = [psutil.Process(pid) for pid in pids if pid]
    living = [child for one in parents for child in one.children(recursive=True)]
    return sum(sum(one.cpu_times()[:4]) for one in parents) + sum(sum(one.cpu_times()[:2]) for one in living)


@contextmanager
def _replies() -> Iterator[str]:
    """The URL of a server of replies."""
    command = [sys.executable, "-m", "benchmarks.reply_server"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(20)


if __name__ == "__main__":
    main()
