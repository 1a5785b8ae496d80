"""A database of the release before becomes one of this release, and every row of it stays."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from marketfetch.storage import open_store
from marketfetch.storage.store import StoreMismatch, Tally
from tests.storage.batches import batch
from tests.storage.schema_1 import POSTGRES, SQLITE
from tests.storage.writers import upgrade

SPAWN = multiprocessing.get_context("spawn")

COLUMNS = {
    "series": "id, provider, symbol, timespan, adjustment",
    "bar_rows": "ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial",
    "ledger": "id, request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls, called_at, "
    "next_cursor, over_at",
    "rejects": "id, request_id, provider, symbol, row, field, value, reason, rejected_at",
    "jobs": "id, spec, created_at",
    "job_requests": "job_id, root",
    "bars": "provider, symbol, timespan, adjustment, ts, open, high, low, close, volume, vwap, trades, request_id, fetched_at, "
    "partial",
}

#: `{t}` is a time: the two databases spell it differently.
ROWS = """
    INSERT INTO series (provider, symbol, timespan, adjustment) VALUES ('polygon', 'AAPL', '1d', 'split'), ('nasdaq', 'X', '1w', 'raw');
    INSERT INTO ledger (request_id, root, page, provider, symbol, outcome, reason, rows, rejects, key_label, calls, called_at,
                        next_cursor, over_at)
    VALUES ('a', 'a', 0, 'polygon', 'AAPL', 'stored', '', 2, 1, 'k', 1, {t1}, 'p1', {t2}),
           ('a/1', 'a', 1, 'polygon', 'AAPL', 'failed', 'gone', 0, 0, 'k', 2, {t2}, NULL, {t3}),
           ('b', 'b', 0, 'nasdaq', 'X', 'empty', '', 0, 0, 'k', 0, NULL, NULL, {t3});
    INSERT INTO bar_rows (ts, fetched_at, ledger_id, open, high, low, close, volume, vwap, trades, series_id, partial)
    VALUES ({t1}, {t2}, 1, 1.5, 2.5, 0.5, 1.25, 10, 1.3, 7, 1, {no}), ({t2}, {t2}, 1, NULL, NULL, NULL, 2.0, NULL, NULL, NULL, 1, {yes}),
           ({t1}, {t3}, 3, NULL, NULL, NULL, 3.0, NULL, NULL, NULL, 2, {no});
    INSERT INTO rejects (request_id, provider, symbol, row, field, value, reason, rejected_at)
    VALUES ('a', 'polygon', 'AAPL', 3, 'low', '9', 'low is above high', {t3});
    INSERT INTO jobs (id, spec, created_at) VALUES ('one', '{{"a": 1}}', {t1}), ('two', '{{}}', {t2});
    INSERT INTO job_requests (job_id, root) VALUES ('one', 'a'), ('one', 'b'), ('two', 'c');
"""  # noqa: E501
SQLITE_TIMES = {"t1": "1000", "t2": "2345", "t3": "1700000000123", "no": "0", "yes": "1"}
POSTGRES_TIMES = {
    "t1": "to_timestamp(1)", "t2": "to_timestamp(2.345)", "t3": "to_timestamp(1700000000.123)", "no": "false", "yes": "true",
}  # fmt: skip


def run(url: str, script: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.executescript(script)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script.encode())


@pytest.fixture
def old(url: str) -> Iterator[Any]:
    """A store on a filled database of schema 1."""
    lite = url.startswith("sqlite")
    run(url, SQLITE if lite else POSTGRES)
    run(url, ROWS.format(**(SQLITE_TIMES if lite else POSTGRES_TIMES)))
    store = open_store(url)
    yield store
    store.close()


def rows(store: Any) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(store.read(f"SELECT {names} FROM {table}"), key=repr) for table, names in COLUMNS.items()}


def shape(store: Any, url: str) -> set[Any]:
    """Every column and index with all that makes it up, but not the order of the tables."""
    if url.startswith("sqlite"):
        tables = "m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        columns = f"SELECT m.name, c.* FROM sqlite_master m, pragma_table_info(m.name) c WHERE {tables}"
        indexes = f"""
            SELECT m.name, i.name, i."unique", i.partial, x.seqno, x.name
            FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) x WHERE {tables}"""
        return {*store.read(columns), *store.read(indexes)}
    columns = """
        SELECT table_name, ordinal_position, column_name, data_type, is_nullable, is_identity, identity_generation
        FROM information_schema.columns WHERE table_schema = 'public'"""
    return {*store.read(columns), *store.read("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")}


def test_an_old_database_is_refused_with_the_one_command_that_upgrades_it(old: Any) -> None:
    before = rows(old)
    for attempt in (old.create, old.check):
        with pytest.raises(StoreMismatch, match=r"schema 1, this marketfetch knows schema 2.*`marketfetch check --upgrade`"):
            attempt()
    assert rows(old) == before


def test_an_upgrade_keeps_every_row(old: Any) -> None:
    before = rows(old)
    assert all(before.values()), "every table of the old database has rows to lose"
    line = old.upgrade()
    assert "from schema 1 to 2" in line
    assert "\n" not in line
    assert rows(old) == before
    old.create()
    assert "schema 2" in old.check()


def test_an_upgraded_database_has_the_shape_of_a_new_one(
    old: Any, url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    if url.startswith("sqlite"):
        new_url = f"sqlite:///{tmp_path_factory.mktemp('new')}/new.db"
    else:
        new_url = request.getfixturevalue("postgres").database("storage_new")
    new: Any = open_store(new_url)
    new.create()
    assert shape(old, url) != shape(new, new_url)
    old.upgrade()
    assert shape(old, url) == shape(new, new_url)
    new.close()


def test_an_upgraded_database_works(old: Any) -> None:
    old.upgrade()
    assert old.tally("one") == Tally(stored=1, empty=1, failed=1, rows=2, rejects=1, reject_reasons={"low is above high": 1})
    assert [job.id for job in old.open_jobs()] == ["two"]
    assert old.calls("polygon", "k", since_ms=0) == 3
    assert old.forget_failed("one") == 1
    assert old.calls("polygon", "k", since_ms=0) == 3
    assert [job.id for job in old.open_jobs()] == ["one", "two"]
    assert old.store([batch("a/1", {5: 1.0}), batch("c", {6: 1.0})]) == [True, True]
    assert old.cancel_job("two", at_ms=1) is True


def test_upgrading_twice_does_nothing_the_second_time(old: Any) -> None:
    old.upgrade()
    before = rows(old)
    assert "Nothing to do" in old.upgrade()
    assert rows(old) == before


def test_two_processes_may_upgrade_at_once(old: Any, url: str) -> None:
    before = rows(old)
    answers: Any = SPAWN.Queue()
    processes = [SPAWN.Process(target=upgrade, args=(url, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    lines = sorted(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    assert ["Nothing to do" in line or "from schema 1 to 2" in line for line in lines] == [True, True]
    assert sum("from schema 1 to 2" in line for line in lines) == 1
    assert rows(old) == before


def test_an_upgrade_that_fails_leaves_the_old_database(old: Any, url: str) -> None:
    before = rows(old)
    run(url, "CREATE TABLE spent_calls (whatever int)")
    with pytest.raises(StoreMismatch, match="named spent_calls that marketfetch did not make"):
        old.upgrade()
    run(url, "DROP TABLE spent_calls")
    run(url, "CREATE INDEX spent_calls_by_key ON jobs (spec)")
    with pytest.raises(Exception, match="Nothing of this transaction was stored"):
        old.upgrade()
    assert rows(old) == before
    with pytest.raises(StoreMismatch, match="schema 1"):
        old.check()
    run(url, "DROP INDEX spent_calls_by_key")
    old.upgrade()
    assert rows(old) == before


def test_a_database_without_tables_or_from_the_future_is_not_upgraded(old: Any, url: str) -> None:
    run(url, "UPDATE schema_version SET version = 99")
    with pytest.raises(StoreMismatch, match=r"schema 99.*install the marketfetch that made it"):
        old.upgrade()
    run(url, "UPDATE schema_version SET version = 0")
    with pytest.raises(StoreMismatch, match=r"schema 0.*name a new database"):
        old.upgrade()


def test_an_empty_database_has_nothing_to_upgrade(url: str) -> None:
    if url.startswith("sqlite"):
        run(url, "VACUUM")
    empty = open_store(url)
    with pytest.raises(StoreMismatch, match="no marketfetch tables yet"):
        empty.upgrade()
    empty.close()
