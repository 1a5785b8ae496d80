"""The message of a job's request is in no list while a worker has it, and every other message is, on a real Valkey."""

from __future__ import annotations

import pytest

from tasks.worker.grants_in_hand import GrantsInHand
from tests.flow.poisons import carrying, envelope
from tests.hardening.conftest import OURS

GRANT = {"id": "r", "fence": 1}


@pytest.fixture
def taken(redis, listening):
    """Takes these messages out of the queue as a worker does; returns them and the connection."""

    def take(*raws: bytes):
        connection, received = listening(OURS)
        assert issubclass(OURS.Channel.QoS, GrantsInHand)
        for raw in raws:
            redis.lpush("q", raw)
            connection.drain_events(timeout=300)
        return received, connection

    return take


def test_a_grants_message_is_listed_nowhere_and_counts_for_the_prefetch(redis, taken):
    (one,), connection = taken(carrying(envelope(queue="q"), GRANT))
    qos = connection.default_channel.qos
    qos.prefetch_count = 1
    assert (redis.llen("q"), redis.hlen("unacked"), redis.zcard("unacked_index"), qos.can_consume()) == (0, 0, 0, False)
    one.ack()
    assert (redis.llen("q"), redis.hlen("unacked"), qos.can_consume()) == (0, 0, True)


def test_a_grants_message_that_is_refused_is_gone_and_one_that_is_returned_is_in_its_queue_again(redis, taken):
    (refused, returned), _ = taken(carrying(envelope(queue="q"), GRANT), carrying(envelope(queue="q"), GRANT))
    refused.reject()
    assert redis.llen("q") == 0
    returned.requeue()
    assert (redis.llen("q"), b'"marketfetch": {"id": "r", "fence": 1}' in redis.lindex("q", 0)) == (1, True)


def test_a_worker_that_stops_returns_the_grants_messages_that_it_has(redis, taken):
    _, connection = taken(carrying(envelope(queue="q"), GRANT), envelope(queue="q"))
    connection.default_channel.qos.restore_unacked_once()
    assert (redis.llen("q"), redis.hlen("unacked")) == (2, 0)


@pytest.mark.parametrize(
    "raw",
    [
        envelope(queue="q"),
        carrying(envelope(queue="q", headers={"task": "tasks.store.store_batch"}), GRANT),
        carrying(envelope(queue="q"), {"id": 5, "fence": 1}),
        carrying(envelope(queue="q"), {"id": "r"}),
        carrying(envelope(queue="q"), {**GRANT, "user": None}),
        carrying(envelope(queue="q"), {**GRANT, "job": "J"}),
    ],
    ids=["no grant", "no fetch task", "a grant without an id", "a grant without a fence", "a user's task", "the end of a job"],
)
def test_every_other_message_is_listed_until_its_end(redis, taken, raw):
    (one,), _ = taken(raw)
    assert redis.hlen("unacked") == 1
    one.ack()
    assert redis.hlen("unacked") == 0
