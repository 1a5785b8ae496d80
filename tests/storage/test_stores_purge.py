"""What a purge deletes, what it must leave, and that nobody waits for it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.page import Reject
from marketfetch.storage import open_store, purging
from marketfetch.storage.store import Job, Purged, Tally
from tests.storage.batches import batch, closes, count

DAY_MS = 86_400_000
BAD = Reject.of(0, "low", 1, "low is above high")


@pytest.fixture
def now_ms() -> int:
    return time.time_ns() // 1_000_000


def age(store: Any, days: float, *, requests: str = "%", jobs: str = "%") -> None:
    """Makes requests and jobs (SQL patterns of their ids) `days` older than now."""
    then = time.time_ns() // 1_000_000 - int(days * DAY_MS)
    at = store.database.spelling.time()

    def change(execute: Any) -> None:
        execute(f"UPDATE ledger SET over_at = {at}, called_at = {at} WHERE request_id LIKE ?", then, then, requests)
        execute(f"UPDATE jobs SET created_at = {at}, done_at = NULL WHERE id LIKE ?", then, jobs)

    store.database.change(change)


def requests(store: Any) -> set[str]:
    return {row[0] for row in store.database.read("SELECT request_id FROM ledger")}


def jobs(store: Any) -> set[str]:
    return {job.id for job in store.latest_jobs(1_000)}


def test_an_old_job_goes_with_its_requests_and_rejects_and_its_bars_stay(store: Any, now_ms: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b"])
    store.store([batch("a", {0: 1.0, 1: 2.0}, rejects=(BAD, BAD)), batch("b", outcome="failed")])
    age(store, 10)
    assert store.purge(older_than_ms=now_ms - 5 * DAY_MS) == Purged(jobs=1, ledger=2, rejects=2)
    assert [count(store, table) for table in ("jobs", "job_requests", "ledger", "rejects")] == [0, 0, 0, 0]
    assert closes(store) == {0: 1.0, 1: 2.0}
    assert store.database.read("SELECT DISTINCT request_id FROM bars") == [(None,)]
    assert store.purge(older_than_ms=now_ms - 5 * DAY_MS) == Purged()


def test_bars_of_a_purged_request_never_point_to_a_younger_one(store: Any, now_ms: int) -> None:
    store.store([batch("a", {0: 1.0})])
    age(store, 10)
    store.purge(older_than_ms=now_ms)
    store.store([batch("b", {5: 1.0})])
    assert store.database.read("SELECT request_id FROM bars ORDER BY ts") == [(None,), ("b",)]
    store.store([batch("c", {0: 2.0}, fetched=2_000)])
    assert store.database.read("SELECT request_id FROM bars ORDER BY ts") == [("c",), ("b",)]


def test_a_job_that_is_not_over_keeps_all_that_it_asked_for(store: Any, now_ms: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b"])
    store.store([batch("a", {0: 1.0}, next_cursor="p1"), batch("a/1", {1: 1.0})])
    age(store, 10)
    assert store.purge(older_than_ms=now_ms) == Purged()
    assert store.tally("job") == Tally(pending=1, stored=2, rows=2)


def test_a_request_that_a_younger_job_names_stays_and_is_not_to_do_again(store: Any, now_ms: int) -> None:
    store.save_job(Job("old", "{}", 0), ["a", "b"])
    store.save_job(Job("young", "{}", 0), ["b"])
    store.store([batch("a", {0: 1.0}), batch("b", {1: 1.0}, next_cursor="p"), batch("b/1", {2: 1.0})])
    age(store, 10)
    age(store, 1, requests="nothing", jobs="young")
    assert store.purge(older_than_ms=now_ms - 5 * DAY_MS) == Purged(jobs=1, ledger=1)
    assert (jobs(store), requests(store)) == ({"young"}, {"b", "b/1"})
    assert store.tally("young") == Tally(stored=2, rows=2)


def test_a_job_that_ended_lately_stays_however_old_it_is(store: Any, now_ms: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b"])
    store.store([batch("a", {0: 1.0}), batch("b", {1: 1.0})])
    age(store, 30)
    age(store, 4, requests="b", jobs="nothing")
    assert store.purge(older_than_ms=now_ms - 5 * DAY_MS) == Purged()
    assert store.purge(older_than_ms=now_ms - 3.5 * DAY_MS) == Purged(jobs=1, ledger=2)


def test_a_cancelled_job_goes_by_when_it_was_cancelled(store: Any, now_ms: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a"])
    store.cancel_job("job", at_ms=now_ms - 6 * DAY_MS)
    assert store.purge(older_than_ms=now_ms - 7 * DAY_MS) == Purged()
    assert store.purge(older_than_ms=now_ms - 5 * DAY_MS) == Purged(jobs=1)


@pytest.mark.parametrize("asked", [0, 10 * DAY_MS])
def test_nothing_younger_than_three_days_goes_whatever_is_asked(store: Any, now_ms: int, asked: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b"])
    store.store([batch("a", {0: 1.0}), batch("b", outcome="failed")])
    store.store([batch("alone", {0: 1.0}), batch("alone old")])
    age(store, 2.9)
    age(store, 3.1, requests="alone old", jobs="nothing")
    store.forget_failed("job")
    store.store([batch("b", fetched=now_ms)])
    before = store.calls("polygon", "key-1", since_ms=now_ms - 3 * DAY_MS)
    assert before == 4
    assert store.purge(older_than_ms=now_ms + asked) == Purged(ledger=1)
    assert store.calls("polygon", "key-1", since_ms=now_ms - 3 * DAY_MS) == before


def test_a_request_called_lately_stays_although_its_end_seems_old(store: Any, now_ms: int) -> None:
    store.store([Batch(replace(batch("a").ledger, called_at_ms=now_ms))])
    store.database.change(
        lambda execute: execute(f"UPDATE ledger SET over_at = {store.database.spelling.time()}", now_ms - 10 * DAY_MS)
    )
    assert store.purge(older_than_ms=now_ms) == Purged()


def test_calls_of_forgotten_requests_go_when_they_are_old(store: Any, now_ms: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a"])
    store.store([Batch(replace(batch("a", outcome="failed").ledger, called_at_ms=now_ms - 10 * DAY_MS))])
    store.forget_failed("job")
    assert count(store, "spent_calls") == 1
    store.purge(older_than_ms=now_ms)
    assert count(store, "spent_calls") == 0


def test_many_rows_go_in_small_transactions_and_a_worker_stores_in_between(
    store: Any, url: str, now_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "PIECE", 20)
    purged: Any = store
    purged.save_job(Job("job", "{}", 0), [f"r{n:03}" for n in range(90)])
    purged.store([batch(f"r{n:03}", rejects=(BAD,) * (n % 4)) for n in range(90)] + [batch("big", rejects=(BAD,) * 50)])
    age(purged, 10)
    worker: Any = open_store(url)
    before = [sum(count(store, table) for table in ("ledger", "rejects", "job_requests"))]
    deleted: list[int] = []
    change = store.database.change

    def watched(work: Any, **how: Any) -> Any:
        answer = change(work, **how)
        left = sum(count(worker, table) for table in ("ledger", "rejects", "job_requests"))
        deleted.append(before[0] - left)
        assert worker.store([batch(f"worker{len(deleted)}")]) == [True]
        before[0] = left + 1
        return answer

    monkeypatch.setattr(store.database, "change", watched)
    assert purged.purge(older_than_ms=now_ms) == Purged(jobs=1, ledger=91, rejects=sum(n % 4 for n in range(90)) + 50)
    assert sorted(deleted)[-2:] == [20, 51], "one request is never parted from its rejects"
    assert count(store, "job_requests") == 0
    assert requests(store) == {f"worker{n + 1}" for n in range(len(deleted))}
    worker.close()


def test_a_purge_that_was_stopped_is_finished_by_the_next_one(store: Any, now_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b"])
    store.store([batch("a"), batch("b")])
    age(store, 10)

    def stopped(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(purging.Purging, "_shorten_list", stopped)
        with pytest.raises(KeyboardInterrupt):
            store.purge(older_than_ms=now_ms)
    assert (jobs(store), count(store, "job_requests"), count(store, "ledger")) == (set(), 2, 2)
    assert store.purge(older_than_ms=now_ms) == Purged(ledger=2)
    assert count(store, "job_requests") == 0


def test_a_job_submitted_anew_over_a_stopped_purge_is_whole(store: Any, now_ms: int) -> None:
    store.save_job(Job("job", "{}", 0), ["a", "b"])
    store.database.change(lambda execute: execute("DELETE FROM jobs"))
    assert store.save_job(Job("job", "{}", now_ms), ["a", "b", "c"]) is True
    store.purge(older_than_ms=now_ms)
    assert store.tally("job") == Tally(pending=3)
