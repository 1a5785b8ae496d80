"""Tasks with one id and different wishes are several tasks, as in Celery: each has its own request, outcome and message."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from marketfetch.quotas import Parking
from tests.quotas.steps import admit, park

SECOND = "x\x1f2"


def by_task(gate, request, *, task="x", later_ms=0, arguments="{}"):
    one = Parking(id=request, arguments=arguments, task=task, message=f"{task} wants {request} {arguments}")
    return gate.park([one], job="direct", not_before_ms=later_ms)


def outcomes(gate):
    """What the tasks that are notified now are answered with, by their message."""
    told = {}
    for grant in admit(gate).grants:
        if grant.kind == "answered":
            told[grant.message] = gate.start(grant.id, fence=grant.fence).reason
            gate.settle(grant.id)
    return told


def stored(gate, request):
    (grant,) = [one for one in admit(gate).grants if one.id == request]
    gate.start(grant.id, fence=grant.fence)
    gate.finish(grant.id, fence=grant.fence, batch=b"x")


def test_each_is_notified_of_its_own_outcome(gate):
    park(gate, "aapl", "msft")
    assert by_task(gate, "aapl") == by_task(gate, "msft") == 0
    assert gate.requests_of("x") == {"x": "aapl", SECOND: "msft"}
    gate.settle("aapl", outcome="of aapl")
    gate.settle("msft", outcome="of msft")
    assert outcomes(gate) == {"x wants aapl {}": "of aapl", "x wants msft {}": "of msft"}
    assert gate.requests_of("x") == {}


def test_the_same_wish_twice_is_one_task(gate):
    assert [by_task(gate, "aapl") for _ in range(3)] == [1, 0, 0]
    assert gate.requests_of("x") == {"x": "aapl"}
    assert by_task(gate, "task:y", task="y", arguments="AAPL") == 1
    assert by_task(gate, "task:y", task="y", arguments="AAPL") == 0
    assert gate.requests_of("y") == {"y": "task:y"}


def test_the_end_of_one_leaves_the_other_where_it_can_be_revoked(gate):
    by_task(gate, "aapl")
    by_task(gate, "msft")
    gate.settle("aapl", outcome="of aapl")
    assert gate.requests_of("x") == {SECOND: "msft"}
    (left,) = gate.withdraw(["msft"], who=f"task:{SECOND}")
    assert (left.what, left.message) == ("gone", "x wants msft {}")
    gate.settle(f"task:{SECOND}")
    assert not gate.redis.keys(f"{gate.prefix}req:*")
    assert gate.requests_of("x") == {}


def test_a_task_of_its_own_takes_neither_the_record_nor_the_notification_of_another(gate):
    """Tasks with a countdown, or that this process can't plan, have a record that is named after them."""
    assert by_task(gate, "task:x", arguments="AAPL", later_ms=1 << 45) == 1
    assert by_task(gate, "task:x", arguments="MSFT", later_ms=1 << 45) == 1
    assert gate.requests_of("x") == {"x": "task:x", SECOND: f"task:{SECOND}"}
    park(gate, "aapl")
    by_task(gate, "aapl", task="y")
    gate.settle("aapl", outcome="of aapl")
    # y's notification is under way when a second task with this id comes.
    assert by_task(gate, "task:y", task="y", arguments="TSLA") == 1
    assert outcomes(gate) == {"y wants aapl {}": "of aapl"}
    assert gate.requests_of("y") == {"y\x1f2": "task:y\x1f2"}
    assert gate.arguments("task:y\x1f2") == "TSLA"


def test_a_seventeenth_is_refused_and_the_others_are_untouched(gate):
    for number in range(16):
        assert by_task(gate, f"request {number}") == 1
    with pytest.raises(ResponseError, match="16 tasks with this id wait already: give each task an id of its own"):
        by_task(gate, "one too many")
    assert len(gate.requests_of("x")) == 16
    assert gate.counts().parked == 16
    stored(gate, "request 7")
    gate.settle("request 7", outcome="{}")
    assert by_task(gate, "one too many") == 1
