"""Keep-alive with many callers: a process opens as many connections as it makes calls at once, and keeps them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from marketfetch.vendors import transport
from marketfetch.vendors.http import HttpRequest, KeyPlace

CALLERS, ROUNDS = 20, 4


class _Server(ThreadingHTTPServer):
    """Replies to the calls of a round once all of them have arrived."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections: set[tuple[str, int]] = set()
        self.together = threading.Barrier(CALLERS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)
        self.server.together.wait(300)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def server() -> Iterator[_Server]:
    transport.close_sessions()
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()
    transport.close_sessions()


def calls(server: _Server) -> int:
    """Connections after some rounds of calls, all callers at once."""
    ready = threading.Barrier(CALLERS)

    def caller(_: int) -> None:
        for _ in range(ROUNDS):
            ready.wait(300)
            reply = transport.send(
                HttpRequest("/x", (), KeyPlace("header", "Authorization")),
                base_url=f"http://127.0.0.1:{server.server_port}",
                provider="polygon",
                key_label="main",
                key=SecretStr("unused"),
            )
            assert reply.body == b"{}"

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(caller, range(CALLERS)))
    return len(server.connections)


def test_twenty_threads_keep_twenty_connections(server: _Server):
    assert calls(server) == CALLERS


def test_a_pool_that_is_too_small_is_seen_here(server: _Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport, "_POOL_SIZE", 8)
    assert calls(server) > CALLERS
