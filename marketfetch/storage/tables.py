"""The tables of both stores, and the view `bars` that people query.

A bar is kept narrow: long text keys would cost most of an insert, so a series and a request are small numbers in `bar_rows`
and words in `bars`. Times are Unix ms in SQLite and timestamptz in Postgres.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

from marketfetch.storage.names import SCHEMA_VERSION, SERIES_KEY

METADATA: Final = MetaData()


def _time(name: str, *, nullable: bool = False) -> Column[Any]:
    kind: TypeEngine[Any] = BigInteger().with_variant(TIMESTAMP(timezone=True), "postgresql")
    return Column(name, kind, nullable=nullable)


def _id() -> Column[Any]:
    # SQLite only numbers rows by itself where the type is spelled INTEGER.
    return Column("id", BigInteger().with_variant(Integer(), "sqlite"), Identity(), primary_key=True)


def _text(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable)


def _count(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False)


Table("schema_version", METADATA, Column("version", Integer, nullable=False))

Table("series", METADATA, _id(), *(_text(name) for name in SERIES_KEY), UniqueConstraint(*SERIES_KEY))

# No foreign keys: their checks, row by row, cost more than the insert itself, and `store` writes all in one transaction.
# Eight-byte columns stand first, since Postgres pads the others.
bar_rows = Table(
    "bar_rows",
    METADATA,
    _time("ts"),
    _time("fetched_at"),
    Column("ledger_id", BigInteger, nullable=False),
    Column("open", Double),
    Column("high", Double),
    Column("low", Double),
    Column("close", Double, nullable=False),
    Column("volume", Double),
    Column("vwap", Double),
    Column("trades", Double().with_variant(Integer(), "sqlite")),
    Column("series_id", Integer, nullable=False, autoincrement=False),
    Column("partial", Boolean, nullable=False),
    PrimaryKeyConstraint("series_id", "ts"),
    sqlite_with_rowid=False,
)

ledger = Table(
    "ledger",
    METADATA,
    _id(),
    _text("request_id"),
    _text("root"),
    _count("page"),
    _text("provider"),
    _text("symbol"),
    _text("outcome"),
    _text("reason"),
    _count("rows"),
    _count("rejects"),
    _text("key_label"),
    _count("calls"),
    _time("called_at", nullable=True),
    _text("next_cursor", nullable=True),
    _time("over_at"),
    UniqueConstraint("request_id"),
    # A number is never given twice, so that no bar can point to a younger request than its own.
    sqlite_autoincrement=True,
)
Index("ledger_by_root", ledger.c.root, ledger.c.page)
# With `calls` in it, the count of a key's calls is read from the index alone.
Index("ledger_by_key", ledger.c.provider, ledger.c.key_label, ledger.c.called_at, ledger.c.calls)

rejects = Table(
    "rejects",
    METADATA,
    _id(),
    _text("request_id"),
    _text("provider"),
    _text("symbol"),
    _count("row"),
    _text("field"),
    _text("value"),
    _text("reason"),
    _time("rejected_at"),
)
Index("rejects_by_request", rejects.c.request_id)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    _text("spec"),
    _time("created_at"),
    _time("cancelled_at", nullable=True),
    # When the last request was over; filled in by who looks for open jobs, so that the next one need not look again.
    _time("done_at", nullable=True),
)
Index("jobs_by_age", jobs.c.created_at)
_open = jobs.c.done_at.is_(None) & jobs.c.cancelled_at.is_(None)
Index("jobs_open", jobs.c.created_at, sqlite_where=_open, postgresql_where=_open)

job_requests = Table("job_requests", METADATA, _text("job_id"), _text("root"), PrimaryKeyConstraint("job_id", "root"))
Index("job_requests_by_root", job_requests.c.root)

# Calls of failed requests that were forgotten: the vendor has counted them, so a calendar quota must too.
spent_calls = Table("spent_calls", METADATA, _id(), _text("provider"), _text("key_label"), _count("calls"), _time("called_at"))
Index("spent_calls_by_key", spent_calls.c.provider, spent_calls.c.key_label, spent_calls.c.called_at)

# At least as many calls as were granted to a key from that minute on (Unix time / 60) until a minute later: marks.py.
Table(
    "call_marks",
    METADATA,
    _text("provider"),
    _text("key_label"),
    Column("minute", Integer, nullable=False, autoincrement=False),
    _count("calls"),
    PrimaryKeyConstraint("provider", "key_label", "minute"),
    sqlite_with_rowid=False,
)

_BARS_VIEW: Final = """
CREATE VIEW bars AS
SELECT s.provider, s.symbol, s.timespan, s.adjustment, b.ts, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trades,
       l.request_id, b.fetched_at, b.partial
FROM bar_rows b JOIN series s ON s.id = b.series_id LEFT JOIN ledger l ON l.id = b.ledger_id
"""


def missing(kind: Literal["sqlite", "postgresql"], present: AbstractSet[str]) -> list[str]:
    """The statements that make what is not in `present` (names of tables and views), in order."""
    dialect: Dialect = sqlite.dialect() if kind == "sqlite" else postgresql.dialect()  # type: ignore[no-untyped-call]
    statements: list[str] = []
    for table in METADATA.sorted_tables:
        if table.name in present:
            continue
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes]
        if table.name == "schema_version":
            statements.append(f"INSERT INTO schema_version (version) VALUES ({SCHEMA_VERSION})")  # noqa: S608
    if "bars" not in present:
        statements.append(_BARS_VIEW.strip())
    return statements
