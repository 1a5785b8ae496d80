"""Messages that are not acknowledged: kombu returns them after one timeout, ours only those of dead workers of our queues."""

from __future__ import annotations

import time

import pytest
from kombu import Connection, Queue

from tasks.hardening import redelivery_for_other_apps, redelivery_of_held_messages  # noqa: F401 (every file has its test)
from tests.flow.poisons import envelope, properties
from tests.hardening.conftest import OURS, STOCK

AN_HOUR_S = 3_600


def with_another_worker(redis, listening, *queues: str) -> None:
    """A message in each of these queues that a worker of another app took an hour ago, and still has."""
    for queue in queues:
        redis.lpush(queue, envelope(queue=queue, properties=properties(queue=queue, delivery_tag=f"of {queue}")))
        connection, _ = listening(STOCK, queue=queue)
        connection.drain_events(timeout=300)
        connection.default_channel.do_restore = False
    assert redis.hlen("unacked") == len(queues)
    for tag in redis.zrange("unacked_index", 0, -1):
        redis.zadd("unacked_index", {tag: time.time() - AN_HOUR_S})


@pytest.fixture
def sweeping(redis, listening):
    """What a worker that consumes the queue `q` does every five seconds with a timeout of 15 minutes."""

    def sweep(transport: type) -> None:
        connection, _ = listening(transport, options={"visibility_timeout": 900})
        connection.default_channel.qos.restore_visible(num=None, interval=1)

    return sweep


def test_kombu_returns_messages_of_other_apps(redis, valkey_url, listening, sweeping):
    with_another_worker(redis, listening, "theirs", "q")
    sweeping(STOCK)
    assert (redis.llen("theirs"), redis.llen("q"), redis.hlen("unacked")) == (1, 1, 0), "it runs again, beside the first"

    redis.flushall()
    with_another_worker(redis, listening, "theirs", "q")
    connection = Connection(valkey_url, transport=OURS, transport_options={"visibility_timeout": 900})
    connection.default_channel.qos.restore_visible(num=None, interval=1)
    assert redis.hlen("unacked") == 2, "a worker that does not consume yet knows nothing of the others"
    with connection.Consumer(Queue("q"), on_message=print):
        connection.default_channel.qos.restore_visible(num=None, interval=1)
    connection.close()
    assert (redis.llen("theirs"), redis.llen("q")) == (0, 1), "what a dead worker of this queue had is returned"
    assert redis.hkeys("unacked") == [b"of theirs"]
    sweeping(OURS)
    assert redis.zrange("unacked_index", 0, -1) == [b"of theirs"]


def test_a_worker_returns_its_own_message_whatever_it_consumes_now(redis, listening):
    connection, _ = listening(OURS)
    redis.lpush("q", envelope(queue="q"))
    connection.drain_events(timeout=300)
    channel = connection.default_channel
    channel._active_queues.clear()
    channel.qos.restore_unacked()
    assert (redis.llen("q"), redis.hlen("unacked")) == (1, 0)


def test_the_tags_of_others_are_remembered_up_to_a_bound(redis, listening, sweeping, monkeypatch):
    monkeypatch.setattr(redelivery_for_other_apps, "_MOST_REMEMBERED", 1)
    with_another_worker(redis, listening, "theirs", "theirs too")
    sweeping(OURS)
    assert redis.hlen("unacked") == 2


def test_kombu_returns_what_a_living_worker_holds(redis, listening):
    """An hour after it was delivered, for a task that still runs, or that waits for its ETA."""
    for transport, stays in ((STOCK, False), (OURS, True)):
        redis.flushall()
        redis.lpush("q", envelope(queue="q", properties=properties(queue="q", delivery_tag="held")))
        connection, received = listening(transport, options={"visibility_timeout": 900})
        connection.drain_events(timeout=300)
        channel, qos = connection.default_channel, connection.default_channel.qos
        redis.zadd("unacked_index", {"held": time.time() - AN_HOUR_S})
        qos._renewed = time.monotonic() - 300
        qos.restore_visible(num=None, interval=1)
        assert (redis.hexists("unacked", "held"), redis.llen("q")) == (stays, 0 if stays else 1)
        channel.do_restore = False

    assert redis.zscore("unacked_index", "held") > time.time() - 60, "it begins again, should the worker die"
    received[0].ack()
    qos._renew()
    assert not redis.exists("unacked_index", "unacked"), "what was acknowledged stays gone"
