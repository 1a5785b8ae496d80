"""Messages that Celery cannot run: its own consumer drops them or raises, ours buries them first."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import state
from celery.worker.consumer import Consumer

from marketfetch.ops import alerts, dead_letters
from tasks import fetch
from tasks.hardening.messages_of_other_apps import MessagesOfOtherApps
from tasks.hardening.unusable_messages import UnusableMessages
from tests.flow.poisons import UNUSABLE, envelope, properties
from tests.hardening.conftest import OURS, STOCK

#: Celery 5.7 calls it when it writes a result.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


@pytest.fixture
def receiving(listening, valkey_url, dead_letters_in_valkey):
    """Hands one raw message to a consumer of that class, as Celery's event loop does."""
    app = Celery("somebody", backend=valkey_url, set_as_current=False)
    assert fetch.polygon.name in app.tasks, "tasks of an app are shared with the others of its process"

    def begin(kind: Any, transport: type, raw: bytes) -> None:
        consumer = kind.__new__(kind)
        consumer._returned, consumer._alerts = {}, {}
        consumer.app, consumer.hostname = app, "test"
        consumer.event_dispatcher = consumer.hub = None
        consumer.blueprint = SimpleNamespace(state=1)
        consumer.connection_errors, consumer.strategies, consumer.task_buckets = (), {}, {}
        consumer.controller = SimpleNamespace(state=state)
        consumer.timer, consumer.pool = SimpleNamespace(call_at=None), SimpleNamespace(apply_async=None)
        consumer.on_task_request, consumer.on_task_message = requested.append, set()
        consumer.disable_rate_limits = consumer._maximum_prefetch_restored = True
        consumer.update_strategies()
        connection, received = listening(transport)
        dead_letters_in_valkey.lpush("q", raw)
        connection.drain_events(timeout=300)
        received[0].accept = {"application/json"}
        consumer.create_task_handler()(received[0])

    requested: list[Any] = []
    yield begin
    state.reset_state()


@pytest.mark.parametrize("kind", ["an unknown task", "no headers inside"])
def test_celery_drops_what_it_cannot_run(redis, receiving, kind):
    raw, words = UNUSABLE[kind]
    receiving(Consumer, STOCK, raw)
    assert (redis.llen("q"), redis.hlen("unacked"), redis.xlen(dead_letters.KEY)) == (0, 0, 0), "it is nowhere"

    receiving(UnusableMessages, OURS, raw)
    (letter,) = dead_letters.letters()
    assert words in letter.reason
    assert letter.list_key == "q"
    assert redis.hlen("unacked") == 0


@pytest.mark.parametrize("kind", ["a body of two", "a body of null", "args no list", "no id"])
def test_celery_raises_about_what_it_does_not_expect(redis, receiving, kind):
    raw, words = UNUSABLE[kind]
    try:
        receiving(Consumer, STOCK, raw)
    except (TypeError, ValueError, KeyError):
        assert redis.hlen("unacked") == 1, "the worker ends or reconnects, and finds the message again"
    else:
        assert redis.xlen(dead_letters.KEY) == 0, "it runs, and fails in the child"
    redis.flushall()
    receiving(UnusableMessages, OURS, raw)
    (letter,) = dead_letters.letters()
    assert words in letter.reason


class Neighbourly(MessagesOfOtherApps, UnusableMessages):
    """Both of them, in the order of a worker's consumer."""


#: As Celery 3 wrote it, and other languages still do.
OLD = '{"task": "theirs.add", "id": "1", "args": [1, 2]}'


def theirs(task: str = "theirs.add", **other: Any) -> bytes:
    return envelope("[[1, 2], {}, {}]", queue="q", headers={"task": task}, properties=properties(queue="q"), **other)


def test_celery_discards_a_message_of_another_app(redis, receiving):
    receiving(Consumer, STOCK, theirs())
    assert (redis.llen("q"), redis.hlen("unacked")) == (0, 0), "its own worker never gets it"

    raw = theirs()
    receiving(Neighbourly, OURS, raw)
    (back,) = redis.lrange("q", 0, -1)
    assert json.loads(back)["body"] == json.loads(raw)["body"]
    assert (redis.hlen("unacked"), redis.xlen(dead_letters.KEY)) == (0, 0)
    (alert,) = alerts.sentences(redis)
    assert "The queue q has messages" in alert
    assert "'theirs.add'" in alert


@pytest.mark.parametrize(
    "raw",
    [
        theirs(content_type="application/x-python-serialize"),
        envelope(OLD, queue="q", headers={"task": ..., "id": ...}, properties=properties(queue="q")),
        theirs().replace(b'"id": ', b'"it": '),
    ],
    ids=["a pickle", "the protocol of Celery 3", "one that is damaged"],
)
def test_what_only_the_other_app_can_judge_is_left_to_it(redis, receiving, raw):
    receiving(Neighbourly, OURS, raw)
    assert (redis.llen("q"), redis.xlen(dead_letters.KEY)) == (1, 0)


@pytest.mark.parametrize("task", ["tasks.fetch.poligon", "tasks.store.store_bach", "marketfetch.submitt", "red\x1b[31m", ""])
def test_a_mistyped_name_of_ours_and_what_is_no_name_are_dead_at_once(redis, receiving, task):
    receiving(Neighbourly, OURS, theirs(task))
    assert (redis.llen("q"), redis.xlen(dead_letters.KEY)) == (0, 1)


def test_a_queue_in_which_everything_waits_for_another_app_rests(redis, listening, dead_letters_in_valkey):
    """Its one message would else go round as fast as Redis can hand it out."""
    consumer = Neighbourly.__new__(Neighbourly)
    consumer.app, consumer._returned, consumer._alerts = Celery("somebody", set_as_current=False), {}, {}
    connection, received = listening(OURS)
    channel = connection.default_channel
    redis.lpush("q", theirs())
    for resting in (False, True):
        connection.drain_events(timeout=300)
        consumer._return(received[-1], "q", "theirs.add")
        assert (channel.active_queues == []) is resting
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.1)
    channel.rest("q", 0)
    connection.drain_events(timeout=300)
    assert (len(received), redis.llen("q")) == (3, 0)
