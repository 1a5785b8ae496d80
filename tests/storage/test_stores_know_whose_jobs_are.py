"""Jobs keep owner, name and tags, and are found by them, or by the beginning of their id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from marketfetch.storage.store import Job, Tally
from tests.storage.batches import batch
from tests.storage.recorded_databases import run

HOSTILE = "'; DROP TABLE jobs; -- \" \\ %_ ü"


def ids(jobs: list[Job]) -> list[str]:
    return [one.id for one in jobs]


def test_a_job_is_listed_by_its_owner_and_by_each_of_its_tags(store: Any) -> None:
    ana = Job("0a", "{}", 1, owner="ana", name="nightly", tags=("eod", HOSTILE))
    for job in (ana, Job("0b", "{}", 2, owner="ben", tags=("eod",)), Job("0c", "{}", 3)):
        assert store.save_job(job, ["r"]) is True
    assert store.job("0a") == ana
    assert store.save_job(replace(ana, owner="eve", tags=()), ["r"]) is False
    assert (store.jobs_named("nightly", 9), store.jobs_named("", 9)) == ([ana], [])
    assert (store.jobs_named("nightly", 9, owner="ana"), store.jobs_named("nightly", 9, owner="ben")) == ([ana], [])
    assert store.job("0a") == ana, "who submits it again does not take it over"
    assert ids(store.latest_jobs()) == ["0c", "0b", "0a"]
    assert ids(store.latest_jobs(owner="ana")) == ["0a"]
    assert ids(store.latest_jobs(tag="eod")) == ["0b", "0a"]
    assert ids(store.latest_jobs(1, tag="eod")) == ["0b"]
    assert ids(store.latest_jobs(tag=HOSTILE)) == ["0a"]
    assert store.latest_jobs(owner="ben", tag=HOSTILE) == store.latest_jobs(tag="eo") == store.latest_jobs(tag="%") == []
    assert [one.owner for one in store.open_jobs()] == ["ana", "ben", ""]
    assert ids(store.running_jobs()) == ["0c", "0b", "0a"]
    assert ids(store.running_jobs(tag="eod")) == ["0b", "0a"]
    store.cancel_job("0b", at_ms=9)
    assert ids(store.running_jobs(tag="eod")) == ["0a"]
    store.store([batch("r", {0: 1.0})])
    assert store.running_jobs() == []


def test_two_handles_of_the_same_requests_are_cancelled_and_purged_alone(store: Any) -> None:
    store.save_job(Job("0a", "{}", 0, owner="ana"), ["r", "s"])
    store.save_job(Job("0b", "{}", 0, owner="ben"), ["r", "s"])
    store.store([batch("r", {0: 1.0})])
    store.cancel_job("0a", at_ms=1)
    assert (store.tally("0a"), store.tally("0b")) == (Tally(stored=1, cancelled=1, rows=1), Tally(pending=1, stored=1, rows=1))
    assert store.purge(older_than_ms=10).jobs == 1
    assert ids(store.latest_jobs()) == ["0b"]
    assert store.tally("0b") == Tally(pending=1, stored=1, rows=1)


def test_a_job_is_found_by_the_beginning_of_its_id(store: Any) -> None:
    for n, name in enumerate(("abcd0000", "abcd00ff", "abce0000", "abcdffff", "abc")):
        store.save_job(Job(name, "{}", n), [])
    assert ids(store.jobs_beginning_with("abcd", 9)) == ["abcdffff", "abcd00ff", "abcd0000"]
    assert ids(store.jobs_beginning_with("abcd", 2)) == ["abcdffff", "abcd00ff"]
    assert ids(store.jobs_beginning_with("abce", 2)) == ["abce0000"]
    assert store.jobs_beginning_with("abcd1", 2) == []


def test_what_the_release_before_records_has_no_owner(store: Any) -> None:
    add = f"INSERT INTO jobs (id, spec, created_at) VALUES (?, ?, {store.database.spelling.time()})"
    store.database.change(lambda execute: execute(add, "old", "{}", 5))
    assert store.job("old") == Job("old", "{}", 5)


def test_damaged_tags_stop_no_job(store: Any, url: str) -> None:
    store.save_job(Job("0a", "{}", 1, owner="ana", tags=("eod",)), ["r"])
    run(url, "UPDATE jobs SET tags = '[\"eod\"'")
    assert [(one.id, one.tags) for one in store.open_jobs()] == [("0a", ())]
