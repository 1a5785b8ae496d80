"""A Postgres database: one session per process, transactions that are run again after a conflict or a restart of the server."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from marketfetch.storage.database_protocol import Execute, T
from marketfetch.storage.postgres.failures import AGAIN, translated, unreadable
from marketfetch.storage.postgres.watched import LOCK_S, SILENT_S, STATEMENT_S, ServerSilentError, WatchedConnection
from marketfetch.storage.statements import Spelling, statements
from marketfetch.storage.store_errors import StoreError, StoreMismatch

Db = psycopg.Connection[tuple[Any, ...]]

SPELLING: Final = Spelling(
    folder="postgres",
    ms_of="(extract(epoch FROM {}) * 1000)::bigint",
    time_of="to_timestamp({} / 1000.0)",
    among="= ANY(?::text[])",
    listed="unnest(?::text[]) AS listed (value)",
    among_tags="tags::jsonb @> to_jsonb(?::text)",
    for_update="FOR UPDATE",
    joined_of="string_agg(({})::text, ',')",
)
_SQL: Final = statements("postgres/session.sql", SPELLING)

#: The URL may set these otherwise.
DEFAULTS: Final[dict[str, str | int]] = {"connect_timeout": 5, "tcp_user_timeout": 30_000, "application_name": "marketfetch"}
_ATTEMPTS: Final = 5
#: The oldest that its makers still maintain: https://www.postgresql.org/support/versioning/
_OLDEST: Final = 140_000

#: Connections that a parent process opened before it forked: closing them here would end the parent's session.
_LEFT_TO_PARENT: Final[list[Db]] = []


class PostgresDatabase:
    """The database behind `url`; `shown` is the same without its password."""

    spelling = SPELLING

    def __init__(self, url: str, *, shown: str) -> None:
        self._url = url
        self.where = f"the database {shown}"
        self._connection: WatchedConnection | None = None
        self._owner = os.getpid()
        self._unhurried = False
        self._lock = threading.RLock()

    def renew(self) -> bool:
        return True

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.run(lambda db: fetch(db, sql, *values))

    def change(self, work: Callable[[Execute], T], *, alone: bool = False) -> T:
        return self._change(work, first="no_new_jobs" if alone else None)

    def change_tables(self, work: Callable[[Execute], T], *, make: bool = False) -> T:  # noqa: ARG002 - has no file to make
        return self._change(work, first="alone_with_the_tables")

    def probe(self, work: Callable[[Execute], None], *, make: bool = False) -> tuple[str, str]:  # noqa: ARG002 - no file to make
        def tried(db: Db) -> tuple[str, str]:
            with db.transaction(force_rollback=True):
                work(executing(db))
            return f"Postgres {db.info.server_version // 10_000}", self.where

        return self.run(tried)

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        self._unhurried = True
        try:
            yield
        finally:
            self._unhurried = False

    def listing(self, values: Sequence[str]) -> object:
        return list(values)

    def now_ms(self) -> int:
        return int(self.read(_SQL["now_ms"])[0][0])

    def close(self) -> None:
        with self._own():
            self._forget()

    def run(self, work: Callable[[Db], T]) -> T:
        """Runs `work` in a transaction: again after a conflict, five times at most, and once more after a lost session."""
        with self._own():
            attempt = 0
            while True:
                attempt += 1
                reused = self._connection is not None
                try:
                    db = self._open()
                    with db.transaction():
                        if self._unhurried:
                            db.execute("SET LOCAL statement_timeout = 0")
                        return work(db)
                except psycopg.Error as error:
                    lost = self._connection is None or self._connection.closed or self._connection.broken
                    if lost:
                        self._forget()
                    if (lost and reused and not isinstance(error, ServerSilentError)) or (
                        isinstance(error, AGAIN) and attempt < _ATTEMPTS
                    ):
                        continue
                    raise translated(error, self.where) from error
                except (UnicodeError, OverflowError) as error:
                    raise StoreError(f"{self.where} can't hold a value: {error}. Nothing was stored") from error

    def _change(self, work: Callable[[Execute], T], *, first: str | None) -> T:
        def changed(db: Db) -> T:
            if first:
                fetch(db, _SQL[first])
            return work(executing(db))

        return self.run(changed)

    def _open(self) -> Db:
        if self._connection is None:
            try:
                settings = psycopg.conninfo.conninfo_to_dict(self._url)
            except psycopg.Error:
                raise unreadable(self.where) from None  # its message quotes the URL
            target = psycopg.conninfo.make_conninfo("", **{**DEFAULTS, **settings})
            db = WatchedConnection.connect(target, autocommit=True, prepare_threshold=None)
            if db.info.server_version < _OLDEST:
                major = db.info.server_version // 10_000
                db.close()
                raise StoreMismatch(f"{self.where} is Postgres {major}, and {_OLDEST // 10_000} or newer is needed: upgrade it")
            # A server may set a stricter one for all: a statement behind a lock then would not see what its holder has stored.
            db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            self._connection = db
            fetch(db, _SQL["settings"], f"{LOCK_S}s", f"{STATEMENT_S}s")
        self._connection.silent_s = math.inf if self._unhurried else SILENT_S
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _own(self) -> Iterator[None]:
        """One thread at a time, without the connection of the process that forked this one."""
        if self._owner != os.getpid():
            if self._connection is not None:
                _LEFT_TO_PARENT.append(self._connection)
            self._connection = None
            self._owner, self._lock = os.getpid(), threading.RLock()
        with self._lock:
            yield


def fetch(db: Db, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Runs one statement with `?` for its values; its rows, if it has any."""
    done = db.execute(sent(sql), values)
    return done.fetchall() if done.description else []


def fetch_together(db: Db, statements: Sequence[tuple[str, Sequence[object]]]) -> list[tuple[Any, ...]]:
    """Runs statements, each with its values, in one message to the server; the rows of the last one."""
    with psycopg.ClientCursor(db) as cursor:
        cursor.execute(sent(";\n".join(sql for sql, _ in statements)), [one for _, values in statements for one in values])
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []


def columns_of(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows of one length as the parameters of a statement with an array for each column."""
    return [list(column) for column in zip(*rows, strict=True)]


def sent(sql: str) -> bytes:
    """A statement as psycopg takes it."""
    return sql.replace("?", "%s").encode()


def executing(db: Db) -> Execute:
    """Runs statements in the transaction of this session."""
    return lambda sql, *values: fetch(db, sql, *values)
