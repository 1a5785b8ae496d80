"""A task that ends its child each time: Celery returns its message to the queue, for ever; our request fails it."""

from __future__ import annotations

from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.worker.request import Request

from marketfetch.ops import dead_letters
from tasks import fetch
from tasks.hardening.endless_redelivery import CountedRequest, EndlessRedelivery
from tests.flow.poisons import envelope, properties
from tests.hardening.conftest import OURS

#: Celery 5.7 calls it when it writes a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


def nothing() -> None:
    """The body of a task that never comes to it."""


@pytest.fixture
def theirs(valkey_url) -> Celery:
    app = Celery("theirs", backend=valkey_url, set_as_current=False)
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
    app.task(nothing, name="theirs.greedy", shared=False)
    return app


@pytest.fixture
def dying(redis, listening, theirs, dead_letters_in_valkey):
    """Delivers the message in the queue and loses the child that has it; so many messages are in the queue then."""
    raw = envelope("[[], {}, {}]", headers={"task": "theirs.greedy", "id": "greedy"}, properties=properties(queue="q"))
    redis.lpush("q", raw)
    connection, received = listening(OURS)

    def die(kind: type) -> int:
        connection.drain_events(timeout=300)
        message = received[-1]
        request: Any = kind(
            message,
            app=theirs,
            task=theirs.tasks["theirs.greedy"],
            on_ack=message.ack_log_error,
            on_reject=message.reject_log_error,
            connection_errors=(),
        )
        request.time_start = 1.0
        try:
            raise WorkerLostError("signal 9 (SIGKILL)")
        except WorkerLostError:
            request.on_failure(ExceptionInfo())
        return int(redis.llen("q"))

    return die


def test_celery_returns_a_task_that_ends_its_child_for_ever(redis, theirs, dying):
    assert [dying(Request) for _ in range(10)] == [1] * 10

    assert [dying(CountedRequest) for _ in range(3)] == [1, 1, 0]
    (letter,) = dead_letters.letters()
    assert (letter.list_key, letter.task, letter.task_id) == ("q", "theirs.greedy", "greedy")
    assert letter.reason == "its task has ended 3 child processes (signal 9 (SIGKILL))"
    result = theirs.AsyncResult("greedy")
    assert (result.state, "Its message is kept: `marketfetch dead`." in str(result.result)) == ("FAILURE", True)
    assert redis.hlen("unacked") == 0


def test_only_tasks_of_a_user_without_a_request_of_their_own_get_it(theirs, monkeypatch):
    consumer = EndlessRedelivery.__new__(EndlessRedelivery)
    consumer.app = theirs
    theirs.task(nothing, name="theirs.special", shared=False, Request="theirs:Special")
    monkeypatch.setattr(EndlessRedelivery.__mro__[1], "update_strategies", lambda _: None)
    consumer.update_strategies()
    counted = {name for name, task in theirs.tasks.items() if task.Request is CountedRequest}
    assert "theirs.greedy" in counted
    # Celery shares the tasks of every app in this process, also those that other tests have made.
    assert "theirs.special" not in counted
    assert fetch.polygon.name in theirs.tasks
    assert not [name for name in counted if name.startswith(("tasks.", "celery."))]
