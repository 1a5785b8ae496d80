"""The error paths of our parts of Celery and kombu that no broken server brings about in a test."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.consumer import Consumer
from kombu.exceptions import InconsistencyError, OperationalError
from redis.exceptions import ConnectionError as RedisAway

from tasks.hardening import result_consumer_reconnect, result_exception_names, unusable_messages
from tasks.hardening.redelivery_for_other_apps import RedeliveryForOtherApps
from tasks.hardening.result_consumer_reconnect import ReconnectingConsumer
from tasks.hardening.unusable_messages import UnusableMessages


@pytest.fixture
def buried(monkeypatch):
    """The reasons with which messages were buried."""
    found: list[str] = []
    monkeypatch.setattr(unusable_messages, "bury", lambda _consumer, _message, why, **_: found.append(why))
    return found


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (lambda one: one.on_decode_error(None, ValueError("cut")), "its body can't be decoded: cut"),
        (lambda one: one.on_unknown_message(None, None), "its headers name no task"),
        (lambda one: one.on_unknown_task(None, None, KeyError("x")), "this worker knows no task 'x'"),
        (lambda one: one.on_invalid_task(None, None, ValueError("x")), "it is no task message: x"),
    ],
)
def test_whatever_celery_would_drop_is_buried(buried, calls, said):
    calls(UnusableMessages.__new__(UnusableMessages))
    assert buried == [said]


@pytest.mark.parametrize("error", [RedisAway("gone"), KeyError("a bug")])
def test_what_celery_raises_about_a_message_buries_it_unless_redis_is_away(buried, monkeypatch, error):
    consumer = UnusableMessages.__new__(UnusableMessages)
    consumer.app, consumer.connection_errors = SimpleNamespace(tasks={}), ()

    def receive(_: Any) -> None:
        raise error

    monkeypatch.setattr(Consumer, "create_task_handler", lambda *_, **__: receive)
    for one in ("wrapped_reason", "undecodable", "unusable"):
        monkeypatch.setattr(unusable_messages, one, lambda *_: "")
    received = consumer.create_task_handler()
    if isinstance(error, RedisAway):
        with pytest.raises(RedisAway):
            received(None)
        assert buried == []
    else:
        received(None)
        assert buried == ["Celery can't handle it: KeyError: 'a bug'"]


def test_a_message_of_the_old_protocol_without_a_table_is_none():
    message: Any = SimpleNamespace(headers={}, decode=lambda: [1])
    assert unusable_messages.unusable(message, {}) == "its headers name no task"


def test_a_task_without_a_signature_takes_what_it_is_given(monkeypatch):
    def none(_: Any) -> Any:
        raise ValueError("no signature found for builtin")

    monkeypatch.setattr(unusable_messages, "_signature", none)
    assert unusable_messages._arguments(object(), "theirs.add", [1], {}) == ""


# --- results ----------------------------------------------------------------------------------------------------------


class Pubsub(ReconnectingConsumer):
    """A consumer whose server does what the test says."""

    def __init__(self, *, fails: bool) -> None:
        self._pubsub, self.subscribed_to, self._away_since, self.fails = None, {b"a result"}, None, fails
        self._connection_errors, self._lock = (RedisAway,), threading.RLock()
        self.reconnected = 0

    def _reconnect(self) -> None:
        self.reconnected += 1
        if self.fails:
            raise RedisAway("gone")

    def _locked(self) -> Any:
        return self._lock


def test_who_waits_goes_on_waiting_for_a_while_and_then_hears_of_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(result_consumer_reconnect, "time", SimpleNamespace(monotonic=lambda: now[0]))
    one = Pubsub(fails=True)
    one.drain_events(timeout=0.1)
    now[0] += result_consumer_reconnect._PATIENCE_S
    one.drain_events(timeout=0.1)
    now[0] += 1
    with pytest.raises(OperationalError, match="the Redis of the results does not answer: gone"):
        one.drain_events(timeout=0.1)
    one.drain_events(timeout=0.1)
    assert one.reconnected == 4, "it begins anew"


def test_nothing_that_has_arrived_is_no_lost_connection():
    one = Pubsub(fails=True)
    with pytest.raises(TimeoutError), one.reconnect_on_error():
        raise TimeoutError
    assert one.reconnected == 0
    with pytest.raises(OperationalError), one.reconnect_on_error():
        raise RedisAway("gone")
    assert one.reconnected == 1


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"exc_module": 5, "exc_type": "X"}, {"exc_module": 5, "exc_type": "X"}),
        ({"exc_type": "X"}, {"exc_type": "X"}),
    ],
)
def test_a_result_that_names_no_class_is_left_as_it_is(written, read):
    assert result_exception_names._from_wire(written) == read


def test_a_module_that_is_not_installed_is_none():
    assert result_exception_names._module("marketfetch.no_such_module") is None


# --- redelivery -------------------------------------------------------------------------------------------------------


def test_a_message_of_an_exchange_is_of_the_queues_that_are_bound_to_it():
    one: Any = RedeliveryForOtherApps.__new__(RedeliveryForOtherApps)
    one.channel = SimpleNamespace(_lookup=lambda exchange, _key: [f"of {exchange}"])
    assert one._queues_of("direct", "key") == {"of direct"}

    def unbound(*_: Any) -> list[str]:
        raise InconsistencyError("no queue")

    one.channel = SimpleNamespace(_lookup=unbound)
    assert one._queues_of("direct", "key") == {"key"}
