"""Who waits for the end of a job: recorded with it, due when it is over, notified by one process at a time, never forgotten."""

from __future__ import annotations

from typing import Any

from marketfetch.storage.store import Job, JobWaiter
from tests.storage.batches import batch

NOW = 1_700_000_000_000
LATER = NOW + 60_000


def saved(store: Any, job_id: str, *, roots: tuple[str, ...], gives_up_at_ms: int | None = None) -> JobWaiter:
    waiter = JobWaiter(job_id, "w", '{"task": "t"}', gives_up_at_ms=gives_up_at_ms)
    assert store.save_job(Job(job_id, "{}", NOW), roots, waiter) is True
    return waiter


def due(store: Any, now_ms: int = NOW) -> list[str]:
    return [one.job_id for one in store.due_waiters(now_ms=now_ms, limit=10)]


def test_a_waiter_is_due_once_its_job_is_over_or_cancelled_or_it_gives_up(store: Any) -> None:
    for name in ("over", "cancelled", "open"):
        saved(store, name, roots=(f"r-{name}",))
    saved(store, "impatient", roots=("r-impatient",), gives_up_at_ms=LATER)
    store.store([batch("r-over", {0: 1.0})])
    assert due(store) == [], "the job is not noted as over yet"
    assert [store.is_over(name) for name in ("over", "open", "none")] == [True, False, False]
    store.cancel_job("cancelled", at_ms=NOW)
    assert due(store) == ["cancelled", "over"]
    assert due(store, LATER) == ["cancelled", "impatient", "over"]
    store.save_job(Job("cancelled", "{}", LATER), [])  # resumed
    assert due(store) == ["over"]


def test_a_job_whose_last_page_is_missing_is_not_over(store: Any) -> None:
    saved(store, "job", roots=("a",))
    store.store([batch("a", {0: 1.0}, next_cursor="p1")])
    assert store.is_over("job") is False
    store.store([batch("a/1", {1: 1.0})])
    assert store.is_over("job") is True
    assert due(store) == ["job"]


def test_one_process_at_a_time_notifies_and_a_claim_expires(store: Any) -> None:
    waiter = saved(store, "job", roots=())
    store.is_over("job")
    assert store.claim_waiter(waiter, now_ms=NOW, until_ms=LATER) is True
    assert store.claim_waiter(waiter, now_ms=NOW, until_ms=LATER) is False
    assert (due(store), due(store, LATER)) == ([], ["job"])
    (again,) = store.waiters("job")
    assert again == JobWaiter("job", "w", '{"task": "t"}', tries=1)
    assert store.claim_waiter(again, now_ms=LATER, until_ms=LATER + 1) is True
    assert [store.forget_waiter("job", "w") for _ in range(2)] == [True, False]
    assert store.waiters("job") == []


def test_a_job_that_is_known_gains_a_waiter_and_the_same_one_once(store: Any) -> None:
    saved(store, "job", roots=("a", "b"))
    for name in ("w", "x", "x"):
        assert store.save_job(Job("job", "{}", LATER), ["a", "b"], JobWaiter("job", name, "{}")) is False
    assert [one.name for one in store.waiters("job")] == ["w", "x"]
    saved(store, "other", roots=("b",))
    store.save_job(Job("nobody waits", "{}", NOW), ["b"])
    assert store.awaited_jobs(["b", "b", "c"]) == ["job", "other"]
    assert store.awaited_jobs(["a"]) == ["job"]


def test_a_purge_takes_the_waiters_of_the_jobs_that_it_deletes(store: Any) -> None:
    old = JobWaiter("old", "w", "{}")
    store.save_job(Job("old", "{}", 1_000), [], old)
    saved(store, "young", roots=("a",))
    assert store.purge(older_than_ms=NOW).jobs == 1
    assert (store.waiters("old"), len(store.waiters("young"))) == ([], 1)
