"""`python -m benchmarks.asyncio_script URL DATABASE SYMBOLS`: the fast script that a good programmer writes for one evening.

No queue, no limits, no checks, no ledger and no recovery: what fails is lost. aiohttp fetches sixteen replies at once, msgspec
decodes them straight into rows, and a thread upserts each reply in a transaction. DATABASE: a file of SQLite, or the URL of a
Postgres.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import aiohttp
import msgspec
import psycopg

from benchmarks.reply_server import FIRST, LAST

_AT_ONCE = 16
_COLUMNS = "series_id, ts, open, high, low, close, volume, vwap, trades"


class Bar(msgspec.Struct):
    t: int
    o: float
    h: float
    l: float  # noqa: E741 - the vendor's name
    c: float
    v: float
    vw: float
    n: int


class Reply(msgspec.Struct):
    results: list[Bar]


Row = tuple[int, int, float, float, float, float, float, float, int]


def into_sqlite(file: str) -> Callable[[list[Row]], None]:
    """Upserts rows as a tuned script does: WAL, no fsync at each commit, a table that is its own index."""
    db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
        db.execute(f"PRAGMA {setting}")
    db.execute(
        "CREATE TABLE bars (series_id INTEGER, ts INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL, vwap REAL, "
        "trades INTEGER, PRIMARY KEY (series_id, ts)) WITHOUT ROWID"
    )

    def store(rows: list[Row]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(f"INSERT OR REPLACE INTO bars ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    return store


def into_postgres(url: str) -> Callable[[list[Row]], None]:
    """COPY into a temporary table, then one upsert."""
    db = psycopg.connect(url, autocommit=True)
    types = "int8", "int8", *("float8",) * 6, "int8"
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(_COLUMNS.split(", "), types, strict=True))
    db.execute(f"CREATE TABLE script_bars ({columns}, PRIMARY KEY (series_id, ts))".encode())
    db.execute("CREATE TEMP TABLE staged (LIKE script_bars) ON COMMIT DELETE ROWS")
    values = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[2:])

    def store(rows: list[Row]) -> None:
        with db.transaction(), db.cursor() as cursor:
            with cursor.copy(f"COPY staged ({_COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
            cursor.execute(
                f"INSERT INTO script_bars SELECT * FROM staged ON CONFLICT (series_id, ts) DO UPDATE SET {values}".encode()
            )

    return store


async def main(url: str, database: str, symbols: int) -> None:
    """Fetches and stores the bars of `symbols` series."""
    store = into_postgres(database) if "://" in database else into_sqlite(database)
    decoder = msgspec.json.Decoder(Reply)
    turns = asyncio.Semaphore(_AT_ONCE)
    writer = ThreadPoolExecutor(1)

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        async with turns:
            path = f"/v2/aggs/ticker/S{number}/range/1/day/{FIRST}/{LAST}?adjusted=false&sort=asc&limit=50000"
            async with session.get(url + path, headers={"Authorization": "Bearer secret-main"}) as reply:
                body = await reply.read()
            rows = [(number, one.t, one.o, one.h, one.l, one.c, one.v, one.vw, one.n) for one in decoder.decode(body).results]
            await asyncio.get_running_loop().run_in_executor(writer, partial(store, rows))

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, number) for number in range(symbols)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
