"""`python -m benchmarks.bars_read_back`: stored bars to a frame of polars, beside the floor of the driver in the same run.

The floor is the same table, read whole by the same ADBC driver in one statement without a condition, an order or a symbol, and
handed to polars. The slow peer is what most programs do: the rows of `sqlite3` or psycopg as Python objects.
"""

from __future__ import annotations

import gc
import importlib
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

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

_BARS = 50_000
_BEGIN_MS = 1_000_000_000_000
_OURS, _FLOOR = "marketfetch.bars", "floor: the driver"
_SQL = f"SELECT {', '.join(STORED_COLUMNS)} FROM bar_rows"


@click.command()
@click.option("--full", is_flag=True, help="10,000,000 rows too, which takes some GB of memory")
@click.option("--rounds", default=5, show_default=True, help="how often each contender reads, in turn")
def main(full: bool, rounds: int) -> None:
    """Rows per second from the database to a frame of polars, on SQLite and on Postgres."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with start_postgres(folder / "postgres") as server:
            for rows in (1_000_000, *((10_000_000,) if full else ())):
                for database, url in (
                    ("SQLite", f"sqlite:///{folder}/{rows}.db"),
                    ("Postgres", server.database(f"bench{rows}")),
                ):
                    symbols = _fill(url, rows)
                    took = _measure(url, symbols, rounds=rounds, slow=rows <= 1_000_000)
                    console.print(_table(f"{database}, {rows:,} rows of {len(symbols)} symbols", took, rows))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    console.print(f"medians of {rounds}; the most memory of this process, floors and peers included: {most:,} MB")


def _fill(url: str, rows: int) -> list[str]:
    symbols = [f"S{n:04}" for n in range(rows // _BARS)]
    random = np.random.default_rng(7)
    with closing(open_store(url)) as store:
        store.create()
        for symbol in symbols:
            close = np.round(100 + random.normal(size=_BARS).cumsum() * 0.01, 2)
            ts = _BEGIN_MS + 60_000 * np.arange(_BARS, dtype=np.int64)
            whole = random.integers(1, 10**6, _BARS).astype(np.float64)
            prices = (close, close + 0.01, close - 0.01, close)
            of = dict(zip(FLOAT_COLUMNS, (*prices, whole, close, whole), strict=True))
            bars = BarColumns(ts=ts, partial=np.zeros(_BARS, dtype=np.bool_), **of)
            row = LedgerRow(symbol, symbol, 0, "polygon", symbol, "stored", rows=_BARS, calls=1, called_at_ms=1)
            store.store([Batch(row, (BarSeries("polygon", symbol, "1m", "split", bars),))])
    return symbols


def _measure(url: str, symbols: list[str], *, rounds: int, slow: bool) -> dict[str, list[float]]:
    sqlite = url.startswith("sqlite")
    contenders: dict[str, Callable[[], pl.DataFrame]] = {
        _OURS: lambda: marketfetch.bars(symbols, timespan="1m"),
        _FLOOR: lambda: _by_driver(url, sqlite=sqlite),
    }
    if slow:
        contenders["sqlite3, rows" if sqlite else "psycopg, rows"] = lambda: _by_rows(url, sqlite=sqlite)
    took: dict[str, list[float]] = {name: [] for name in contenders}
    with settings.override({"MARKETFETCH_DATABASE_URL": url}):
        marketfetch.bars(symbols[:1], timespan="1m")  # the first use loads the libraries
        for _ in range(rounds):
            for name, read in contenders.items():
                gc.collect()
                start = time.perf_counter()
                frame = read()
                took[name].append(time.perf_counter() - start)
                assert frame.height == len(symbols) * _BARS
                del frame
    return took


def _by_driver(url: str, *, sqlite: bool) -> pl.DataFrame:
    driver = importlib.import_module(f"adbc_driver_{'sqlite' if sqlite else 'postgresql'}.dbapi")
    options: dict[str, str] = {}
    target = url
    if sqlite:
        options, target = {"adbc.sqlite.query.batch_rows": "65536"}, url.removeprefix("sqlite:///")
    with driver.connect(target, autocommit=True) as connection, connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute(_SQL)
        found = pl.from_arrow(cursor.fetch_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found


def _by_rows(url: str, *, sqlite: bool) -> pl.DataFrame:
    if sqlite:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return pl.DataFrame(file.execute(_SQL).fetchall(), schema=list(STORED_COLUMNS), orient="row")
    with psycopg.connect(url) as connection:
        return pl.DataFrame(connection.execute(_SQL.encode()).fetchall(), schema=list(STORED_COLUMNS), orient="row")


def _table(title: str, took: dict[str, list[float]], rows: int) -> Table:
    floor = statistics.median(took[_FLOOR])
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("ms", "rows/s", "of the floor"):
        table.add_column(name, justify="right")
    for name, seconds in took.items():
        median = statistics.median(seconds)
        table.add_row(name, f"{median * 1000:,.0f}", f"{rows / median:,.0f}", f"{median / floor:.2f}")
    return table


if __name__ == "__main__":
    main()
