"""With a real worker: who leaves while a call runs, and what becomes of the others."""

from __future__ import annotations

import json

from marketfetch.quotas import Gate, key_limits
from tests.flow.test_ways_in import ASKED, answer
from tests.waiting import eventually

MAIN = key_limits("main", [])


def test_a_task_that_was_revoked_while_it_ran_and_was_refused_does_not_block_its_key(place, sandbox):
    """A worker drops its message unread, so its grant lapses and goes back to the front: for three hours, Celery's memory."""
    place.env["MARKETFETCH_TIMINGS__START_BY"] = "1"
    place.env["MARKETFETCH_PROVIDERS__POLYGON__CONCURRENCY"] = "1"
    gate = Gate(place.redis(), pool="polygon")
    task_id = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).id")
    (grant,) = gate.admit(room=1, most_granted=1, keys=(MAIN,)).grants
    assert gate.start(grant.id, fence=grant.fence).verdict == "go"  # as a child does
    place.worker()
    answer(place, f"app.control.revoke('{task_id}')\nanswer = True")
    gate.requeue(grant.id, fence=grant.fence, key_label="main", pause_ms=100, why="429")
    other = answer(place, f"answer = polygon.delay('MSFT', {ASKED}).id")
    eventually(
        lambda: json.loads(place.redis().get(f"celery-task-meta-{other}") or b"{}").get("status") == "SUCCESS",
        within_s=15,
        what="the other task's call",
    )


def test_what_a_revoked_task_leaves_to_a_job_is_stored_and_settled(place, sandbox):
    task_id = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).id")
    request = Gate(place.redis(), pool="polygon").request_of(task_id)
    range_ = ("--start", "2024-01-02", "--end", "2024-01-31")
    done = place.marketfetch("fetch", "polygon", "AAPL", *range_)
    assert done.returncode == 0, done.stderr
    answer(place, f"app.control.revoke('{task_id}')\nanswer = True")
    place.worker()
    eventually(lambda: sandbox.log()["calls"] > 0, within_s=15)
    eventually(lambda: not place.redis().exists(f"mf:{{polygon}}:req:{request}"), within_s=10, what="settled")
