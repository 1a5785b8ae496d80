"""A reply that needs one more call: the same request returns to its place with other arguments, and is not over yet."""

from __future__ import annotations

import pytest

from marketfetch.quotas import Gate, Grant, Parking, key_limits
from tests.quotas.steps import admit, park

CHECK = '{"symbol":"a","cursor":"/check"}'


@pytest.fixture
def gate(either_gate) -> Gate:
    return either_gate


def started(gate: Gate) -> Grant:
    (grant,) = admit(gate, room=1).grants
    assert gate.start(grant.id, fence=grant.fence).verdict == "go"
    return grant


def by_task(gate: Gate, task: str) -> None:
    gate.park([Parking(id="a", arguments='{"symbol":"a"}', task=task, message=f"message of {task}")], job="direct")


def needs_another(gate: Gate, grant: Grant) -> bool:
    return bool(gate.finish(grant.id, fence=grant.fence, batch=b"", then=CHECK))


def test_it_goes_before_what_stood_behind_it_and_asks_what_it_was_given(gate):
    park(gate, "a", "b")
    assert needs_another(gate, started(gate))
    assert (gate.counts().parked, gate.counts().held, gate.batch("a")) == (2, 0, None)
    one, two = admit(gate).grants
    assert (one.id, one.arguments, one.attempts) == ("a", CHECK, 0)
    assert two.id == "b"
    assert gate.start("a", fence=one.fence).calls == 2


def test_everyone_who_waits_hears_of_the_second_call(gate):
    by_task(gate, "one")
    by_task(gate, "two")
    park(gate, "a", job="J")
    assert needs_another(gate, started(gate))
    by_task(gate, "late")
    grant = started(gate)
    assert (grant.message, grant.arguments) == ("message of one", CHECK)
    assert gate.finish("a", fence=grant.fence, batch=b"no", failed="unknown")
    assert gate.settle("a", outcome='{"outcome":"failed"}')
    notified = {one.id: one.message for one in admit(gate).grants if one.kind == "answered"}
    assert notified == {"task:two": "message of two", "task:late": "message of late"}


def test_it_counts_a_call_each_time(gate):
    key = key_limits("main", ["1/minute"])
    park(gate, "a")
    (first,) = admit(gate, key).grants
    gate.start("a", fence=first.fence)
    assert needs_another(gate, first)
    found = admit(gate, key)
    assert found.grants == ()
    assert 59_000 < found.wait_ms <= 60_001


def test_a_lost_lease_changes_nothing_and_the_report_is_made_once(gate):
    park(gate, "a")
    grant = started(gate)
    assert needs_another(gate, grant)
    assert not needs_another(gate, grant)
    assert gate.counts().parked == 1
    again = started(gate)
    assert not gate.finish("a", fence=grant.fence, batch=b"late")
    assert gate.counts().running == 1
    assert gate.finish("a", fence=again.fence, batch=b"rows")


def test_who_has_left_meanwhile_is_not_asked_for_again(gate):
    by_task(gate, "one")
    grant = started(gate)
    assert gate.withdraw(["a"], who="task:one")[0].what == "stays"
    assert needs_another(gate, grant)
    assert gate.arguments("a") is None
    assert [(one.id, one.kind) for one in admit(gate).grants] == [("task:one", "dropped")]


def test_a_child_that_dies_in_the_second_call_leaves_its_arguments(gate):
    park(gate, "a")
    assert needs_another(gate, started(gate))
    (grant,) = admit(gate).grants
    gate.start("a", fence=grant.fence, end_by_ms=-1)
    (again,) = admit(gate).grants
    assert (again.id, again.arguments) == ("a", CHECK)


def test_a_usable_reply_closes_the_circuit_breaker_and_deletes_the_kept_one(gate):
    park(gate, "a")
    grant = started(gate)
    gate.keep_raw("a", b"body", fence=grant.fence)
    gate.rest_if_unhealthy("a", fence=grant.fence, key_label="main", rest_ms=1000, why="why")
    assert needs_another(gate, grant)
    assert gate.raw("a") is None
    assert gate.redis.hget(f"{gate.prefix}key:main", "ill") is None


def test_a_job_that_is_fed_meanwhile_keeps_the_arguments(gate):
    """The plan of a job knows no second call: parking again must not undo it."""
    park(gate, "a")
    assert needs_another(gate, started(gate))
    assert park(gate, "a") == 0
    (grant,) = admit(gate).grants
    assert grant.arguments == CHECK
