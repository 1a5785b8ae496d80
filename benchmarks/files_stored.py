"""`python -m benchmarks.files_stored`: files of a market's minutes, from their bytes to stored rows, part by part.

Each line is one way to store the same files, in turn for each session: ours (unpacked, checked, as a batch and back, part by
part); on Postgres COPY of the same text into a table with the same key; on SQLite `executemany` of the rows of Python's CSV
reader, and the ADBC driver with a table that pyarrow has read. The floors check nothing, and keep no ledger and no coverage.
"""

from __future__ import annotations

import csv
import gzip
import io
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import adbc_driver_sqlite.dbapi
import click
import numpy as np
import psycopg
import pyarrow as pa
from pyarrow import csv as arrow_csv

from marketfetch.jobs import batches
from marketfetch.local.postgres_server import start_postgres
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.storage import open_store
from marketfetch.storage.store import Store
from marketfetch.vendors import vendor
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read
from marketfetch.vendors.times import NEW_YORK, day_start_ms

_HEADER: Final = "ticker,volume,open,close,high,low,window_start,transactions"
_FIRST: Final = date(2024, 3, 4)
_TABLE: Final = (
    "CREATE TABLE floor (ticker text, volume double precision, open double precision, close double precision, "
    "high double precision, low double precision, window_start bigint, transactions bigint, PRIMARY KEY (ticker, window_start))"
)
_VENDOR: Final = vendor("polygon")
_DRAW: Final = np.random.default_rng(1)
_OPENS_MS: Final = 9 * 3_600_000 + 30 * 60_000

Way = Callable[[date, bytes], None]


@click.command()
@click.option("--short", is_flag=True, help="one session of 1,000 symbols")
@click.option("--days", default=10, show_default=True)
@click.option("--symbols", default=10_000, show_default=True)
@click.option("--minutes", default=200, show_default=True, help="of each symbol in a session; a real file has about 150")
def main(short: bool, days: int, symbols: int, minutes: int) -> None:
    """Prints a line for each database and way."""
    days, symbols = (1, 1_000) if short else (days, symbols)
    rows = days * symbols * minutes
    click.echo(f"{days} files of {symbols:,} symbols x {minutes} minutes: {rows:,} rows")
    click.echo(f"{'':38}{'s':>8}{'rows/s':>10}{'CPU s':>8}{'of floor':>10}")
    with tempfile.TemporaryDirectory() as folder, start_postgres(Path(folder) / "postgres") as server:
        _measure("SQLite", _of_sqlite(Path(folder)), days, symbols, minutes, rows)
        _measure("Postgres", _of_postgres(server.database("flat_files")), days, symbols, minutes, rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"most memory of this process, which also made the files and read them whole for the floors: {peak:,.0f} MB")


def _measure(database: str, ways: dict[str, Way], days: int, symbols: int, minutes: int, rows: int) -> None:
    wall, cpu = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0.0)
    for number in range(days):
        day = _FIRST + timedelta(days=number + number // 5 * 2)
        body = _file(day, symbols, minutes)
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began, used = time.perf_counter(), time.process_time()
            ways[name](day, body)
            wall[name] += time.perf_counter() - began
            cpu[name] += time.process_time() - used
    floor = wall[list(ways)[1]]
    for name, took in wall.items():
        click.echo(f"{f'{database}: {name}':38}{took:8.2f}{rows / took:10,.0f}{cpu[name]:8.2f}{took / floor:10.2f}")


def _file(day: date, symbols: int, minutes: int) -> bytes:
    """A file as the vendor's, with prices of four decimals, by ticker and minute."""
    opens_ns = (day_start_ms(day, NEW_YORK) + _OPENS_MS) * 1_000_000
    starts = [str(opens_ns + 60_000_000_000 * minute) for minute in range(minutes)]
    lines = [_HEADER]
    for number in range(symbols):
        name = "".join(chr(65 + number // 26**place % 26) for place in (3, 2, 1, 0))
        close = np.round(50 + number % 400 + np.cumsum(_DRAW.standard_normal(minutes)) * 0.01, 4)
        near = np.round(np.abs(_DRAW.standard_normal((2, minutes))) * 0.01, 4)
        columns = (close - near[0] / 2, close, close + near[0], close - near[0] - near[1])
        volume, trades = _DRAW.integers(100, 90_000, minutes).tolist(), _DRAW.integers(1, 400, minutes).tolist()
        prices = zip(*(np.round(one, 4).tolist() for one in columns), strict=True)
        for start, size, count, (first, last, high, low) in zip(starts, volume, trades, prices, strict=True):
            lines.append(f"{name},{size},{first},{last},{high},{low},{start},{count}")
    return gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=6, mtime=0)


def _ours(store: Store, day: date, body: bytes) -> None:
    options = _VENDOR.options()
    request = Request(provider="polygon", dataset="flat_files", symbol="*", timespan="1m", start=day, end=day)
    called_at_ms = day_start_ms(day + timedelta(days=3), NEW_YORK)
    for one, page in _pages(request, body):
        ledger = LedgerRow(
            one.id, one.root, one.page, "polygon", "*", "stored",
            rows=page.rows, rejects=page.rejected, calls=1, called_at_ms=called_at_ms, next_cursor=page.next,
        )  # fmt: skip
        covered = covered_by(one, _VENDOR, options, called_at_ms=called_at_ms)
        kept = batches.encode(Batch(ledger, page.series, page.rejects, covered))
        assert store.store([batches.decode(kept)]) == [True]
        assert not page.rejected


def _pages(request: Request, body: bytes) -> Iterator[tuple[Request, Any]]:
    options, following = _VENDOR.options(), True
    while following:
        page = read(request, HttpReply(200, {}, body), options, max_reject_share=0.1)
        yield request, page
        following = page.next is not None
        if page.next is not None:
            request = request.next_page(page.next)


def _of_sqlite(folder: Path) -> dict[str, Way]:
    store = open_store(f"sqlite:///{folder / 'ours.db'}")
    store.create()
    plain, through_adbc = folder / "plain.db", folder / "adbc.db"
    for file in (plain, through_adbc):
        with sqlite3.connect(file) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(_TABLE)
        db.close()

    def executemany(_: date, body: bytes) -> None:
        db = sqlite3.connect(plain, isolation_level=None)
        with gzip.open(io.BytesIO(body), "rt", newline="") as text:
            rows = csv.reader(text)
            next(rows)
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO floor VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        db.close()

    def adbc(_: date, body: bytes) -> None:
        with adbc_driver_sqlite.dbapi.connect(str(through_adbc)) as db, db.cursor() as cursor:
            cursor.adbc_ingest("floor", arrow_csv.read_csv(pa.py_buffer(gzip.decompress(body))), mode="append")
            db.commit()

    return {"marketfetch": partial(_ours, store), "floor: `executemany`": executemany, "ADBC": adbc}


def _of_postgres(url: str) -> dict[str, Way]:
    store = open_store(url)
    store.create()
    db = psycopg.connect(url, autocommit=True)
    db.execute(_TABLE.encode())

    def copy(_: date, body: bytes) -> None:
        sql = b"COPY floor FROM STDIN (FORMAT csv, HEADER)"
        with gzip.open(io.BytesIO(body)) as text, db.transaction(), db.cursor().copy(sql) as out:
            while piece := text.read(1 << 20):
                out.write(piece)

    return {"marketfetch": partial(_ours, store), "floor: COPY of the same text": copy}


if __name__ == "__main__":
    main()
