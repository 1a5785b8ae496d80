"""The gate of one pool, on a real Valkey, and on the Redis in Python that the fast tests of others use."""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest

from marketfetch.quotas import Gate


@pytest.fixture
def gate(redis) -> Gate:
    """The gate, on an empty Valkey."""
    return Gate(redis, pool="polygon")


@pytest.fixture(params=["valkey", "fakeredis"])
def either_gate(request) -> Iterator[Gate]:
    """The gate, on each server in turn."""
    if request.param == "valkey":
        yield Gate(request.getfixturevalue("redis"), pool="polygon")
    else:
        with fakeredis.FakeRedis() as client:
            yield Gate(client, pool="polygon")
