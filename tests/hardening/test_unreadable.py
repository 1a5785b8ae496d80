"""Messages that kombu cannot read: its own channel raises and the message is gone; ours delivers it in an envelope."""

from __future__ import annotations

import tracemalloc
import zlib
from base64 import b64encode

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks.hardening import unreadable_messages
from tasks.worker.burial import wrapped_note, wrapped_reason
from tests.flow.poisons import CALL, envelope
from tests.hardening.conftest import OURS, STOCK

#: What kombu raises about each of these differs; that it raises, and has removed the message before, does not.
LOST = {
    "no JSON": b"this is no json",
    "a number": b"42",
    "no properties": envelope(properties=...),
    "no base64": envelope("x").replace(b'"eA=="', b'"%%%not base64!"'),
    "deep nesting": b"[" * 200_000,
}


@pytest.mark.parametrize("kind", LOST)
def test_a_message_that_kombu_cannot_read_is_lost(redis, listening, kind):
    connection, received = listening(STOCK)
    redis.lpush("q", LOST[kind])
    with pytest.raises(Exception) as raised:
        connection.drain_events(timeout=300)
    assert not isinstance(raised.value, TimeoutError)
    assert (received, redis.llen("q"), redis.hlen("unacked")) == ([], 0, 0)

    connection, received = listening(OURS)
    redis.lpush("q", LOST[kind])
    connection.drain_events(timeout=300)
    (message,) = received
    note = wrapped_note(message)
    assert note
    assert (message.body, note.size) == (LOST[kind][: 64 * 1024], len(LOST[kind]))
    assert redis.hlen("unacked") == 1, "a worker that dies now returns it"
    assert message.list_key == "q"


def test_kombu_unpacks_a_compressed_body_of_any_size(redis, listening):
    bomb = envelope(zlib.compress(b"0" * 50_000_000), headers={"compression": "gzip"})
    for transport, most in ((STOCK, None), (OURS, 20_000_000)):
        connection, received = listening(transport)
        redis.lpush("q", bomb)
        tracemalloc.start()
        connection.drain_events(timeout=300)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        if most is None:
            assert peak > 50_000_000
            assert len(received[0].body) == 50_000_000
            received[0].ack()
        else:
            assert peak < most
            assert "unpacks to more than" in wrapped_reason(received[0])


def test_a_message_that_is_too_large_is_not_parsed(redis, listening, monkeypatch):
    monkeypatch.setattr(unreadable_messages, "LARGEST", 1_000)
    connection, received = listening(OURS)
    redis.lpush("q", b"x" * 1_001)
    connection.drain_events(timeout=300)
    assert wrapped_reason(received[0]) == "it has 1,001 bytes, and more than 1,000 are taken for a mistake"


def test_a_readable_message_is_as_kombu_delivers_it(redis, listening):
    told = []
    for transport in (STOCK, OURS):
        connection, received = listening(transport)
        redis.lpush("q", envelope(zlib.compress(CALL.encode()), headers={"compression": "gzip"}, properties={
            "delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "1", "body_encoding": "base64",
        }))  # fmt: skip
        connection.drain_events(timeout=300)
        (message,) = received
        told.append((message.decode(), message.body, message.content_type, message.delivery_tag, message.delivery_info))
        message.ack()
    assert told[0] == told[1]


def test_an_error_of_redis_or_of_the_receiver_is_not_taken_for_the_messages_fault(redis, listening):
    for error in (RedisConnectionError("gone"), ValueError("a mistake of the receiver")):

        def fails(message, error=error):
            raise error

        connection, _ = listening(OURS, on_message=fails)
        redis.lpush("q", envelope())
        with pytest.raises(type(error)):
            connection.drain_events(timeout=300)
        assert redis.hlen("unacked") == 1
        redis.flushall()


def test_an_envelope_of_ours_can_be_put_back_and_read_again(redis, listening):
    raw = b64encode(b"no message")
    connection, received = listening(OURS)
    redis.lpush("q", raw)
    connection.drain_events(timeout=300)
    received[0].requeue()
    connection.drain_events(timeout=300)
    assert [one.body for one in received if wrapped_note(one)] == [raw] * 2
