"""A running task whose connection is lost: kombu returns its message, or fails to acknowledge it; ours waits for its end."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests
from kombu import Connection
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks.hardening.ack_on_lost_connection import AckOnLostConnection
from tests.flow.poisons import envelope
from tests.hardening.conftest import OURS, STOCK


class Request:
    """What Celery keeps of a task that runs."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self._on_ack = self._on_reject = message.ack


def closed(consumer: Any, _: Exception) -> None:
    """What Celery's consumer does with a lost connection."""
    with suppress(Exception):
        consumer.connection.collect(socket_timeout=1)
    connection, consumer.connection = consumer.connection, None
    connection.close()


@pytest.fixture
def running(redis, listening):
    """A consumer of that class, whose task runs."""

    def made(kind: Any, transport: type) -> tuple[Any, Request]:
        redis.flushall()
        consumer = kind.__new__(kind)
        consumer.connection, received = listening(transport)
        consumer.connection_errors = consumer.connection.connection_errors
        redis.lpush("q", envelope(queue="q"))
        consumer.connection.drain_events(timeout=300)
        request = Request(received[0])
        active_requests.add(request)
        return consumer, request

    yield made
    active_requests.clear()


def test_a_running_task_whose_connection_was_lost(redis, running, monkeypatch, valkey_url):
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", closed)
    lost = RedisConnectionError("Connection closed by server.")

    consumer, request = running(Consumer, STOCK)
    consumer.on_connection_error_after_connected(lost)
    assert (redis.llen("q"), redis.hlen("unacked")) == (1, 0), "it will run a second time"

    consumer, request = running(AckOnLostConnection, OURS)
    consumer.on_connection_error_after_connected(lost)
    assert (redis.llen("q"), redis.hlen("unacked")) == (0, 1), "it is still this worker's"
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute"):
        request.message.ack()  # kombu's own way, over the closed connection
    request._on_ack()
    assert redis.hlen("unacked") == 1, "while there is no connection it waits for the visibility timeout"
    with Connection(valkey_url) as consumer.connection:
        request._on_ack()
        assert redis.hlen("unacked") == 0


def test_an_acknowledgement_that_fails_on_the_new_connection_is_one_line(redis, running, monkeypatch, capsys):
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", closed)
    consumer, request = running(AckOnLostConnection, OURS)
    consumer.on_connection_error_after_connected(RedisConnectionError("gone"))

    def fails(tag: str) -> None:
        raise RedisConnectionError("gone again")

    consumer.connection = SimpleNamespace(default_channel=SimpleNamespace(basic_ack=fails))
    request._on_ack()
    assert "message not acknowledged" in capsys.readouterr().out
