"""`python -m benchmarks.bars_read_back`: 10,000,000 stored bars to a frame of polars, beside the driver's own floor.

The floor is the same table, read whole by the same ADBC driver in one statement without a condition, an order or a symbol, and
handed to polars. The slow peer is what most programs do: the rows of `sqlite3` or psycopg as Python objects; it reads a million
bars alone. Every reading has a process of its own, whose memory (PSS) is sampled while it reads. CPU is that of this process:
the server of Postgres works besides.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
import polars as pl
import psycopg
from rich.console import Console
from rich.table import Table

import marketfetch
from marketfetch import settings
from marketfetch.local.postgres_server import start_postgres
from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage import open_store
from marketfetch.storage.arrow_reading import STORED_COLUMNS

_BARS: Final = 50_000
_MILLION: Final = 1_000_000
_BEGIN_MS: Final = 1_000_000_000_000
_OURS, _FLOOR, _ROWS = "marketfetch.bars", "floor: the ADBC driver", "rows as Python objects"
_SQL: Final = f"SELECT {', '.join(STORED_COLUMNS)} FROM bar_rows"
_SAMPLE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Reading:
    seconds: float
    cpu_s: float
    peak_mb: float


@click.command()
@click.option("--short", is_flag=True, help="1,000,000 rows")
@click.option("--rounds", default=5, show_default=True, help="how often each contender reads, in turn")
@click.option("--read", nargs=3, help="one reading, in this process: a contender, the URL, and how many rows", hidden=True)
def main(short: bool, rounds: int, read: tuple[str, str, str] | None) -> None:
    """Seconds and memory from the database to a frame of polars, on SQLite and on Postgres."""
    if read:
        click.echo(json.dumps(_read(read[0], read[1], int(read[2]))))
        return
    rows = _MILLION if short else 10 * _MILLION
    console = Console(width=None if sys.stdout.isatty() else 110)
    with tempfile.TemporaryDirectory() as name, start_postgres(Path(name) / "postgres") as server:
        for database, url in (("SQLite", f"sqlite:///{name}/{rows}.db"), ("Postgres", server.database("bench"))):
            _fill(url, rows)
            found: dict[str, list[Reading]] = {contender: [] for contender in _CONTENDERS}
            for _ in range(rounds):
                for contender, readings in found.items():
                    readings.append(_measured(contender, url, _MILLION if contender == _ROWS else rows))
            console.print(_table(f"{database}, {rows:,} rows of {rows // _BARS} symbols, medians of {rounds}", found, rows))


def _fill(url: str, rows: int) -> None:
    random = np.random.default_rng(7)
    with closing(open_store(url)) as store:
        store.create()
        for symbol in _symbols(rows):
            close = np.round(100 + random.normal(size=_BARS).cumsum() * 0.01, 2)
            ts = _BEGIN_MS + 60_000 * np.arange(_BARS, dtype=np.int64)
            whole = random.integers(1, 10**6, _BARS).astype(np.float64)
            prices = (close, close + 0.01, close - 0.01, close)
            of = dict(zip(FLOAT_COLUMNS, (*prices, whole, close, whole), strict=True))
            bars = BarColumns(ts=ts, partial=np.zeros(_BARS, dtype=np.bool_), **of)
            row = LedgerRow(symbol, symbol, 0, "polygon", symbol, "stored", rows=_BARS, calls=1, called_at_ms=1)
            store.store([Batch(row, (BarSeries("polygon", symbol, "1m", "split", bars, "America/New_York"),))])


def _symbols(rows: int) -> list[str]:
    return [f"S{n:04}" for n in range(rows // _BARS)]


def _measured(contender: str, url: str, rows: int) -> Reading:
    """One reading in a process of its own; its memory is that of the process, interpreter and libraries included."""
    command = [sys.executable, "-m", "benchmarks.bars_read_back", "--read", contender, url, str(rows)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak_kb = 0
    while child.returncode is None:
        peak_kb = max(peak_kb, _pss_kb(child.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_SAMPLE_S)
    assert child.stdout is not None
    said = child.stdout.read()
    if child.returncode:
        raise click.ClickException(f"{contender} has failed: exit {child.returncode}")
    return Reading(**json.loads(said), peak_mb=peak_kb / 1024)


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(contender: str, url: str, rows: int) -> dict[str, float]:
    with settings.override({"MARKETFETCH_DATABASE_URL": url}):
        marketfetch.bars("S0000", timespan="1m", end="2001-09-10")  # the first use loads the libraries
        cpu, start = os.times(), time.perf_counter()
        frame = _CONTENDERS[contender](url, rows)
        seconds, after = time.perf_counter() - start, os.times()
        assert frame.height == rows
    return {"seconds": seconds, "cpu_s": after.user + after.system - cpu.user - cpu.system}


def _by_us(_url: str, rows: int) -> pl.DataFrame:
    return marketfetch.bars(_symbols(rows), timespan="1m")


def _by_driver(url: str, _rows: int) -> pl.DataFrame:
    sqlite = url.startswith("sqlite")
    driver = importlib.import_module(f"adbc_driver_{'sqlite' if sqlite else 'postgresql'}.dbapi")
    options = {"adbc.sqlite.query.batch_rows": "65536"} if sqlite else {}
    target = url.removeprefix("sqlite:///")
    with driver.connect(target, autocommit=True) as connection, connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute(_SQL)
        found = pl.from_arrow(cursor.fetch_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found


def _by_rows(url: str, rows: int) -> pl.DataFrame:
    limited = f"{_SQL} WHERE series_id <= {rows // _BARS}"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return pl.DataFrame(file.execute(limited).fetchall(), schema=list(STORED_COLUMNS), orient="row")
    with psycopg.connect(url) as connection:
        return pl.DataFrame(connection.execute(limited.encode()).fetchall(), schema=list(STORED_COLUMNS), orient="row")


_CONTENDERS: Final[dict[str, Callable[[str, int], pl.DataFrame]]] = {_OURS: _by_us, _FLOOR: _by_driver, _ROWS: _by_rows}


def _table(title: str, found: dict[str, list[Reading]], rows: int) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("s", "of the floor", "rows/s", "CPU s", "of the floor", "most memory"):
        table.add_column(name, justify="right")

    def median(contender: str, field: str) -> float:
        """Of a million rows, that the slow peer reads alone, so much more for all of them."""
        scale = rows / _MILLION if contender == _ROWS and field != "peak_mb" else 1
        return scale * statistics.median(getattr(one, field) for one in found[contender])

    for contender in found:
        seconds, cpu_s = median(contender, "seconds"), median(contender, "cpu_s")
        table.add_row(
            *(contender, f"{seconds:.2f}", f"{seconds / median(_FLOOR, 'seconds'):.2f}", f"{rows / seconds:,.0f}"),
            *(f"{cpu_s:.2f}", f"{cpu_s / median(_FLOOR, 'cpu_s'):.2f}", f"{median(contender, 'peak_mb'):,.0f} MB"),
        )
    return table


if __name__ == "__main__":
    main()
