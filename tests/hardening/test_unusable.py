"""Messages that Celery cannot run: its own consumer drops them or raises, ours buries them first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker import state
from celery.worker.consumer import Consumer

from marketfetch.ops import dead_letters
from tasks import fetch
from tasks.hardening.unusable_messages import UnusableMessages
from tests.flow.poisons import UNUSABLE
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
        connection.drain_events(timeout=5)
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
