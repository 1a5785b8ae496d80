"""Broadcasts that cannot be read: kombu's channel raises in every worker at once, ours skips them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Queue

from tasks.hardening.broadcast_messages import BroadcastMessages
from tests.flow.poisons import envelope
from tests.hardening.conftest import OURS, STOCK

UNREADABLE = {
    "a list": b"[1]",
    "no properties": b"{}",
    "deep nesting": b"[" * 200_000,
    "no base64": envelope("x").replace(b'"eA=="', b'"%%%not base64!"'),
}


def subscribed(connection: Connection) -> list[Any]:
    received: list[Any] = []
    queue = Queue("", Exchange("celery.pidbox", type="fanout"), exclusive=True, auto_delete=True)
    Consumer(connection, queue, on_message=received.append, accept=["json"]).consume()
    connection.drain_events(timeout=300)  # reads the confirmation of the subscription
    return received


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_broadcast_that_cannot_be_read(redis, valkey_url, kind, capsys):
    with Connection(valkey_url, transport=STOCK) as connection:
        subscribed(connection)
        redis.publish("/0.celery.pidbox", UNREADABLE[kind])
        with pytest.raises(Exception) as raised:
            connection.drain_events(timeout=300)
        assert not isinstance(raised.value, TimeoutError)

    assert issubclass(OURS.Channel, BroadcastMessages)
    with Connection(valkey_url, transport=OURS) as connection:
        received = subscribed(connection)
        redis.publish("/0.celery.pidbox", UNREADABLE[kind])
        redis.publish("/0.celery.pidbox", envelope(json.dumps({"method": "ping"})))
        while not received:
            connection.drain_events(timeout=300)
        assert [one.decode() for one in received] == [{"method": "ping"}]
    assert capsys.readouterr().out.count("broadcast can't be read") == 1


def test_a_control_command_that_is_no_object_is_skipped(redis, valkey_url, capsys):
    with Connection(valkey_url, transport=OURS) as connection:
        received = subscribed(connection)
        redis.publish("/0.celery.pidbox", envelope("[1]"))
        connection.drain_events(timeout=300)
        assert received == []
    assert "names no control command" in capsys.readouterr().out
