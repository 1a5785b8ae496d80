"""Calls that a fault handles on the bare connection: each ends when its client has left.

The event loop may learn of a client's end after it has read another client's next call, even though the end came first. So the
kernel is asked about these connections before a new call is counted.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from marketfetch.sandbox.judge import KeyLog


class BareCalls:
    """The calls on bare connections that are open now."""

    def __init__(self) -> None:
        self._open: dict[socket.socket, tuple[KeyLog, str]] = {}

    @contextmanager
    def call(self, connection: socket.socket, log: KeyLog, status: str) -> Iterator[None]:
        """A call on this connection, until its client has left or this block ends. It leaves `log` once."""
        self._open[connection] = (log, status)
        try:
            yield
        finally:
            self._leave(connection)

    def end_those_whose_client_left(self) -> None:
        """Ends each call whose client has closed or reset the connection."""
        for connection in tuple(self._open):
            if _client_left(connection):
                self._leave(connection)

    def _leave(self, connection: socket.socket) -> None:
        log, status = self._open.pop(connection, (None, ""))
        if log:
            log.leave(status, None)


def _client_left(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True  # reset, or closed here
