"""Python's copy of SQLite writes and ADBC's copy reads, in one process: without taking turns a reader sees rows of before."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

from marketfetch.storage.arrow_reading import open_arrow
from marketfetch.storage.sqlite.database import SPELLING
from marketfetch.storage.urls import sqlite_store
from tests.storage.batches import batch, closes

ROUNDS = 40


def rows(path: Path) -> int:
    with open_arrow(f"sqlite:///{path}", SPELLING) as source:
        return sum(one.num_rows for one in source.batches([(1, None, None)], ["ts", "close"]))


def test_a_reader_sees_what_was_stored_before_it(tmp_path: Path) -> None:
    path = tmp_path / "bars.db"
    with closing(sqlite_store(path)) as store:
        store.create()
        for number in range(ROUNDS):
            store.store([batch(f"r{number}", {number: 1.0})])
            assert rows(path) == number + 1


def test_threads_that_write_and_threads_that_read_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bars.db"
    seen: dict[int, list[int]] = {0: [], 1: []}
    with closing(sqlite_store(path)) as store, closing(sqlite_store(path)) as other:
        store.create()
        over = threading.Event()

        def read(number: int) -> None:
            while not over.is_set():
                seen[number].append(rows(path))

        readers = [threading.Thread(target=read, args=(number,)) for number in seen]
        for one in readers:
            one.start()
        for number in range(ROUNDS):
            (store, other)[number % 2].store([batch(f"r{number:03}", {number: 1.0})])
        over.set()
        for one in readers:
            one.join()
        assert len(closes(store)) == rows(path) == ROUNDS
        assert store.database.read("PRAGMA integrity_check") == [("ok",)]
    for found in seen.values():
        assert found == sorted(found)


def test_a_database_may_be_asked_while_bars_are_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.db"
    with closing(sqlite_store(path)) as store:
        store.create()
        store.store([batch("a", {0: 1.0})])
        with open_arrow(f"sqlite:///{path}", SPELLING) as source:
            assert store.over(["a"]) == {"a"}
            assert [one.num_rows for one in source.batches([(1, None, None)], ["ts"])] == [1]
        store.store([batch("b", {1: 1.0})])
        assert rows(path) == 2
