"""A database file. Many processes read it while one writes; writers queue for the lock."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from marketfetch.storage.database_protocol import Execute, T
from marketfetch.storage.free_space import has_space, is_full
from marketfetch.storage.sqlite import two_libraries
from marketfetch.storage.sqlite.failures import full, translated
from marketfetch.storage.statements import Spelling
from marketfetch.storage.store_errors import NoTables, StoreError, StoreUnavailable

#: How long a writer waits for another one.
BUSY_MS: Final = 30_000
#: Busy timeout for the interactive `check`.
CHECK_MS: Final = 5_000
#: How long a writer waits where SQLite does not wait by itself.
_RETRY_S: Final = 0.05
#: An event that is never set: waiting for it lets time pass.
_NOTHING: Final = threading.Event()

SPELLING: Final = Spelling(
    folder="sqlite",
    ms_of="{}",
    time_of="{}",
    # One JSON value instead of a question mark each: SQLite limits how many of those a statement may have.
    among="IN (SELECT value FROM json_each(?))",
    listed="(SELECT value FROM json_each(?)) AS listed",
    among_tags="EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)",
    for_update="",  # a transaction that writes has the whole file
    joined_of="group_concat({})",
)

#: Connections that a parent process opened before it forked: SQLite forbids even to close them here.
_LEFT_TO_PARENT: Final[list[sqlite3.Connection]] = []


class SqliteDatabase:
    """The database in the file `path`."""

    spelling = SPELLING

    def __init__(self, path: Path, *, busy_ms: int = BUSY_MS) -> None:
        self.path = path
        # Absolute: a message may be read in another folder than the one in which the command ran.
        self.where = f"the database file {path.absolute()}"
        self._busy_ms = self._patience_ms = busy_ms
        self._connection: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._file: tuple[int, int] | None = None
        self._lock = threading.RLock()

    def renew(self) -> bool:
        self.close()
        return self.path.exists()

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._own():
            return self._patiently(lambda: self._open().execute(sql, values).fetchall())

    def change(self, work: Callable[[Execute], T], *, alone: bool = False) -> T:  # noqa: ARG002 - every writer is alone
        with self.transaction() as db:
            return work(executing(db))

    def change_tables(self, work: Callable[[Execute], T], *, make: bool = False) -> T:
        with self.transaction(make=make) as db:
            return work(executing(db))

    def probe(self, work: Callable[[Execute], None], *, make: bool = False) -> tuple[str, str]:
        with self._own():
            if make and not self.path.exists():
                self._try_to_grow(make=True)
                return f"SQLite {sqlite3.sqlite_version}", str(self.path.absolute())
            try:
                self._patience_ms = min(self._busy_ms, CHECK_MS)
                self._open().execute(f"PRAGMA busy_timeout = {self._patience_ms}")
                # With so small a cache, pages are written to the file before the end of the transaction, which undoes them.
                self._open().execute("PRAGMA cache_size = 8")
                with self.transaction(undo=True) as db:
                    work(executing(db))
                self._try_to_grow()
            finally:
                self._patience_ms = self._busy_ms
                self.forget()  # the next connection has the usual busy timeout
            return f"SQLite {sqlite3.sqlite_version}", str(self.path.absolute())

    def _try_to_grow(self, *, make: bool = False) -> None:
        """Writes beside the database's file and deletes: that file's log may have room left on a disk that is full.

        `make`: there is no file yet. Raises StoreUnavailable.
        """
        try:
            has_space(self.path.absolute().parent)
        except OSError as error:
            # A folder in which only the database's own files may be written is no fault.
            if is_full(error):
                raise full(self.where) from None
            if make:
                raise

    def unhurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    def listing(self, values: Sequence[str]) -> object:
        return json.dumps(list(values))

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def close(self) -> None:
        with self._own():
            self.forget()

    @contextmanager
    def transaction(self, *, make: bool = False, undo: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that writes. `make`: makes the file where there is none. `undo`: rolls back at the end."""
        with self._own():
            db = self._patiently(lambda: self._open(make=make))
            # The write lock is taken at once: a transaction that reads first can fail to get it later.
            self._patiently(lambda: db.execute("BEGIN IMMEDIATE"))
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
            self.forget()
        if self._connection is None:
            if not make and not self.path.exists():
                raise NoTables(f"{self.where} does not exist (`marketfetch fetch` and `marketfetch up` make it)")
            self._connection = self._connect("rwc" if make else "rw")
            two_libraries.opened(self)
            self._file = _identity(self.path)
        return self._connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"file:{quote(str(self.path.absolute()))}?mode={mode}",
            uri=True, timeout=self._busy_ms / 1000, isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        try:
            # FULL: a ledger row that says stored is on the disk. With NORMAL, a power cut can lose the last commits.
            for setting in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
                db.execute(f"PRAGMA {setting}")
        except BaseException:
            db.close()
            raise
        return db

    def _patiently(self, run: Callable[[], T]) -> T:
        """Runs it until the file is free, within the busy timeout: in some cases SQLite says at once that the file is busy.

        https://www.sqlite.org/c3ref/busy_handler.html
        """
        deadline = time.monotonic() + self._patience_ms / 1000
        while True:
            try:
                return run()
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() + _RETRY_S > deadline:
                    raise
            _NOTHING.wait(_RETRY_S)

    def forget(self) -> None:
        """Closes the connection; the next question opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _own(self) -> Iterator[None]:
        """One thread at a time, without the connection of the process that forked this one; errors become StoreError."""
        if self._owner != os.getpid():
            if self._connection is not None:
                _LEFT_TO_PARENT.append(self._connection)
            self._connection = None
            self._owner, self._lock = os.getpid(), threading.RLock()
        try:
            with two_libraries.own_copy(), self._lock:
                yield
        except sqlite3.Error as error:
            raise translated(error, self.where) from error
        except (OverflowError, UnicodeError) as error:
            raise StoreError(f"{self.where} can't hold a value: {error}. Nothing was stored") from error
        except OSError as error:
            raise StoreUnavailable(f"{self.where} can't be reached: {error.strerror or error}") from error


def executing(db: sqlite3.Connection) -> Execute:
    """Runs statements in the transaction of this connection."""
    return lambda sql, *values: db.execute(sql, values).fetchall()


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at `path`: another program may move the file away and put another one there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
