"""Events are recorded once with the condition that they report, claimed by one process, and kept until they are sent."""

from __future__ import annotations

from typing import Any

import pytest

from marketfetch.storage.notifications import Notification, Notifications
from marketfetch.storage.store import Job
from tests.storage.batches import batch

NOW = 1_700_000_000_000
LATER = NOW + 60_000


@pytest.fixture
def kept(store: Any) -> Notifications:
    return Notifications(store)


def event(event_id: str, *targets: str) -> list[Notification]:
    return [Notification(event_id, target, "stale", '{"a": 1}', NOW) for target in targets]


def test_a_condition_is_one_event_until_it_ends(kept: Notifications) -> None:
    assert kept.begin("stale", "polygon", "e1", at_ms=NOW, of_event=event("e1", "ops", "desk"))
    assert not kept.begin("stale", "polygon", "e2", at_ms=LATER, of_event=event("e2", "ops"))
    assert kept.in_force("stale") == {"polygon": NOW}
    assert [(one.id, one.target) for one in kept.due(now_ms=LATER, limit=9)] == [("e1", "desk"), ("e1", "ops")]
    assert [kept.end("stale", "polygon") for _ in range(2)] == [True, False]
    assert kept.begin("stale", "polygon", "e3", at_ms=LATER, of_event=event("e3", "ops"))
    assert len(kept.due(now_ms=LATER, limit=9)) == 3


def test_a_claim_is_one_process_s_and_expires(kept: Notifications) -> None:
    kept.add(event("e", "ops"))
    (one,) = kept.due(now_ms=NOW, limit=9)
    assert one == Notification("e", "ops", "stale", '{"a": 1}', NOW)
    assert [kept.claim(one, until_ms=LATER) for _ in range(2)] == [True, False]
    assert kept.due(now_ms=LATER - 1, limit=9) == []
    (again,) = kept.due(now_ms=LATER, limit=9)
    assert again.tries == 1
    assert kept.claim(again, until_ms=LATER + 1)


def test_what_is_sent_is_due_no_more_and_what_fails_comes_again(kept: Notifications) -> None:
    kept.add(event("e", "a", "b", "c"))
    a, b, c = kept.due(now_ms=NOW, limit=9)
    kept.sent(a, at_ms=NOW)
    kept.failed(b, due_ms=LATER, error="away")
    kept.given_up(c, at_ms=NOW, error="gone")
    assert kept.due(now_ms=NOW, limit=9) == []
    assert [one.target for one in kept.due(now_ms=LATER, limit=9)] == ["b"]
    assert kept.waiting() == [("b", 1, "away")]
    assert kept.given_up_since(NOW) == [("c", 1, "gone")]
    assert kept.given_up_since(NOW + 1) == []
    kept.forget(before_ms=LATER)
    assert kept.given_up_since(NOW) == []
    assert kept.waiting() == [("b", 1, "away")], "what waits is kept, however old"


def test_each_end_of_a_job_is_found_once(store: Any, kept: Notifications) -> None:
    store.save_job(Job("done", "{}", NOW), ["r"])
    store.save_job(Job("open", "{}", NOW), ["s"])
    store.save_job(Job("cancelled", "{}", NOW), ["s"])
    store.store([batch("r", {0: 1.0})])
    assert store.is_over("done")
    store.cancel_job("cancelled", at_ms=LATER)
    found = dict(kept.ended_jobs(since_ms=NOW, limit=9))
    assert found.keys() == {"done", "cancelled"}
    assert found["cancelled"] == LATER
    assert kept.begin("job over", f"cancelled {LATER}", "e", at_ms=NOW)
    assert [job for job, _ in kept.ended_jobs(since_ms=NOW, limit=9)] == ["done"]
    store.save_job(Job("cancelled", "{}", LATER), [])  # resumed, and cancelled again
    store.cancel_job("cancelled", at_ms=LATER + 1)
    assert {job for job, _ in kept.ended_jobs(since_ms=NOW, limit=9)} == {"done", "cancelled"}
    assert kept.ended_jobs(since_ms=4 * NOW, limit=9) == []
