"""`python -m benchmarks.memory_flat [--replies N]`: the memory of a child that reads and stores replies of 42,240 bars.

One child reads 20 symbols again and again, so that the table stays as large as it is. Its PSS and that of its main process are
taken between two commands; a child that was replaced meanwhile is named.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
import psutil

from benchmarks.machine import busy
from benchmarks.reply_server import FIRST_MINUTES, LAST_MINUTES
from benchmarks.testbed import ROOT, Testbed, a_testbed
from marketfetch.storage import open_store

SYMBOLS = 20
BARS = 42_240


@click.command()
@click.option("--replies", default=10_000, show_default=True, help="how many the child reads")
@click.option("--short", is_flag=True, help="200 replies")
def main(replies: int, short: bool) -> None:
    """Prints a line each time the child has read a tenth of them."""
    rounds = (200 if short else replies) // SYMBOLS
    click.echo(f"{rounds * SYMBOLS:,} replies of {BARS:,} bars each, one child; {busy()}")
    with tempfile.TemporaryDirectory() as name, _replies() as url:
        database = f"sqlite:///{name}/bars.db"
        settings = {"MARKETFETCH_PROVIDERS__POLYGON__BASE_URL": url, "MARKETFETCH_DATABASE_URL": database}
        with a_testbed({"main": ()}, delay=False, settings=settings) as testbed:
            open_store(database).create()
            (worker,) = testbed.workers(1, slots=1)
            began = time.monotonic()
            for number in range(1, rounds + 1):
                _fetch(testbed)
                if number == 1 or number % max(1, rounds // 10) == 0:
                    click.echo(f"{number * SYMBOLS:7,} replies, {time.monotonic() - began:6.0f} s: {_memory(worker.pid)}")
            stored = open_store(database).database.read("SELECT count(*) FROM bar_rows")[0][0]
            assert stored == SYMBOLS * BARS, f"{stored} rows"


def _fetch(testbed: Testbed) -> None:
    symbols = [f"S{number}" for number in range(SYMBOLS)]
    asked = ["--start", f"{FIRST_MINUTES}", "--end", f"{LAST_MINUTES}", "--timespan", "1m", "--adjustment", "raw"]
    testbed.run("-m", "marketfetch", "fetch", "polygon", *symbols, *asked, "--again", "--wait", "--json")


def _memory(worker: int) -> str:
    main = psutil.Process(worker)
    children = [f"child {one.pid} {one.memory_full_info().pss / 1e6:.0f} MB" for one in main.children(recursive=True)]
    return ", ".join([f"main {main.memory_full_info().pss / 1e6:.0f} MB", *children])


@contextmanager
def _replies() -> Iterator[str]:
    """The URL of a server of replies of minutes."""
    command = [sys.executable, "-m", "benchmarks.reply_server", "0", "minutes"]
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
