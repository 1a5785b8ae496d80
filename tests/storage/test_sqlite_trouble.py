"""What can be wrong with a database file, in sentences."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketfetch.storage import open_store
from marketfetch.storage.store import StoreMismatch, StoreUnavailable
from marketfetch.storage.urls import sqlite_store
from tests.storage.batches import batch, closes, count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store: Any = sqlite_store(tmp_path / "bars.db")
    store.create()
    store.store([batch("a", {0: 1.0})])
    store.close()
    return store.database.path


def test_a_file_locked_by_somebody_else_is_unavailable_and_works_again_later(path: Path) -> None:
    store = sqlite_store(path, busy_ms=50)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="stays locked by another program"):
        store.store([batch("b", {1: 1.0})])
    assert closes(store) == {0: 1.0}, "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    assert store.store([batch("b", {1: 1.0})]) == [True]
    store.close()


def test_whoever_only_looks_waits_for_no_lock_and_check_not_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are there, so there is nothing to make; by default a writer waits for 30 s."""
    monkeypatch.setattr("marketfetch.storage.sqlite.database.CHECK_MS", 50)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        store = sqlite_store(path)
        store.create()
        assert store.over(["a"]) == {"a"}
        with pytest.raises(StoreUnavailable, match="stays locked by another program"):
            store.check()
        assert time.monotonic() - began < 25
        other.execute("ROLLBACK")
    assert "writable" in store.check()
    assert store.database.read("PRAGMA busy_timeout") == [(30_000,)]
    store.close()


def test_where_sqlite_does_not_wait_by_itself_we_do(path: Path) -> None:
    store = sqlite_store(path, busy_ms=5_000)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        # SQLite calls its busy handler in most cases. With none, the connection behaves as it does in the others.
        assert store.database.read("PRAGMA busy_timeout = 0") == [(0,)]
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
        release.start()
        assert store.store([batch("b", {1: 1.0})]) == [True]
        release.join()
    store.close()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path / "missing" / "bars.db")
    with pytest.raises(StoreUnavailable, match=r"missing/bars\.db can't be opened: see that its folder exists"):
        store.create()


def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="can't be opened"):
        sqlite_store(tmp_path).create()


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are my notes, not a database\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreMismatch, match="not an SQLite database: name another file"):
        sqlite_store(path).create()
    assert path.read_bytes() == before


def test_a_damaged_file_is_told_from_a_foreign_one(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:] = b"\xa5" * (len(data) - 100)
    path.write_bytes(data)
    with pytest.raises(StoreMismatch, match="is damaged: restore it"):
        sqlite_store(path).check()


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_stored(path: Path) -> None:
    store: Any = sqlite_store(path)
    store.tally("x")
    assert store.database._connection is not None
    store.database._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="disk is full: free some space"):
        store.store([batch("b", dict.fromkeys(range(1, 20000), 1.0))])
    store.close()
    assert closes(sqlite_store(path)) == {0: 1.0}
    assert store.store([batch("b", {1: 1.0})]) == [True]
    store.close()


def test_a_check_needs_space_that_a_full_disk_does_not_have(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    store: Any = sqlite_store(path)
    store.tally("x")
    store.database._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="disk is full: free some space"):
        store.check()
    # Where the file's own log has room left, the disk itself is tried.
    monkeypatch.setattr("marketfetch.storage.free_space.tempfile.TemporaryFile", lambda **_: io.FileIO("/dev/full", "wb"))
    with pytest.raises(StoreUnavailable, match="disk is full: free some space"):
        store.check()
    store.close()
    assert path.read_bytes() == before


@contextlib.contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Nobody's rights, also where the suite runs as root, to whom every file is writable."""
    if os.geteuid() != 0:
        yield
        return
    folder.chmod(0o555)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_file_and_folder_say_whose_permission_is_missing() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        store: Any = sqlite_store(folder / "bars.db")
        store.create()
        store.close()
        store.database.path.chmod(0o444)
        folder.chmod(0o555)
        with unprivileged(folder):
            with pytest.raises(StoreUnavailable, match="read-only: give this user write permission"):
                store.store([batch("a", {0: 1.0})])
            store.close()
            with pytest.raises(StoreUnavailable, match="can't be opened: see that its folder exists and that this user"):
                sqlite_store(folder / "new.db").create()
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_moved_away_under_a_running_store_is_not_written_to_any_more(path: Path) -> None:
    store = sqlite_store(path)
    assert count(store, "bars") == 1
    for name in ("bars.db", "bars.db-wal", "bars.db-shm"):
        with contextlib.suppress(FileNotFoundError):
            (path.parent / name).rename(path.parent / f"old-{name}")
    with pytest.raises(StoreMismatch, match="does not exist"):
        store.store([batch("b", {1: 1.0})])
    store.create()
    assert store.store([batch("b", {1: 1.0})]) == [True]
    assert closes(store) == {1: 1.0}
    store.close()


def test_a_relative_url_is_a_file_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///my%20bars.db")
    store.create()
    assert (tmp_path / "my bars.db").exists()
    store.close()
