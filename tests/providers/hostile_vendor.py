"""A vendor that misbehaves at one stage of a reply, in one way, on purpose: a bare socket server on loopback.

Each stage of a reply (connect, TLS handshake, status line, headers, interim replies, chunk sizes, body, trailer, the body of
a redirect, the body of an error) is combined with each way to misbehave: stand still, drip a byte at a time, go on for ever,
unpack to far more, send more than was said, send less than was said.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from marketfetch.sandbox.misbehaviour import CASES as ON_THE_WIRE
from marketfetch.sandbox.misbehaviour import beginning

#: What happens before there is a connection to a vendor, beside what the sandbox can do on one.
CASES: Final = (
    ("connect", "stands still"),
    *(("tls", way) for way in ("stands still", "drips", "endless", "less than said")),
    *ON_THE_WIRE,
)


#: https://man7.org/linux/man-pages/man7/tcp.7.html (TCP_INFO; the states are those of the kernel's tcp_states.h)
_ESTABLISHED: Final = 1


def _state(connection: socket.socket) -> int:
    """The state of a TCP connection; 0 once it was closed on this side."""
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:
        return 0


def _start(stage: str, way: str) -> tuple[bytes, bytes]:
    return (b"", b"\x16\x03\x01") if stage in ("connect", "tls") else beginning(stage, way)


class HostileVendor:
    """Answers every connection with the case that its port stands for."""

    def __init__(self, stage: str, way: str) -> None:
        self.stage, self.way = stage, way
        self._connections: list[socket.socket] = []
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=0 if stage == "connect" else 64)
        self._fillers: list[socket.socket] = []
        if stage == "connect":
            self._fill_backlog()
        else:
            threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.stage == 'tls' else 'http'}://127.0.0.1:{self._server.getsockname()[1]}"

    def held_by_the_client(self) -> int:
        """How many connections the client has not ended, as the kernel of this side knows."""
        with self._lock:
            return sum(_state(one) == _ESTABLISHED for one in self._connections)

    def close(self) -> None:
        self._ending.set()
        for one in (self._server, *self._fillers):
            one.close()

    def _fill_backlog(self) -> None:
        """Fills the queue of a server that never accepts: the next connect gets no answer at all."""
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(self._server.getsockname())
            self._fillers.append(filler)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.append(connection)
        with connection, suppress(OSError):
            self._misbehave(connection)

    def _misbehave(self, connection: socket.socket) -> None:
        if self.stage != "tls":
            connection.recv(65_536)
        proper, wrong = _start(self.stage, self.way)
        connection.sendall(proper)
        _WAYS[self.way](self, connection, wrong)

    def _stand_still(self, connection: socket.socket, wrong: bytes) -> None:
        connection.sendall(wrong[:3])
        self._until_the_client_leaves(connection)

    def _drip(self, connection: socket.socket, wrong: bytes) -> None:
        for one in itertools.cycle(wrong):
            if self._ending.wait(0.05):
                return
            connection.sendall(bytes([one]))

    def _endless(self, connection: socket.socket, wrong: bytes) -> None:
        while not self._ending.is_set():
            connection.sendall(wrong)

    def _once(self, connection: socket.socket, wrong: bytes) -> None:
        connection.sendall(wrong)
        if self.way != "less than said":
            self._until_the_client_leaves(connection)

    def _until_the_client_leaves(self, connection: socket.socket) -> None:
        connection.settimeout(0.05)
        while not self._ending.is_set():
            with suppress(TimeoutError):
                if not connection.recv(65_536):
                    return


_WAYS: Final[dict[str, Callable[[HostileVendor, socket.socket, bytes], None]]] = {
    "stands still": HostileVendor._stand_still,
    "drips": HostileVendor._drip,
    "endless": HostileVendor._endless,
    "gzip bomb": HostileVendor._once,
    "more than said": HostileVendor._once,
    "less than said": HostileVendor._once,
}


@contextmanager
def hostile_vendor(stage: str, way: str) -> Iterator[HostileVendor]:
    """A running one; everything is closed at the end."""
    vendor = HostileVendor(stage, way)
    try:
        yield vendor
    finally:
        vendor.close()
