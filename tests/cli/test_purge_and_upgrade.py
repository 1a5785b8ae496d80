"""`marketfetch purge` and `marketfetch check --upgrade` as they are typed."""

from __future__ import annotations

import json
import sqlite3
import time
from base64 import b64encode
from contextlib import closing

import pytest

from marketfetch.schemas.page import Reject
from marketfetch.storage import open_store
from marketfetch.storage.store import Job
from tests.storage.batches import batch
from tests.storage.recorded_databases import recorded

DAY_MS = 86_400_000


@pytest.fixture
def here(shell, redis, valkey_url):
    shell.variables["MARKETFETCH_REDIS_URL"] = valkey_url
    return shell


@pytest.fixture
def filled(here):
    """A job that was over 100 days ago, with a reject and three bars, and one of today."""
    store = open_store(f"sqlite:///{here.folder / 'marketfetch.db'}")
    store.create()
    long_ago = time.time_ns() // 1_000_000 - 100 * DAY_MS
    store.save_job(Job("old", "{}", long_ago), ["a"])
    store.save_job(Job("young", "{}", long_ago + 100 * DAY_MS), ["b"])
    store.store([batch("a", {0: 1.0, 1: 2.0}, rejects=(Reject.of(0, "low", 1, "low is above high"),)), batch("b", {2: 3.0})])
    store.close()
    with closing(sqlite3.connect(here.folder / "marketfetch.db")) as database:
        database.execute("UPDATE ledger SET over_at = ?, called_at = ? WHERE root = 'a'", (long_ago, long_ago))
        database.commit()
    return here


def bury(redis, *, days_ago: float) -> None:
    at = int((time.time() - days_ago * 86_400) * 1000)
    redis.xadd("mf:dead", {"list": "store", "reason": "x", "raw": b64encode(b"x"), "size": 1}, id=f"{at}-0")


def table(shell, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(shell.folder / "marketfetch.db")) as database:
        return database.execute(sql).fetchall()


def test_what_is_old_goes_and_every_bar_stays(filled, redis):
    bury(redis, days_ago=91)
    bury(redis, days_ago=1)
    done = filled.run("purge", "--older-than", "90d", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"jobs": 1, "requests": 1, "rejects": 1, "dead_messages": 1}
    assert table(filled, "SELECT id FROM jobs") == [("young",)]
    assert table(filled, "SELECT root FROM ledger") == [("b",)]
    assert table(filled, "SELECT count(*) FROM bars") == [(3,)]
    assert redis.xlen("mf:dead") == 1
    done = filled.run("purge", "--older-than", "13w")
    assert done.stdout == "Nothing was old enough to be purged.\n"


@pytest.mark.parametrize("age", ["2d", "90", "0w", "x", "-4d", "99999999d", "1y"])
def test_an_age_that_is_none_is_a_mistake_in_writing_and_nothing_goes(filled, age):
    done = filled.run("purge", f"--older-than={age}")
    assert done.returncode == 2
    assert "write days or weeks, such as 90d or 12w; at least 3d" in done.stderr
    assert table(filled, "SELECT count(*) FROM jobs") == [(2,)]


def test_without_an_age_nothing_is_purged(filled):
    done = filled.run("purge")
    assert done.returncode == 2
    assert "--older-than" in done.stderr
    assert table(filled, "SELECT count(*) FROM jobs") == [(2,)]


def test_with_redis_away_the_database_is_purged_and_the_sentence_says_what_is_not(filled, one_sentence):
    sentence = one_sentence(filled.run("purge", "--older-than", "90d", REDIS_URL="redis://127.0.0.1:1/0"))
    assert "The database is purged (1 job, 1 request, 1 reject), the dead messages are not" in sentence
    assert table(filled, "SELECT id FROM jobs") == [("young",)]


def test_with_the_database_away_the_sentence_says_so(here, one_sentence):
    url = "postgresql://nobody:S3CR3T@127.0.0.1:1/none"
    sentence = one_sentence(here.run("purge", "--older-than", "90d", DATABASE_URL=url))
    assert "can't be reached" in sentence
    assert "S3CR3T" not in sentence


def of_the_release_before(shell) -> None:
    with closing(sqlite3.connect(shell.folder / "marketfetch.db")) as database:
        database.executescript(recorded(1, "sqlite"))
        database.execute("DELETE FROM jobs")
        database.execute("INSERT INTO jobs (id, spec, created_at) VALUES ('kept', '{}', 0)")
        database.commit()


def test_tables_of_the_release_before_name_the_command_that_upgrades_them(here, one_sentence):
    of_the_release_before(here)
    assert "marketfetch check --upgrade" in one_sentence(here.run("status", "kept"))
    done = here.run("check", "--json")
    (database,) = (one for one in json.loads(done.stdout)["findings"] if one["subject"] == "database")
    assert database["level"] == "error"
    assert "stop the workers and run `marketfetch check --upgrade`, which keeps every row" in database["sentence"]


def test_an_upgrade_keeps_every_row_and_the_second_has_nothing_to_do(here):
    of_the_release_before(here)
    done = here.run("check", "--upgrade", "--json")
    assert done.stderr.startswith("Upgraded the database file")
    assert "every row is kept. 2 series got the zone of their days." in done.stderr
    of_bars = "SELECT symbol, date, zone FROM bars ORDER BY symbol, ts"
    assert table(here, of_bars)[0] == ("AAPL", "1970-01-01", "America/New_York")
    assert {zone for *_, zone in table(here, of_bars)} == {"America/New_York"}
    (database,) = (one for one in json.loads(done.stdout)["findings"] if one["subject"] == "database")
    assert database["level"] == "ok"
    assert table(here, "SELECT id FROM jobs") == [("kept",)]
    assert here.run("check", "--upgrade").stderr.startswith("Nothing to do: the database file")


def test_an_upgrade_where_there_is_nothing_makes_nothing(here, one_sentence):
    assert "marketfetch.db does not exist (`marketfetch fetch` and `marketfetch up` make it)" in one_sentence(
        here.run("check", "--upgrade")
    )
    assert not (here.folder / "marketfetch.db").exists()
