"""A Valkey that answers and refuses writes: what redis-py, kombu and Celery make of it, and what ours does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub, get_event_loop, set_event_loop
from kombu.transport.redis import Channel, Transport
from redis import Redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from marketfetch.ops.writes_refused import WritesRefused
from tasks.hardening import refused_writes_lose_messages
from tasks.hardening.refused_acks import RefusedAcks
from tasks.hardening.refused_writes import RefusalsAsConnectionErrors
from tasks.hardening.refused_writes_lose_messages import RefusedWritesLoseMessages
from tests.flow.poisons import envelope
from tests.hardening.conftest import OURS, STOCK


@pytest.mark.parametrize(("word", "stock"), [("OOM", OutOfMemoryError), ("READONLY", ReadOnlyError)])
def test_a_refusal_is_no_connection_error(valkey_url, refusing, word, stock):
    refusing(word)
    for client_class, kind in ((Redis, stock), (RefusalsAsConnectionErrors, WritesRefused)):
        with client_class.from_url(valkey_url) as client:
            for refused in (lambda c=client: c.set("a", "b"), lambda c=client: c.pipeline().set("a", "b").execute()):
                with pytest.raises(kind) as raised:
                    refused()
                assert isinstance(raised.value, Transport.connection_errors) == (client_class is not Redis)
                assert isinstance(raised.value, ResponseError) == (client_class is Redis)


@pytest.fixture
def hub():
    before, hub = get_event_loop(), Hub()
    set_event_loop(hub)
    yield hub
    set_event_loop(before)
    hub.close()


def test_a_refused_acknowledgement_ends_the_connection(redis, listening, refusing, hub):
    for ends, transport in ((False, STOCK), (True, OURS)):
        connection, received = listening(transport)
        redis.lpush("q", envelope())
        connection.drain_events(timeout=300)
        refusing("READONLY")
        with pytest.raises((ReadOnlyError, WritesRefused)):
            received[0].ack()
        redis.replicaof("NO", "ONE")
        # With kombu's own nothing is left to do in the event loop: the next message comes over the same connection.
        assert bool(hub._ready) == ends
        if ends:
            with pytest.raises(WritesRefused):
                hub.run_once()
        assert issubclass(transport.Channel, RefusedAcks) == ends
        redis.flushall()


def test_a_message_taken_from_a_full_redis_is_lost(redis, listening, refusing, monkeypatch, valkey_url):
    connection, received = listening(STOCK)
    redis.lpush("q", envelope())
    refusing("OOM")
    with pytest.raises(OutOfMemoryError):
        connection.drain_events(timeout=300)
    assert (received, redis.llen("q"), redis.hlen("unacked")) == ([], 0, 0)

    redis.config_set("maxmemory", 0)
    connection, received = listening(OURS)
    redis.lpush("q", raw := envelope())
    refusing("OOM")
    with pytest.raises(WritesRefused) as raised:
        connection.drain_events(timeout=300)
    # As Celery's consumer goes on: it handles the error, then connects again.
    consumer: Any = RefusedWritesLoseMessages.__new__(RefusedWritesLoseMessages)
    consumer._stranded, consumer.connection = [], connection
    consumer._outage = SimpleNamespace(goes_on=lambda *_: None, over=lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(RefusedWritesLoseMessages.__base__, "on_connection_error_after_connected", lambda *_: None)
        consumer.on_connection_error_after_connected(raised.value)
    assert redis.llen("q") == 0
    monkeypatch.setattr(refused_writes_lose_messages, "new_redis_of_broker", lambda **_: Redis.from_url(valkey_url))
    redis.config_set("maxmemory", 0)
    consumer._wait_for_writes()
    assert redis.lrange("q", 0, -1) == [raw]


def test_kombus_channel_has_no_trace_of_a_taken_message():
    assert not hasattr(Channel, "taken"), "kombu may keep what it has taken by now: see refused_writes_lose_messages.py"
