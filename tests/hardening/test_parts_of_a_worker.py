"""The workarounds together: what celeryconfig names, and the transport that a worker's connections get."""

from __future__ import annotations

import pytest
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.transport.memory import Transport as Memory
from kombu.transport.redis import Channel, SentinelChannel
from kombu.utils.imports import symbol_by_name

from tasks import celeryconfig
from tasks.app import app
from tasks.hardening.client_for_each_command import ClientForEachCommand
from tasks.worker.child_pool import HardenedPool
from tasks.worker.message_consumer import HardenedConsumer
from tasks.worker.redis_transport import HardenedSentinelTransport, HardenedTransport
from tests.flow.poisons import envelope
from tests.hardening.conftest import OURS, STOCK


@pytest.fixture
def ensured(monkeypatch):
    """A connection as Celery's consumer gets it."""
    monkeypatch.setattr(Consumer, "ensure_connected", lambda _, connection: connection)

    def made(url: str) -> Connection:
        connection: Connection = HardenedConsumer.__new__(HardenedConsumer).ensure_connected(Connection(url))
        return connection

    return made


def test_the_settings_name_the_hardened_parts():
    assert symbol_by_name(celeryconfig.worker_pool) is HardenedPool
    assert symbol_by_name(celeryconfig.worker_consumer) is HardenedConsumer
    assert set(celeryconfig.imports) <= set(app.conf.imports)


def test_a_workers_connection_to_redis_has_our_transport_and_is_logged_as_before(ensured, valkey_url):
    connection = ensured(valkey_url)
    assert type(connection.transport) is HardenedTransport
    assert connection.as_uri() == Connection(valkey_url).as_uri()
    assert type(connection.clone().transport) is HardenedTransport


def test_a_connection_through_sentinel_has_our_transport_too(ensured):
    transport = ensured("sentinel://127.0.0.1:1;sentinel://127.0.0.1:2").transport
    assert type(transport) is HardenedSentinelTransport
    assert all(issubclass(transport.Channel, one) for one in (SentinelChannel, HardenedTransport.Channel))


def test_what_kombu_does_for_rediss_stays(ensured):
    stock = Connection("rediss://127.0.0.1:1/0")
    assert ensured("rediss://127.0.0.1:1/0").ssl == stock.ssl


def test_another_broker_keeps_its_transport(ensured):
    assert type(ensured("memory://").transport) is Memory


def test_senders_keep_kombus_transport(valkey_url):
    with app.connection_for_write(valkey_url) as connection:
        assert type(connection.transport) is not HardenedTransport


def test_every_thread_gets_the_sender_that_parks():
    sender = app.amqp.send_task_message
    assert sender.__qualname__.startswith("ParkingAMQP.")
    assert app.amqp.send_task_message is sender


def test_kombu_makes_a_client_for_each_acknowledgement_and_ours_keeps_one(redis, listening, monkeypatch):
    made: list[bool] = []
    monkeypatch.setattr(Channel, "_create_client", counted(Channel._create_client, made))
    clients = {}
    for transport in (STOCK, OURS):
        connection, received = listening(transport)
        for _ in range(3):
            redis.lpush("q", envelope())
            connection.drain_events(timeout=300)
        made.clear()
        for one in received:
            one.ack()
        clients[transport] = len(made)
        assert redis.hlen("unacked") == 0
        connection.close()
    assert clients == {STOCK: 3, OURS: 0}
    assert issubclass(OURS.Channel, ClientForEachCommand)


def counted(create, made):
    def creates(self, asynchronous=False):
        made.append(asynchronous)
        return create(self, asynchronous)

    return creates
