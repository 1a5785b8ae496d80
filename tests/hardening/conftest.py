"""Queues of a real Valkey, read by kombu's own transport or by ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu.transport.redis import Transport

from marketfetch import connections
from tasks.worker.redis_transport import HardenedTransport

STOCK, OURS = Transport, HardenedTransport


@pytest.fixture
def listening(redis, valkey_url) -> Iterator[Callable[..., tuple[Connection, list[Any]]]]:
    """A connection that consumes the queue `q`, or another one, and the list of what it receives."""
    with ExitStack() as stack:

        def begin(
            transport: type, *, on_message: Callable[[Any], None] | None = None, queue: str = "q", options: Any = None
        ) -> tuple[Connection, list[Any]]:
            received: list[Any] = []
            connection = stack.enter_context(Connection(valkey_url, transport=transport, transport_options=options))
            consumer = connection.Consumer(Queue(queue), on_message=on_message or received.append, accept=["json"])
            stack.enter_context(consumer)
            return connection, received

        yield begin


@pytest.fixture
def dead_letters_in_valkey(redis, monkeypatch):
    """The dead-letter list and the gates are in the Valkey of the test."""
    monkeypatch.setattr(connections, "redis", lambda: redis)
    return redis


@pytest.fixture
def refusing(redis) -> Iterator[Callable[[str], None]]:
    """A Valkey that refuses writes: "OOM" (full), or "READONLY" (a replica since a failover)."""

    def refuse(word: str) -> None:
        if word == "OOM":
            redis.config_set("maxmemory", 1)
        else:
            redis.replicaof("127.0.0.1", "1")

    yield refuse
    redis.replicaof("NO", "ONE")
    redis.config_set("maxmemory", 0)
