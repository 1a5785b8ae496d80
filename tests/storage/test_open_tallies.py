"""The counts of many jobs that go on are kept and brought up to date, and are what counting all rows makes of them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from marketfetch.schemas.ledger import Outcome
from marketfetch.schemas.page import Reject
from marketfetch.storage import open_tallies
from marketfetch.storage.job_records import Tally
from marketfetch.storage.store import Job
from tests.storage.batches import batch

OUTCOMES: list[Outcome] = ["stored", "stored", "empty", "failed", "cancelled"]
BAD = Reject(row=1, field="low", value="9", reason="low is above open", symbol="AAPL")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs are many, four rows are worth keeping, and each row is settled at once."""
    for name, value in (("MANY_JOBS", 2), ("WORTH_KEEPING", 4), ("SETTLED_MS", -60_000), ("AT_THE_END", 8)):
        monkeypatch.setattr(open_tallies, name, value)


def kept(store: Any) -> list[str]:
    return [row[0] for row in store.database.read("SELECT id FROM jobs WHERE tallied_at = -1 ORDER BY id")]


@pytest.mark.parametrize("seed", range(4))
def test_kept_counts_are_those_of_all_rows(store: Any, small: None, seed: int) -> None:
    chance = random.Random(seed)
    jobs = {"one": ["a", "b", "c", "d", "e"], "two": ["c", "d", "e", "f"], "small": ["a", "g"]}
    for name, roots in jobs.items():
        store.save_job(Job(name, "{}", 0), roots)
    pages = [f"{root}/{page}" if page else root for root in "abcdefg" for page in range(3)]
    were_kept = 0
    for _ in range(60):
        name = chance.choice(pages)
        outcome = chance.choice(OUTCOMES)
        cursor = "next" if name[2:] != "2" and outcome in ("stored", "empty") and chance.random() < 0.7 else None
        store.store([batch(name, outcome=outcome, next_cursor=cursor, rejects=(BAD,) if chance.random() < 0.2 else ())])
        if chance.random() < 0.2:
            store.forget_failed(chance.choice([*jobs]))
        found = store.tallies([*jobs])
        exact = store._jobs._counted([*jobs])
        assert found == exact
        assert all(found[name].last_over_ms == exact[name].last_over_ms for name in jobs)
        were_kept += len(kept(store))
        assert "small" not in kept(store)
    assert were_kept


def test_what_is_kept_is_not_counted_again(store: Any, small: None) -> None:
    roots = ["a", "b", "c", "d", "e", "f"]
    store.save_job(Job("job", "{}", 0), roots)
    store.save_job(Job("other", "{}", 0), roots)
    store.cancel_job("other", at_ms=1)
    store.store([batch("a", outcome="empty"), batch("b", {0: 1.0}, next_cursor="p1"), batch("c", outcome="failed")])
    first = store.tallies(["job", "other"])
    assert first == {
        "job": Tally(pending=4, stored=1, empty=1, failed=1, rows=1),
        "other": Tally(cancelled=4, stored=1, empty=1, failed=1, rows=1),
    }
    assert kept(store) == ["job", "other"]
    store.database.change(lambda do: do("DELETE FROM job_requests WHERE root IN ('a', 'c')"))
    assert store.tallies(["job", "other"]) == first
    store.store([batch("b/1", {1: 1.0}), batch("d", outcome="empty")])
    assert store.tallies(["job", "other"])["job"] == Tally(pending=2, stored=2, empty=2, failed=1, rows=2)


def test_counts_are_kept_of_settled_rows_alone(store: Any, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_tallies, "SETTLED_MS", 600_000)
    for name in ("one", "two"):
        store.save_job(Job(name, "{}", 0), ["a", "b", "c", "d"])
    store.store([batch("a", outcome="empty")])
    assert store.tallies(["one", "two"])["one"] == Tally(pending=3, empty=1)
    kept_up_to = [json.loads(row[0])["upto"] for row in store.database.read("SELECT tally FROM jobs WHERE tallied_at = -1")]
    assert kept_up_to == [0, 0], "a transaction that began before may still write rows of lower ids"


def test_the_first_look_at_new_jobs_counts_no_plan(store: Any, small: None) -> None:
    roots = ["a", "b", "c", "d", "a"]
    store.store([batch("a", outcome="empty")])
    for name in ("one", "two"):
        store.save_job(Job(name, "{}", 0), roots)
    assert kept(store) == ["one", "two"]
    store.database.change(lambda do: do("DELETE FROM job_requests WHERE root = 'd'"))
    assert store.tallies(["one", "two"]) == dict.fromkeys(["one", "two"], Tally(pending=3, empty=1))


@pytest.mark.parametrize("rows", [0, 1, 6])
def test_rows_are_counted_alike_from_few_rows_and_from_few_requests(store: Any, small: None, rows: int) -> None:
    store.store([batch(f"other{n}", outcome="empty") for n in range(rows)] + [batch("a", outcome="failed")])
    for name in ("one", "two"):
        store.save_job(Job(name, "{}", 0), ["a", "b"])
    store.store([batch("b", outcome="empty")])
    assert store.tallies(["one", "two"]) == dict.fromkeys(["one", "two"], Tally(failed=1, empty=1))
