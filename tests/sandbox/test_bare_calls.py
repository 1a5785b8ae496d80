"""A call on a bare connection ends when its client has left, also before the event loop has seen it."""

from __future__ import annotations

import socket
import struct

import pytest

from marketfetch.sandbox.bare_calls import BareCalls
from marketfetch.sandbox.judge import KeyLog


@pytest.fixture
def pair():
    ours, client = socket.socketpair()
    with ours, client:
        yield ours, client


def one_open() -> KeyLog:
    log = KeyLog(concurrency=1)
    log.arrive(0.0, 0.0, "AAPL")
    return log


def test_a_call_whose_client_has_left_ends_before_the_next_one_is_counted_and_only_once(pair):
    ours, client = pair
    calls, log = BareCalls(), one_open()
    with calls.call(ours, log, "misbehave"):
        calls.end_those_whose_client_left()
        assert log.open == 1
        client.close()
        calls.end_those_whose_client_left()
        assert log.open == 0
        calls.end_those_whose_client_left()
    assert (log.open, log.statuses) == (0, {"misbehave": 1})


def test_a_client_that_still_sends_has_not_left(pair):
    ours, client = pair
    calls, log = BareCalls(), one_open()
    with calls.call(ours, log, "hang"):
        client.sendall(b"more")
        calls.end_those_whose_client_left()
        assert log.open == 1
    assert log.open == 0


def test_a_reset_ends_the_call():
    calls, log = BareCalls(), one_open()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        ours, _ = server.accept()
        with ours, calls.call(ours, log, "hang"):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            calls.end_those_whose_client_left()
            assert log.open == 0
