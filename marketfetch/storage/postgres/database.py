"""Postgres: the store for many machines. Looks at what stands, writes only what differs, in one transaction.

`store` locks the rows of the series it writes to, in order of their ids, so that nobody changes their bars meanwhile; asks for
the fingerprint of what stands in the same spans, and reads the bars where it is another; then copies the new ones straight
into the table and upserts the changed ones. Bars that are equal cost one look and no write.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg

from marketfetch.schemas.ledger import Batch
from marketfetch.storage import binary
from marketfetch.storage.names import SCHEMA_VERSION
from marketfetch.storage.postgres_errors import AGAIN, told, unreadable
from marketfetch.storage.postgres_rows import Db, SeriesKey, enter, find_series, keep_rejects, key, lock_series, write
from marketfetch.storage.postgres_waiting import LOCK_S, SILENT_S, STATEMENT_S, ServerSilentError, WatchedConnection
from marketfetch.storage.purging import Purging
from marketfetch.storage.questions import Execute
from marketfetch.storage.rows import Part, waves
from marketfetch.storage.store import Job, Purged, StoreError, StoreMismatch
from marketfetch.storage.versions import no_tables, refuse_foreign, to_make, to_upgrade, upgraded

T = TypeVar("T")

#: What the URL may overrule.
_DEFAULTS: Final[dict[str, str | int]] = {"connect_timeout": 5, "tcp_user_timeout": 30_000, "application_name": "marketfetch"}
_ATTEMPTS: Final = 5
#: The first with an xor over rows, and the oldest that its makers still mend: https://www.postgresql.org/support/versioning/
_OLDEST: Final = 140_000

# Every statement finds its rows by key. The planner knows nothing of a table that has just been filled, and would read it
# whole, or hash it. The timeouts keep one stuck process, or a server that is too slow, from holding up the others.
_SESSION: Final = f"""
    SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET lock_timeout = '{LOCK_S}s'; SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('statement_timeout', '{STATEMENT_S}s', false) WHERE current_setting('statement_timeout') = '0'"""

#: Connections that a parent process opened before it forked: closing them here would end the parent's session.
_LEFT_TO_PARENT: Final[list[Db]] = []


class PostgresStore(Purging):
    """A store behind `url`; `shown` is the same without its password."""

    for_update = "FOR UPDATE"

    def __init__(self, url: str, *, shown: str) -> None:
        self._url = url
        self.where = f"the database {shown}"
        self._connection: WatchedConnection | None = None
        self._owner = os.getpid()
        self._unhurried = False
        self._series: dict[SeriesKey, int] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"PostgresStore({self.where})"

    def create(self) -> None:
        def make(db: Db) -> None:
            _alone_with_the_tables(db)
            present = _names(db)
            refuse_foreign(present, _version(db, present), self.where)
            for statement in to_make("postgresql", present):
                db.execute(statement.encode())

        self._run(make)

    def upgrade(self) -> str:
        def take_over(db: Db) -> str:
            _alone_with_the_tables(db)
            present = _names(db)
            version = _version(db, present)
            for statement in to_upgrade("postgresql", present, version, self.where):
                db.execute(statement.encode())
            return upgraded(version, self.where)

        with self._all_the_time():
            return self._run(take_over)

    def purge(self, *, older_than_ms: int) -> Purged:
        with self._all_the_time():
            return super().purge(older_than_ms=older_than_ms)

    def check(self) -> str:
        def probe(db: Db) -> str:
            present = _names(db)
            version = _version(db, present)
            if version is None:
                raise no_tables(self.where)
            refuse_foreign(present, version, self.where)
            with db.transaction(force_rollback=True):
                db.execute("INSERT INTO jobs (id, spec, created_at) VALUES ('check', '', now()) ON CONFLICT DO NOTHING")
            return f"Postgres {db.info.server_version // 10_000}, schema {SCHEMA_VERSION}, writable: {self.where}"

        return self._run(probe)

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        if not batches:
            return []
        new, series = self._run(lambda db: self._store(db, batches))
        self._series |= series  # only now: a rolled back transaction takes the series with it that it made
        return new

    def _store(self, db: Db, batches: Sequence[Batch]) -> tuple[list[bool], dict[SeriesKey, int]]:
        ordered = sorted(range(len(batches)), key=lambda i: batches[i].ledger.request_id)
        ids = enter(db, [batches[i] for i in ordered])
        new = [False] * len(batches)
        fresh: list[tuple[int, Batch]] = []
        for i in ordered:
            # `pop`, so that of two batches for one request in this call, the second finds it over.
            ledger_id = ids.pop(batches[i].ledger.request_id, None)
            if ledger_id is not None:
                new[i] = True
                fresh.append((ledger_id, batches[i]))
        keep_rejects(db, [batch for _, batch in fresh])
        keys = sorted({key(one) for _, batch in fresh for one in batch.series})
        series = {one: self._series[one] for one in keys if one in self._series}
        if unknown := [one for one in keys if one not in series]:
            series |= find_series(db, unknown)
        if series:
            lock_series(db, series)
        parts = (
            Part(series[key(one)], ledger_id, batch.ledger.called_at_ms, one.bars)
            for ledger_id, batch in fresh
            for one in batch.series
        )
        for wave in waves(parts):
            write(db, wave)
        return new, series

    def save_job(self, job: Job, roots: Sequence[str]) -> bool:
        def save(db: Db) -> bool:
            sql = "INSERT INTO jobs (id, spec, created_at) VALUES (%s, %s, to_timestamp(%s / 1000.0)) ON CONFLICT DO NOTHING"
            if not db.execute(sql, [job.id, job.spec, job.created_at_ms]).rowcount:
                db.execute("UPDATE jobs SET cancelled_at = NULL WHERE id = %s", [job.id])
                return False
            # A purge that was stopped may have left requests of an older job of this id.
            sql = "INSERT INTO job_requests (job_id, root) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING"
            db.execute(sql, [job.id, sorted(set(roots))])
            return True

        return self._run(save)

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._run(lambda db: _execute(db, sql, values))

    def change(self, work: Callable[[Execute], T], *, alone: bool = False) -> T:
        def changed(db: Db) -> T:
            if alone:
                # Waits for a job that is being recorded, and is its own statement, so that the next one sees that job.
                db.execute("LOCK TABLE job_requests IN SHARE ROW EXCLUSIVE MODE")
            return work(lambda sql, *values: _execute(db, sql, values))

        return self._run(changed)

    def now_ms(self) -> int:
        return int(self.read(f"SELECT {self.ms('now()')}")[0][0])

    @staticmethod
    def ms(column: str) -> str:
        return f"(extract(epoch FROM {column}) * 1000)::bigint"

    @staticmethod
    def time(value: str = "?") -> str:
        return f"to_timestamp({value} / 1000.0)"

    @staticmethod
    def among(values: Sequence[str]) -> tuple[str, object]:
        return "= ANY(?::text[])", list(values)

    def close(self) -> None:
        with self._own():
            self._forget()

    def _run(self, work: Callable[[Db], T]) -> T:
        """Runs `work` in a transaction: again if others were in its way, once more if the server has been restarted."""
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
                    if lost or isinstance(error, AGAIN):
                        self._series.clear()
                    if lost:
                        self._forget()
                    if (lost and reused and not isinstance(error, ServerSilentError)) or (
                        isinstance(error, AGAIN) and attempt < _ATTEMPTS
                    ):
                        continue
                    raise told(error, self.where) from error
                except (UnicodeError, OverflowError) as error:
                    raise StoreError(f"{self.where} can't hold a value: {error}. Nothing was stored") from error

    @contextmanager
    def _all_the_time(self) -> Iterator[None]:
        """For what a person asks for, and which may have to look at every row: however long it takes."""
        self._unhurried = True
        try:
            yield
        finally:
            self._unhurried = False

    def _open(self) -> Db:
        if self._connection is None:
            try:
                settings = psycopg.conninfo.conninfo_to_dict(self._url)
            except psycopg.Error:
                raise unreadable(self.where) from None  # its message quotes the URL
            target = psycopg.conninfo.make_conninfo("", **{**_DEFAULTS, **settings})
            db = WatchedConnection.connect(target, autocommit=True, prepare_threshold=None)
            if db.info.server_version < _OLDEST:
                major = db.info.server_version // 10_000
                db.close()
                raise StoreMismatch(f"{self.where} is Postgres {major}, and {_OLDEST // 10_000} or newer is needed: upgrade it")
            self._connection = db
            binary.register(db.adapters)
            db.execute(_SESSION.encode())
        self._connection.silent_s = math.inf if self._unhurried else SILENT_S
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._series.clear()

    @contextmanager
    def _own(self) -> Iterator[None]:
        """One thread at a time, with nothing in hand that belongs to the process that forked this one."""
        if self._owner != os.getpid():
            if self._connection is not None:
                _LEFT_TO_PARENT.append(self._connection)
            self._connection, self._series = None, {}
            self._owner, self._lock = os.getpid(), threading.RLock()
        with self._lock:
            yield


def _execute(db: Db, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
    done = db.execute(sql.replace("?", "%s").encode(), values)
    return done.fetchall() if done.description else []


def _alone_with_the_tables(db: Db) -> None:
    # Workers start together; without it two of them would make the same table.
    db.execute("SELECT pg_advisory_xact_lock(hashtext('marketfetch create'))")


def _names(db: Db) -> set[str]:
    sql = """
        SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
    return {name for (name,) in db.execute(sql)}


def _version(db: Db, present: set[str]) -> int | None:
    if "schema_version" not in present:
        return None
    found = db.execute("SELECT version FROM schema_version").fetchone()
    return int(found[0]) if found else 0
