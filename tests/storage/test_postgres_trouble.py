"""What can be wrong with a Postgres, in sentences without a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Postgres
from storage import open_store
from storage.store import StoreMismatch, StoreUnavailable
from tests.storage.batches import batch, closes


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
    from storage.store import StoreError

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
    assert store.read("SELECT relname FROM pg_class WHERE relpersistence = 't'") == []
    store.close()
