"""What can be wrong with a Postgres, in sentences without a password."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from marketfetch.local.postgres_server import Postgres
from marketfetch.storage import open_store
from marketfetch.storage.postgres import binary
from marketfetch.storage.store import StoreMismatch, StoreUnavailable
from tests.storage.batches import batch, closes, count
from tests.waiting import eventually


def administer(postgres: Postgres, *statements: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_server_that_is_away_is_unavailable_at_once(tmp_path: Path) -> None:
    store = open_store(f"postgresql://ann:tops3cret@/bars?host={tmp_path}")
    with pytest.raises(StoreUnavailable, match="can't be reached") as caught:
        store.create()
    assert "tops3cret" not in str(caught.value)
    assert "tops3cret" not in repr(store)


def test_a_restarted_server_is_found_again_without_an_error(postgres: Postgres, postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    store.store([batch("a", {0: 1.0})])
    postgres.restart()
    assert store.store([batch("b", {1: 2.0})]) == [True]
    assert closes(store) == {0: 1.0, 1: 2.0}
    store.close()


def test_a_session_that_the_server_ended_is_opened_again(postgres: Postgres, postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    administer(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'marketfetch'")
    assert store.store([batch("a", {0: 1.0})]) == [True]
    store.close()


def test_a_killed_server_loses_nothing_that_was_stored(postgres: Postgres, postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    store.store([batch("a", {0: 1.0})])
    postgres.kill()
    try:
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            store.store([batch("b", {1: 2.0})])
    finally:
        postgres.restart()
    assert store.store([batch("a", {0: 9.0}), batch("b", {1: 2.0})]) == [False, True]
    assert closes(store) == {0: 1.0, 1: 2.0}
    store.close()


def test_a_read_only_server_is_unavailable(postgres: Postgres, postgres_url: str) -> None:
    store = open_store(postgres_url)
    store.create()
    store.close()
    administer(postgres, "ALTER DATABASE storage_test SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match=r"read-only .* name the primary"):
        store.store([batch("a", {0: 1.0})])
    store.close()


def test_a_user_without_rights_is_told_which(postgres: Postgres, postgres_url: str) -> None:
    administer(postgres, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    guest = open_store(postgres_url.replace("postgres@", "guest@"))
    with pytest.raises(StoreMismatch, match="grant it CREATE on the schema"):
        guest.create()
    guest.close()


def test_a_database_or_user_that_is_not_there_is_named(postgres: Postgres) -> None:
    store = open_store(postgres.url.replace("/postgres?", "/nowhere?"))
    with pytest.raises(StoreMismatch, match="no database of that name: make it with `createdb`"):
        store.create()
    store = open_store(postgres.url.replace("postgres@", "stranger:s3cret@"))
    with pytest.raises(StoreMismatch, match="does not let this user in") as caught:
        store.create()
    assert "s3cret" not in str(caught.value)


def test_tables_made_anew_under_a_running_store_do_not_mix_series(postgres: Postgres, postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    store.store([batch("a", {0: 1.0}, symbol="AAPL"), batch("b", {0: 2.0}, symbol="IBM")])
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("TRUNCATE series, bar_rows, ledger RESTART IDENTITY")
    other_store: Any = open_store(postgres_url)
    other_store.store([batch("c", {0: 3.0}, symbol="IBM")])
    store.store([batch("d", {1: 4.0}, symbol="AAPL"), batch("e", {1: 5.0}, symbol="IBM")])
    assert closes(store, "IBM") == {0: 3.0, 1: 5.0}
    assert closes(store, "AAPL") == {1: 4.0}
    store.close()
    other_store.close()


def test_a_timestamp_that_postgres_cannot_keep_is_refused_not_bent(postgres_url: str) -> None:
    from marketfetch.storage.store import StoreError

    store: Any = open_store(postgres_url)
    store.create()
    with pytest.raises(StoreError, match="outside the years"):
        store.store([batch("a", {2**62: 1.0})])
    assert store.over(["a"]) == set()
    store.close()


def test_a_store_leaves_no_temporary_table_behind(postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    store.store([batch("a", {0: 1.0, 1: 2.0})])
    store.store([batch("b", {0: 5.0, 1: 2.0}, fetched=2_000)])
    assert store.database.read("SELECT relname FROM pg_class WHERE relpersistence = 't'") == []
    store.close()


def sessions(postgres: Postgres) -> int:
    """Ours, as the server sees them."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'marketfetch'").fetchone()
    return int(found[0]) if found else 0


def test_a_closed_store_leaves_no_session_behind_even_after_an_error(postgres: Postgres, postgres_url: str) -> None:
    eventually(lambda: sessions(postgres) == 0, what="the sessions of earlier tests are gone")
    store: Any = open_store(postgres_url)
    store.create()
    administer(postgres, "ALTER DATABASE storage_test SET default_transaction_read_only = on")
    store.close()
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.store([batch("a", {0: 1.0})])
    assert sessions(postgres) == 1
    store.close()
    eventually(lambda: sessions(postgres) == 0, what="our session is gone")


def test_a_statement_that_takes_too_long_for_the_server_is_unavailable(postgres: Postgres, postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    store.close()
    administer(postgres, "ALTER DATABASE storage_test SET statement_timeout = '200ms'")
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE ledger")
        with pytest.raises(StoreUnavailable, match="its statement_timeout is too short"):
            store.store([batch("a", {0: 1.0})])
    assert store.store([batch("a", {0: 1.0})]) == [True]
    store.close()


def test_a_server_without_a_free_connection_is_unavailable(postgres: Postgres, postgres_url: str) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    store.close()
    administer(
        postgres,
        "DROP ROLE IF EXISTS crowded",
        "CREATE ROLE crowded LOGIN CONNECTION LIMIT 1",
    )
    crowded = open_store(postgres_url.replace("postgres@", "crowded@"))
    taken = psycopg.connect(postgres_url.replace("postgres@", "crowded@"))
    with taken, pytest.raises(StoreUnavailable, match="takes no more connections: raise its max_connections"):
        crowded.over(["a"])
    crowded.close()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A COPY that stops after its first piece: (it is there, it may go on)."""
    there, go_on = threading.Event(), threading.Event()
    stream = binary.copy_stream

    def halting(rows: Any) -> Iterator[bytes]:
        pieces = stream(rows)
        yield next(pieces)
        there.set()
        go_on.wait(300)
        yield from pieces

    monkeypatch.setattr(binary, "copy_stream", halting)
    yield there, go_on
    go_on.set()


def test_a_server_stopped_in_the_middle_of_a_copy_leaves_nothing_and_the_batch_is_stored_later(
    postgres: Postgres, postgres_url: str, endless: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, go_on = endless
    store: Any = open_store(postgres_url)
    store.create()
    errors: list[BaseException] = []

    def storing() -> None:
        try:
            store.store([batch("a", dict.fromkeys(range(50_000), 1.0))])
        except StoreUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=storing)
    thread.start()
    assert there.wait(300)
    postgres.kill()
    go_on.set()
    thread.join(300)
    try:
        assert ["can't be reached" in str(error) for error in errors] == [True]
    finally:
        postgres.restart()
    monkeypatch.undo()
    assert (count(store, "ledger"), count(store, "bar_rows"), count(store, "series")) == (0, 0, 0)
    assert store.store([batch("a", dict.fromkeys(range(50_000), 1.0))]) == [True]
    assert count(store, "bar_rows") == 50_000
    store.close()


@pytest.fixture
def hung(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Stops every process of the server, or lets them go on: it takes connections, and no answer comes."""
    monkeypatch.setattr("marketfetch.storage.postgres.database.SILENT_S", 1.0)

    def hang(now: bool) -> None:
        head = psutil.Process(postgres.process.pid)
        for one in (head, *head.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGSTOP if now else signal.SIGCONT)

    yield hang
    hang(False)


def test_a_server_that_hangs_is_unavailable_and_is_used_again_when_it_goes_on(
    postgres_url: str, hung: Callable[[bool], None]
) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    hung(True)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"does not answer \(no answer for 1 s\): see whether it or its disk hangs"):
        store.store([batch("a", {0: 1.0})])
    assert time.monotonic() - began < 10, "once: to ask a second time takes ten seconds more"
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        store.store([batch("a", {0: 1.0})])
    assert time.monotonic() - began < 60
    hung(False)
    assert store.store([batch("a", {0: 1.0})]) == [True]
    store.close()


def test_a_server_that_hangs_in_the_middle_of_a_copy_is_unavailable_and_nothing_is_half_stored(
    postgres_url: str, hung: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = binary.copy_stream

    def hanging(rows: Any) -> Iterator[bytes]:
        for piece in stream(rows):
            yield piece
            hung(True)

    store: Any = open_store(postgres_url)
    store.create()
    monkeypatch.setattr(binary, "copy_stream", hanging)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.store([batch("a", dict.fromkeys(range(50_000), 1.0))])
    monkeypatch.setattr(binary, "copy_stream", stream)
    hung(False)
    assert (count(store, "ledger"), count(store, "bar_rows")) == (0, 0)
    assert store.store([batch("a", dict.fromkeys(range(50_000), 1.0))]) == [True]
    store.close()


def test_an_answer_that_takes_its_time_is_no_silence_while_it_comes(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds, more than a silence may last, but the server speaks in between."""
    monkeypatch.setattr("marketfetch.storage.postgres.database.SILENT_S", 0.6)
    store: Any = open_store(postgres_url)
    store.create()
    speaks = "DO $$ BEGIN FOR n IN 1..10 LOOP PERFORM pg_sleep(0.2); RAISE NOTICE 'at it'; END LOOP; END $$"
    assert store.database.read(speaks) == []
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.database.read("SELECT pg_sleep(2)")
    store.close()


def test_statements_are_bounded_by_the_server_too_but_not_what_a_person_waits_for(
    postgres: Postgres, postgres_url: str
) -> None:
    store: Any = open_store(postgres_url)
    store.create()
    assert store.database.read("SHOW statement_timeout") == [("32s",)]
    assert store.database.read("SHOW lock_timeout") == [("30s",)]
    with store.database.unhurried():
        assert store.database.read("SHOW statement_timeout") == [("0",)]
    store.close()
    administer(postgres, "ALTER DATABASE storage_test SET statement_timeout = '10min'")
    assert store.database.read("SHOW statement_timeout") == [("10min",)], "whoever runs the server knows better"
    store.close()


def test_a_server_with_a_stricter_isolation_is_used_with_read_committed(postgres_url: str) -> None:
    """Behind the lock of another writer a statement must see what that one has stored."""
    strict = f"{postgres_url}{'&' if '?' in postgres_url else '?'}options=-c%20default_transaction_isolation%3Dserializable"
    store = open_store(strict)
    assert store.database.read("SHOW default_transaction_isolation") == [("serializable",)]
    assert store.database.change(lambda execute: execute("SHOW transaction_isolation")) == [("read committed",)]
    store.close()
