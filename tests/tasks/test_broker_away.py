"""A broker apart from Redis is away: nothing is granted, what was granted returns, and an operator sees why."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from kombu import Connection

from marketfetch.addresses import broker
from marketfetch.broker_urls import Broker
from marketfetch.ops import alerts
from marketfetch.ops.workers import releasers
from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.quotas.values import Counts
from tasks.app import app
from tasks.hardening.outage_tracebacks import outage_as_sentence
from tasks.worker import grant_producer, releaser
from tasks.worker.grant_producer import BrokerAway, GrantProducer

AWAY = Broker("amqp://me:s3cr3t@127.0.0.1:1//")


@pytest.fixture
def loop(redis, monkeypatch):
    """A releaser whose broker is not there, with two requests parked, one more than its key may call."""
    for module in (grant_producer, releaser):
        monkeypatch.setattr(module, "broker", lambda: AWAY)
    monkeypatch.setattr(releaser, "keys", lambda _pool: (key_limits("main", ["1/minute"]),))
    monkeypatch.setattr(releaser, "key_histories", lambda *_, **__: [])
    monkeypatch.setattr(releaser, "withdraw_cancelled", lambda _gate: None)
    monkeypatch.setattr(app, "connection_for_write", lambda: Connection(AWAY.text))
    Gate(redis, pool="polygon").park([Parking(id=one, arguments='{"symbol": "AAPL"}') for one in "ab"], job="J")
    made = releaser.ReleasingLoop(app, consumed=lambda: ("polygon",), slots=1)
    made._serves(("polygon",))
    return made


def test_nothing_is_granted_while_the_broker_does_not_respond(loop, redis):
    with pytest.raises(BrokerAway, match="refused"):
        loop._release(redis)
    gate = Gate(redis, pool="polygon")
    assert (gate.counts(), gate.events().admitted) == (Counts(parked=2, granted=0, running=0, held=0), 0)
    assert releasers(redis) == 1, "the worker waits, and is there"
    (sentence,) = alerts.sentences(redis)
    assert "The broker amqp://me:***@127.0.0.1:1// takes no messages" in sentence
    assert "so nothing is granted. Start that broker" in sentence


def test_a_grant_that_cannot_be_published_returns_to_the_lane_and_costs_nothing(loop, redis, monkeypatch):
    class Broken(GrantProducer):
        def __init__(self, *_):
            self._away = (ConnectionResetError,)
            self._producer = SimpleNamespace(batch=lambda **_: nullcontext())

        def publish(self, *_, **__):
            with self._may_be_away():
                raise ConnectionResetError("gone")

    monkeypatch.setattr(releaser, "GrantProducer", Broken)
    with pytest.raises(BrokerAway, match="gone"):
        loop._release(redis)
    gate = Gate(redis, pool="polygon")
    assert (gate.counts(), gate.events().admitted) == (Counts(parked=2, granted=0, running=0, held=0), 1)
    assert redis.keys("mf:{polygon}:open:*") == [], "no limit counts it"


@pytest.mark.parametrize(("used", "who"), [(AWAY, "the broker"), (broker(), None)])
def test_an_outage_of_the_broker_is_one_line_of_the_log(monkeypatch, used, who):
    monkeypatch.setattr("tasks.hardening.outage_tracebacks.broker", lambda: used)
    try:
        raise ConnectionResetError("gone")
    except ConnectionResetError as error:
        told = (type(error), error, error.__traceback__)
    record = logging.LogRecord("celery.worker.consumer.consumer", logging.WARNING, "", 1, "Connection lost.", (), told)
    assert outage_as_sentence(record)
    assert bool(record.exc_info) == (who is None)
    if who:
        assert record.getMessage() == "Connection lost. (the broker: gone). It goes on by itself when the broker is back."
