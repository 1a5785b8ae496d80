"""The least time that a database can take: the same rows, ready made, into a table like `bar_rows`, one transaction per reply.

Making the rows ready (tuples, dicts, COPY's binary stream) is not timed, so a floor pays for the database alone.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy

from marketfetch.schemas.ledger import Batch
from marketfetch.storage.postgres import binary
from marketfetch.storage.rows import Part, table
from marketfetch.storage.sqlite.database import SPELLING
from marketfetch.storage.statements import statements

Floor = Callable[[int, Batch], float]
_COLUMNS = ", ".join(binary.COLUMNS)


def _rows(number: int, batch: Batch) -> Any:
    return table([Part(number, number, batch.ledger.called_at_ms, batch.series[0].bars)])


def sqlite_floors(file: Path) -> dict[str, Floor]:
    """`executemany` under BEGIN IMMEDIATE, with the durability that the store has."""
    db = sqlite3.connect(file, isolation_level=None)
    for setting in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
        db.execute(f"PRAGMA {setting}")
    db.execute(statements("sqlite/schema.sql", SPELLING)["bar_rows"])
    sql = f"INSERT INTO bar_rows ({_COLUMNS}) VALUES ({', '.join('?' * len(binary.COLUMNS))})"

    def executemany(number: int, batch: Batch) -> float:
        rows = _rows(number, batch).tolist()
        start = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.executemany(sql, rows)
        db.execute("COMMIT")
        return time.perf_counter() - start

    return {"executemany": executemany}


def postgres_floors(url: str) -> dict[str, Floor]:
    """COPY BINARY of a stream made beforehand, psycopg's executemany, SQLAlchemy's insert(): each into its own table."""
    db = psycopg.connect(url, autocommit=True)
    for name in ("floor_copy", "floor_executemany", "floor_sqlalchemy"):
        db.execute(f"CREATE TABLE {name} (LIKE bar_rows INCLUDING ALL)".encode())
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    into = sqlalchemy.Table("floor_sqlalchemy", sqlalchemy.MetaData(), autoload_with=engine)

    def copy(number: int, batch: Batch) -> float:
        stream = b"".join(binary.copy_stream(_rows(number, batch)))
        start = time.perf_counter()
        with db.transaction(), db.cursor().copy(f"COPY floor_copy ({_COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()) as out:
            out.write(stream)
        return time.perf_counter() - start

    def executemany(number: int, batch: Batch) -> float:
        rows = _dated(number, batch)
        values = ", ".join(["%s"] * len(binary.COLUMNS))
        start = time.perf_counter()
        with db.transaction():
            db.cursor().executemany(f"INSERT INTO floor_executemany ({_COLUMNS}) VALUES ({values})".encode(), rows)
        return time.perf_counter() - start

    def insert(number: int, batch: Batch) -> float:
        rows = [dict(zip(binary.COLUMNS, row, strict=True)) for row in _dated(number, batch)]
        start = time.perf_counter()
        with engine.begin() as connection:
            connection.execute(into.insert(), rows)
        return time.perf_counter() - start

    return {"COPY BINARY": copy, "psycopg executemany": executemany, "SQLAlchemy insert()": insert}


def _dated(number: int, batch: Batch) -> list[tuple[Any, ...]]:
    """The rows with datetimes, as a program without the binary format has them."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows = _rows(number, batch).tolist()
    return [(epoch + timedelta(milliseconds=ts), epoch + timedelta(milliseconds=at), *rest) for ts, at, *rest in rows]
