"""A database of any release before becomes one of this release, and every row of it stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from marketfetch.storage import open_store, upgrades
from marketfetch.storage.schema import SCHEMA_VERSION
from marketfetch.storage.store import StoreError, StoreMismatch, Tally
from tests.storage.batches import batch
from tests.storage.fresh_processes import FRESH
from tests.storage.recorded_databases import VERSIONS, make, recorded, run, shape, statements_of_sqlite
from tests.storage.writers import upgrade

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


@pytest.fixture
def old(url: str) -> Iterator[Any]:
    """A store on a filled database of schema 1."""
    make(url, 1)
    store = open_store(url)
    yield store
    store.close()


def rows(store: Any) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(store.database.read(f"SELECT {names} FROM {table}"), key=repr) for table, names in COLUMNS.items()}


def test_an_old_database_is_refused_with_the_one_command_that_upgrades_it(old: Any) -> None:
    before = rows(old)
    for attempt in (old.create, old.check):
        with pytest.raises(StoreMismatch, match=r"schema 1, this marketfetch knows schema 5.*`marketfetch check --upgrade`"):
            attempt()
    assert rows(old) == before


def test_an_upgrade_keeps_every_row(old: Any) -> None:
    before = rows(old)
    assert all(before.values()), "every table of the old database has rows to lose"
    line = old.upgrade()
    assert "from schema 1 to 5" in line
    assert "\n" not in line
    assert rows(old) == before
    old.create()
    assert "schema 5" in old.check()


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
    answers: Any = FRESH.Queue()
    processes = [FRESH.Process(target=upgrade, args=(url, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    lines = sorted(answers.get(timeout=300) for _ in processes)
    for process in processes:
        process.join(300)
    # The second one may take a step too: each step is a transaction of its own.
    others = ("Nothing to do", *(f"from schema {version} to 5" for version in (2, 3, 4)))
    assert sum(any(words in line for words in others) for line in lines) == 1
    assert sum("from schema 1 to 5" in line for line in lines) == 1
    assert rows(old) == before


def test_a_newer_release_may_leave_the_tables_usable_by_this_one(old: Any, url: str) -> None:
    old.upgrade()
    run(url, f"INSERT INTO schema_version (version) VALUES ({SCHEMA_VERSION + 1})")
    old.create()
    assert f"schema {SCHEMA_VERSION}, writable" in old.check()
    assert "Nothing to do" in old.upgrade()
    run(url, f"DELETE FROM schema_version WHERE version <= {SCHEMA_VERSION}")
    with pytest.raises(StoreMismatch, match=f"schema {SCHEMA_VERSION + 1}.*install the marketfetch that made it"):
        old.create()


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


def new_database(url: str, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the same kind."""
    if url.startswith("sqlite"):
        return f"sqlite:///{request.getfixturevalue('tmp_path_factory').mktemp('new')}/new.db"
    return str(request.getfixturevalue("postgres").database("storage_new"))


def test_every_version_is_recorded_and_has_its_step() -> None:
    # The tables of the version that is being written are recorded when they are complete, before they are released.
    assert list(range(1, SCHEMA_VERSION + 1)) in (VERSIONS, [*VERSIONS, SCHEMA_VERSION])
    for folder in ("sqlite", "postgres"):
        assert [bool(upgrades.step(folder, version)) for version in range(1, SCHEMA_VERSION + 2)] == [
            False,
            *[True] * (SCHEMA_VERSION - 1),
            False,
        ]
        assert f"INSERT INTO schema_version (version) VALUES ({VERSIONS[-1]})" in recorded(VERSIONS[-1], folder)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_version_becomes_this_one_and_a_second_run_changes_nothing(
    version: int, url: str, request: pytest.FixtureRequest
) -> None:
    make(url, version)
    store: Any = open_store(url)
    before = rows(store)
    assert all(before.values()), "every table of the old database has rows to lose"
    line = store.upgrade()
    assert ("Nothing to do" in line) == (version == SCHEMA_VERSION)
    assert rows(store) == before
    new_url = new_database(url, request)
    new: Any = open_store(new_url)
    new.create()
    made = shape(store, url)
    assert made == shape(new, new_url)
    assert "Nothing to do" in store.upgrade()
    assert (rows(store), shape(store, url)) == (before, made)
    assert store.database.read("SELECT version FROM schema_version") == [(2,), (3,), (4,), (5,)], (
        "releases of schema 2 read the first"
    )
    new.close()
    store.close()


def test_a_new_database_has_the_tables_that_the_release_of_its_version_made(url: str, request: pytest.FixtureRequest) -> None:
    make(url, VERSIONS[-1])
    made: Any = open_store(url)
    made.upgrade()
    new_url = new_database(url, request)
    new: Any = open_store(new_url)
    new.create()
    assert shape(new, new_url) == shape(made, url)
    if url.startswith("sqlite") and VERSIONS[-1] == SCHEMA_VERSION:  # a column that a step adds stands behind the constraints
        assert statements_of_sqlite(new) == statements_of_sqlite(made)
    new.close()
    made.close()


def test_a_crash_between_two_steps_leaves_the_version_of_the_last_finished_step(
    old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, step = rows(old), upgrades.step
    good, bad = ["CREATE TABLE extra (a INTEGER)"], ["CREATE TABLE extra (a INTEGER)", "INSERT INTO nowhere VALUES (1)"]
    with monkeypatch.context() as patch:
        patch.setattr("marketfetch.storage.schema.SCHEMA_VERSION", SCHEMA_VERSION + 1)
        patch.setattr(upgrades, "step", lambda folder, version: bad if version > SCHEMA_VERSION else step(folder, version))
        with pytest.raises(StoreError):
            old.upgrade()
        assert old.database.read("SELECT max(version) FROM schema_version") == [(SCHEMA_VERSION,)]
        with pytest.raises(StoreMismatch, match=rf"schema {SCHEMA_VERSION}.*`marketfetch check --upgrade`"):
            old.check()
    assert "writable" in old.check(), "the tables are those of the last finished step"
    assert rows(old) == before
    with monkeypatch.context() as patch:
        patch.setattr("marketfetch.storage.schema.SCHEMA_VERSION", SCHEMA_VERSION + 1)
        patch.setattr(upgrades, "step", lambda folder, version: good if version > SCHEMA_VERSION else step(folder, version))
        assert f"from schema {SCHEMA_VERSION} to {SCHEMA_VERSION + 1}" in old.upgrade()
        assert "Nothing to do" in old.upgrade()
    assert rows(old) == before
    assert old.database.read("SELECT count(*) FROM extra") == [(0,)]
