"""Runs the web API with uvicorn, in this process, until a signal ends it: within 5 s, also while clients stream."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from types import FrameType
from typing import Any, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from marketfetch.exceptions import UnavailableError
from marketfetch.web.guards import is_loopback
from marketfetch.web.web_service import Service

#: What still runs is cancelled after so long: a signal ends the server within 5 s.
_GRACE_S: Final = 3
#: From there to the end of the process, where a thread still works.
_LEAVE_S: Final = 0.25
_KEEP_ALIVE_S: Final = 15
#: Connections; further ones get 503 at once.
_MOST_CONNECTIONS: Final = 2_000
_LONGEST_HEADERS: Final = 32 << 10
#: The headers of a request are there by then, or its connection is cut: one that waits for them costs a connection.
HEADERS_S: Final = 10.0
#: Connections from one address. Those of this machine have no limit: a proxy's are those of many clients.
MOST_OF_ADDRESS: Final = 500


class Protocol(H11Protocol):
    """Gives the app a way to cut a connection: `close` would wait for a client that reads nothing. Cuts one without headers."""

    _cut_later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, "cut": transport.abort}
        host = self.client[0] if self.client else ""
        others = sum(1 for one in self.connections if isinstance(one, Protocol) and one.client and one.client[0] == host)
        if others > MOST_OF_ADDRESS and not is_loopback(host):
            transport.abort()
        else:
            self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:  # the headers of the next request are not complete
            self._expect_headers()
        else:
            self._forget_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        """Starts the time once: a byte now and then does not lengthen it."""
        self._cut_later = self._cut_later or self.loop.call_later(HEADERS_S, self.transport.abort)

    def _forget_timer(self) -> None:
        if self._cut_later is not None:
            self._cut_later.cancel()
            self._cut_later = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stop()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. Raises UnavailableError with a sentence."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(1_024)
    except OSError as error:
        instead = f"({error.strerror or error}): name another address, --host, or port, --port"
        raise UnavailableError(f"The web API can't listen on {host}, port {port} {instead}.") from None
    return opened


def run(app: ASGIApp, service: Service, listening: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, which is raised again behind it for the handlers of before."""
    options: dict[str, Any] = {
        "http": Protocol,
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": _MOST_CONNECTIONS,
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "timeout_graceful_shutdown": _GRACE_S,
        "h11_max_incomplete_event_size": _LONGEST_HEADERS,
    }
    server = _Server(uvicorn.Config(app, **options), service)
    try:
        server.run(sockets=[listening])
    finally:
        if service.calls.busy:
            _leave_soon(0 if server.should_exit else 1)


def _leave_soon(exit_code: int) -> None:
    """Ends this process in a moment. Python would wait for each thread that still works: hours, if a database does not answer.

    What a thread is in the middle of ends as at a kill: a transaction is rolled back.
    """

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)

    timer = threading.Timer(_LEAVE_S, leave)
    timer.daemon = True
    timer.start()
