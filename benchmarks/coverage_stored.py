"""`python -m benchmarks.coverage_stored`: what coverage adds to storing a reply, on SQLite and on Postgres.

The same batches with what they cover and without it, each into a database of its own, in turn; medians. "First": the first
reply of a series; "next": its next days, so that a row of the table grows. Prices as traded: of adjusted ones the writer looks
at the stored actions, too. Postgres' CPU is that of the session's backend.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
import numpy as np

from benchmarks.reply_generator import make, read
from marketfetch.local.postgres_server import start_postgres
from marketfetch.schemas.ledger import Batch
from marketfetch.storage import open_store
from marketfetch.storage.store import Store

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000


@click.command()
@click.option("--replies", default=150, show_default=True, help="replies of each kind")
@click.option("--bars", default="250,5000", show_default=True, help="bars a reply")
def main(replies: int, bars: str) -> None:
    """Prints a line for each database, size and kind of reply."""
    click.echo(f"{'ms a reply':28}{'without':>9}{'with':>9}{'more':>7}{'':4}{'CPU without':>12}{'with':>9}{'more':>7}")
    for count in map(int, bars.split(",")):
        with tempfile.TemporaryDirectory() as name:
            urls = [f"sqlite:///{name}/{one}.db" for one in ("without", "with")]
            _measure("SQLite", urls, count, replies, lambda _: None)
        with tempfile.TemporaryDirectory() as name, start_postgres(Path(name) / "postgres", durable=True) as server:
            _measure("Postgres", [server.database(one) for one in ("without", "covered")], count, replies, _backend)


def _measure(database: str, urls: list[str], bars: int, replies: int, backend: Callable[[Store], int | None]) -> None:
    stores = [open_store(url) for url in urls]
    pids = []
    for store in stores:
        store.create()
        pids.append(backend(store))
    for kind, batches in (("first", _batches(bars, replies, 0)), ("next", _batches(bars, replies, 1))):
        walls: list[list[float]] = [[], []]
        cpus: list[list[float]] = [[], []]
        for number, batch in enumerate(batches):
            for place in (0, 1) if number % 2 else (1, 0):
                one = batch if place else replace(batch, covered=())
                cpu, start = _cpu_s(pids[place]), time.perf_counter()
                assert stores[place].store([one]) == [True]
                walls[place].append(time.perf_counter() - start)
                cpus[place].append(_cpu_s(pids[place]) - cpu)
        bare, covered = map(statistics.median, walls)
        cpu_bare, cpu_covered = map(statistics.median, cpus)
        click.echo(
            f"{database + ', ' + f'{bars:,} bars, ' + kind:28}{bare * 1e3:9.3f}{covered * 1e3:9.3f}{covered / bare - 1:7.1%}"
            f"{'':4}{cpu_bare * 1e3:12.3f}{cpu_covered * 1e3:9.3f}{cpu_covered / cpu_bare - 1:7.1%}"
        )
    for store in stores:
        store.close()


def _batches(bars: int, replies: int, following: int) -> Iterator[Batch]:
    """Replies of series of their own; with `following` 1 the days after those of 0, of the same series."""
    batch = read(make(0, bars), called_at_ms=1_000)
    series, covered = batch.series[0], batch.covered[0]
    days = bars * _MINUTE_MS // _DAY_MS + 1
    first = covered.first_day + timedelta(days=following * days)
    for number in range(replies):
        symbol = f"B{number}"
        columns = replace(series.bars, ts=series.bars.ts + np.int64(following * days * _DAY_MS))
        last = first + timedelta(days=days - 1)
        days_of = replace(covered, symbol=symbol, adjustment="raw", first_day=first, last_day=last, final_to=last)
        row = replace(batch.ledger, request_id=f"{symbol}-{following}", root=f"{symbol}-{following}", symbol=symbol)
        yield Batch(row, (replace(series, symbol=symbol, adjustment="raw", bars=columns),), covered=(days_of,))


def _backend(store: Store) -> int | None:
    return int(store.database.read("SELECT pg_backend_pid()")[0][0])


def _cpu_s(pid: int | None) -> float:
    """CPU of this process and of `pid`, by the kernel's accounting in ns."""
    other = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 if pid else 0.0
    return time.process_time() + other


if __name__ == "__main__":
    main()
