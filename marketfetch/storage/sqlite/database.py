"""SQLite: the store for one machine. Many processes read while one writes; writers queue for the lock."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarSeries
from marketfetch.schemas.ledger import Batch
from marketfetch.storage.names import SCHEMA_VERSION, VALUE_COLUMNS
from marketfetch.storage.purging import Purging
from marketfetch.storage.questions import Execute, T
from marketfetch.storage.sqlite_errors import told
from marketfetch.storage.store import Job, StoreError, StoreUnavailable
from marketfetch.storage.texts import reject_rows, storable
from marketfetch.storage.versions import no_tables, refuse_foreign, to_make, to_upgrade, upgraded

#: How long a writer waits for another one.
BUSY_MS: Final = 30_000
#: And `check`, before a person who is waiting.
CHECK_MS: Final = 5_000

_LEDGER: Final = """
    INSERT INTO ledger (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls,
                        called_at, next_cursor, over_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING"""

_REJECTS: Final = """
    INSERT INTO rejects (request_id, provider, symbol, row, field, value, reason, rejected_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

# What is the same for all bars of a series in a batch is written into the statement: binding it per row cost a sixth.
_ROW: Final = "({series}, {fetched}, {ledger}, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPSERT: Final = """
    INSERT INTO bar_rows (series_id, fetched_at, ledger_id, ts, {columns})
    VALUES {rows}
    ON CONFLICT (series_id, ts) DO UPDATE SET ({columns}, fetched_at, ledger_id) = ({new}, {fetched}, {ledger})
    WHERE bar_rows.fetched_at <= {fetched} AND ({differs})"""

_COLUMNS: Final = ", ".join(VALUE_COLUMNS)
_NEW: Final = ", ".join(f"excluded.{name}" for name in VALUE_COLUMNS)
_DIFFERS: Final = " OR ".join(f"bar_rows.{name} IS NOT excluded.{name}" for name in VALUE_COLUMNS)

#: So many rows a statement: beginning and ending one for each row cost a quarter. Every SQLite takes 900 values.
_ROWS_AT_ONCE: Final = 100

#: Connections that a parent process opened before it forked: SQLite forbids even to close them here.
_LEFT_TO_PARENT: Final[list[sqlite3.Connection]] = []


class SqliteStore(Purging):
    """A store in the file `path`. `where` names it in messages."""

    for_update = ""  # a transaction that writes has the whole file

    def __init__(self, path: Path, *, busy_ms: int = BUSY_MS) -> None:
        self.path = path
        self._busy_ms = busy_ms
        self.where = f"the database file {path}"
        self._connection: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._file: tuple[int, int] | None = None
        self._lock = threading.RLock()

    def create(self) -> None:
        with self._own():
            self._forget()
            if self._whole():
                return
            with self._transaction(make=True) as db:
                version = self._version(db)
                present = _names(db)
                refuse_foreign(present, version, self.where)
                for statement in to_make("sqlite", present):
                    db.execute(statement)

    def _whole(self) -> bool:
        """True where nothing is to be made: seen without the write lock, which another program may hold for long."""
        if not self.path.exists():
            return False
        db = self._open()
        version, present = self._version(db), _names(db)
        refuse_foreign(present, version, self.where)
        return version is not None and not to_make("sqlite", present)

    def upgrade(self) -> str:
        with self._own(), self._transaction() as db:
            version = self._version(db)
            for statement in to_upgrade("sqlite", _names(db), version, self.where):
                db.execute(statement)
            return upgraded(version, self.where)

    def check(self) -> str:
        with self._own():
            try:
                self._open().execute(f"PRAGMA busy_timeout = {min(self._busy_ms, CHECK_MS)}")
                with self._transaction(undo=True) as db:
                    version = self._version(db)
                    if version is None:
                        raise no_tables(self.where)
                    refuse_foreign(set(), version, self.where)
                    db.execute("INSERT INTO jobs (id, spec, created_at) VALUES ('check', '', 0) ON CONFLICT DO NOTHING")
            finally:
                self._forget()  # the next one waits as long as any
            return f"SQLite {sqlite3.sqlite_version}, schema {SCHEMA_VERSION}, writable: {self.path}"

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        if not batches:
            return []
        now_ms = time.time_ns() // 1_000_000
        new = [False] * len(batches)
        with self._own(), self._transaction() as db:
            for i in sorted(range(len(batches)), key=lambda i: batches[i].ledger.request_id):
                ledger_id = self._enter(db, batches[i], now_ms)
                if ledger_id is not None:
                    new[i] = True
                    for one in batches[i].series:
                        self._upsert(db, one, ledger_id, batches[i].ledger.called_at_ms)
        return new

    def save_job(self, job: Job, roots: Sequence[str]) -> bool:
        with self._own(), self._transaction() as db:
            sql = "INSERT INTO jobs (id, spec, created_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
            if not db.execute(sql, (job.id, job.spec, job.created_at_ms)).rowcount:
                db.execute("UPDATE jobs SET cancelled_at = NULL WHERE id = ?", (job.id,))
                return False
            # A purge that was stopped may have left requests of an older job of this id.
            sql = "INSERT INTO job_requests (job_id, root) VALUES (?, ?) ON CONFLICT DO NOTHING"
            db.executemany(sql, zip(repeat(job.id), sorted(set(roots))))
            return True

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._own():
            return self._open().execute(sql, values).fetchall()

    def change(self, work: Callable[[Execute], T], *, alone: bool = False) -> T:  # noqa: ARG002 - it always is
        with self._own(), self._transaction() as db:
            return work(lambda sql, *values: db.execute(sql, values).fetchall())

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @staticmethod
    def ms(column: str) -> str:
        return column

    @staticmethod
    def time(value: str = "?") -> str:
        return value

    @staticmethod
    def among(values: Sequence[str]) -> tuple[str, object]:
        # One JSON value instead of a question mark each: SQLite limits how many of those a statement may have.
        return "IN (SELECT value FROM json_each(?))", json.dumps(list(values))

    def close(self) -> None:
        with self._own():
            self._forget()

    def _enter(self, db: sqlite3.Connection, batch: Batch, now_ms: int) -> int | None:
        """Writes the ledger row and the rejects; None if the request was over before."""
        row = batch.ledger
        entry = (
            *(row.request_id, row.root, row.page, row.provider, storable(row.symbol), row.outcome, storable(row.reason)),
            *(row.rows, row.rejects, row.key_label, row.calls, row.called_at_ms or None),
            *(row.next_cursor and storable(row.next_cursor), now_ms),
        )
        entered = db.execute(_LEDGER, entry)
        if not entered.rowcount:
            return None
        db.executemany(_REJECTS, ((*bad, now_ms) for bad in reject_rows(batch)))
        return entered.lastrowid

    def _upsert(self, db: sqlite3.Connection, series: BarSeries, ledger_id: int, fetched_ms: int) -> None:
        bars = series.bars
        constant = {"series": self._series_id(db, series), "fetched": int(fetched_ms), "ledger": int(ledger_id)}
        row = _ROW.format(**constant)

        def upsert(rows: int) -> str:
            shape = {"rows": ", ".join([row] * rows), "columns": _COLUMNS, "new": _NEW, "differs": _DIFFERS}
            return _UPSERT.format(**constant, **shape)

        columns = (bars.ts, *(getattr(bars, name) for name in FLOAT_COLUMNS), bars.partial)
        wide, values = len(columns), [None] * (len(bars) * len(columns))
        for place, column in enumerate(columns):
            # SQLite stores NaN as NULL by itself: https://www.sqlite.org/c3ref/bind_blob.html
            values[place::wide] = column.tolist()
        step = _ROWS_AT_ONCE * wide
        rest = len(values) % step
        whole = len(values) - rest
        if whole:
            db.executemany(upsert(_ROWS_AT_ONCE), (values[start : start + step] for start in range(0, whole, step)))
        if rest:
            db.execute(upsert(rest // wide), values[whole:])

    def _series_id(self, db: sqlite3.Connection, series: BarSeries) -> int:
        key = (series.provider, series.symbol, series.timespan, series.adjustment)
        sql = "SELECT id FROM series WHERE provider = ? AND symbol = ? AND timespan = ? AND adjustment = ?"
        found: tuple[int] | None = db.execute(sql, key).fetchone()
        if found:
            return found[0]
        sql = "INSERT INTO series (provider, symbol, timespan, adjustment) VALUES (?, ?, ?, ?)"
        return db.execute(sql, key).lastrowid or 0

    def _version(self, db: sqlite3.Connection) -> int | None:
        if "schema_version" not in _names(db):
            return None
        found = db.execute("SELECT version FROM schema_version").fetchone()
        return found[0] if found else 0

    @contextmanager
    def _transaction(self, *, make: bool = False, undo: bool = False) -> Iterator[sqlite3.Connection]:
        db = self._open(make=make)
        # The write lock is taken at once: a transaction that reads first can find the door shut when it wants to write.
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("ROLLBACK" if undo else "COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _open(self, *, make: bool = False) -> sqlite3.Connection:
        """This process's connection to the file that stands at `path` now."""
        if self._connection is not None and self._file != _identity(self.path):
            self._forget()
        if self._connection is None:
            if not make and not self.path.exists():
                raise no_tables(f"{self.where} does not exist; it")
            self._connection = self._connect("rwc" if make else "rw")
            self._file = _identity(self.path)
        return self._connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode={mode}",
            uri=True, timeout=self._busy_ms / 1000, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        try:
            # FULL: a ledger row that says stored is on the disk. With NORMAL, the last commits may vanish with the power.
            for setting in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
                db.execute(f"PRAGMA {setting}")
        except BaseException:
            db.close()
            raise
        return db

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _own(self) -> Iterator[None]:
        """One thread at a time, with nothing in hand that belongs to the process that forked this one; errors are told."""
        if self._owner != os.getpid():
            if self._connection is not None:
                _LEFT_TO_PARENT.append(self._connection)
            self._connection = None
            self._owner, self._lock = os.getpid(), threading.RLock()
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise told(error, self.where) from error
        except (OverflowError, UnicodeError) as error:
            raise StoreError(f"{self.where} can't hold a value: {error}. Nothing was stored") from error
        except OSError as error:
            raise StoreUnavailable(f"{self.where} can't be reached: {error.strerror or error}") from error


def _names(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands at `path`; somebody may move it away and put another one there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
