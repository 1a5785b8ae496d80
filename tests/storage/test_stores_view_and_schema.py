"""Names and types that outsiders rely on, and a database that is not ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from marketfetch.storage import open_store
from marketfetch.storage.statements import statements
from marketfetch.storage.store import NoTables, StoreMismatch
from tests.storage.batches import batch

PROMISED = [
    *("provider", "symbol", "timespan", "adjustment", "ts", "open", "high", "low", "close", "volume", "vwap", "trades"),
    "request_id",
]


def columns(store: Any, url: str, table: str) -> list[str]:
    if url.startswith("sqlite"):
        return [row[0] for row in store.database.read("SELECT name FROM pragma_table_info(?) ORDER BY cid", table)]
    sql = "SELECT column_name FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position"
    return [row[0] for row in store.database.read(sql, table)]


def test_the_view_bars_has_the_promised_columns_in_order(store: Any, url: str) -> None:
    assert columns(store, url, "bars") == [*PROMISED, "fetched_at", "partial", "date", "zone"]


@pytest.mark.parametrize(
    ("table", "needed"),
    [
        ("ledger", {"request_id", "root", "page", "outcome", "reason", "rows", "rejects", "calls", "called_at", "over_at"}),
        ("rejects", {"request_id", "provider", "symbol", "row", "field", "value", "reason", "rejected_at"}),
        ("jobs", {"id", "spec", "created_at"}),
    ],
)
def test_the_other_tables_have_their_columns(store: Any, url: str, table: str, needed: set[str]) -> None:
    assert needed <= set(columns(store, url, table))


def test_ts_is_unix_ms_in_sqlite_and_timestamptz_in_postgres(store: Any, url: str) -> None:
    store.store([batch("a", {1_500: 1.0}, fetched=2_500)])
    found = store.database.read("SELECT ts, fetched_at FROM bars")
    if url.startswith("sqlite"):
        assert found == [(1_500, 2_500)]
    else:
        first, fetched = datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), datetime(1970, 1, 1, 0, 0, 2, 500_000, UTC)
        assert found == [(first, fetched)]


def test_a_bar_shows_the_text_of_its_request(store: Any) -> None:
    store.store([batch("0123456789abcdef0123/7", {0: 1.0})])
    assert store.database.read("SELECT request_id FROM bars") == [("0123456789abcdef0123/7",)]


def test_creating_again_changes_nothing_and_mends_what_is_missing(store: Any, url: str) -> None:
    store.store([batch("a", {0: 1.0})])
    # With the views that read it, where the database knows which.
    _execute(url, "DROP VIEW bars" if url.startswith("sqlite") else "DROP VIEW bars CASCADE")
    store.create()
    store.create()
    assert store.database.read("SELECT count(*) FROM bars") == [(1,)]
    assert store.database.read("SELECT count(*) FROM bars_adjusted") == [(0,)]


def test_check_leaves_nothing_behind_and_names_the_place_without_a_password(store: Any, url: str) -> None:
    line = store.check()
    assert "schema 5" in line
    assert "writable" in line
    assert "\n" not in line
    assert store.latest_jobs() == []


def test_another_schema_version_is_refused_with_what_to_do(store: Any, url: str) -> None:
    _execute(url, "UPDATE schema_version SET version = 99")
    for attempt in (store.create, store.check):
        with pytest.raises(StoreMismatch, match="schema 99, this marketfetch knows schema 5: install the marketfetch that"):
            attempt()


def test_a_database_with_a_table_of_that_name_from_somebody_else_is_left_alone(url: str) -> None:
    _execute(url, "CREATE TABLE jobs (whatever int)")
    theirs = open_store(url)
    with pytest.raises(StoreMismatch, match="named jobs that marketfetch did not make: give it a database of its own"):
        theirs.create()
    theirs.close()


def test_a_database_without_our_tables_says_so(url: str) -> None:
    if url.startswith("sqlite"):
        _execute(url, "VACUUM")
    empty: Any = open_store(url)
    for attempt in (empty.check, lambda: empty.tally("x"), lambda: empty.store([batch("a", {0: 1.0})])):
        with pytest.raises(StoreMismatch, match="no marketfetch tables yet"):
            attempt()
    empty.close()


def test_the_making_of_tables_can_be_tried_and_leaves_nothing(url: str, tmp_path: Path) -> None:
    empty: Any = open_store(url)
    line = empty.rehearse()
    assert "no tables yet, which the first job or worker makes" in line
    assert "\n" not in line
    with pytest.raises(NoTables):
        empty.check()
    assert list(tmp_path.iterdir()) == []
    if url.startswith("sqlite"):
        _execute(url, "VACUUM")
    assert empty.rehearse() == line
    with pytest.raises(NoTables):
        empty.verify()
    _execute(url, "CREATE TABLE jobs (whatever int)")
    with pytest.raises(StoreMismatch, match="named jobs that marketfetch did not make"):
        empty.rehearse()
    empty.close()


def _execute(url: str, sql: str) -> None:
    if url.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.execute(sql)
        file.close()
    else:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.encode())


def test_the_schema_file_names_every_relation_that_it_makes(store: Any, url: str) -> None:
    spelling = store.database.spelling
    made = {row[0] for row in store.database.read(statements(f"{spelling.folder}/catalogue.sql", spelling)["relations"])}
    files = (statements(f"{spelling.folder}/{name}.sql", spelling) for name in ("record_tables", "schema"))
    assert made - {"sqlite_sequence"} == {name for file in files for name in file}
