"""A real HTTP proxy on loopback: tunnels by CONNECT, forwards plain HTTP, asks for a password, and misbehaves if told to."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit


class SmallProxy(ThreadingTCPServer):
    """`heads` are the heads of all requests, `passed` the bytes that came through tunnels from the client."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, *, user: str = "", password: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self.expected = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""
        self.heads: list[str] = []
        self.passed = bytearray()
        #: Sent in place of a tunnel, if not empty.
        self.refusal = b""
        #: Seconds before each CONNECT's reply, and whether that reply comes a byte at a time and never ends.
        self.delay_s = 0.0
        self.drips = False
        self.stop = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are what some tests are about."""


class _Client(StreamRequestHandler):
    server: SmallProxy

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        text = head.decode("latin-1")
        self.server.heads.append(text)
        verb, target, _ = text.split("\r\n")[0].split(" ")
        if self.server.expected and f"Proxy-Authorization: {self.server.expected}" not in text:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif self.server.refusal:
            self.wfile.write(self.server.refusal)
        elif verb == "CONNECT":
            self._tunnel(target)
        else:
            self._forward(text, target)

    def _tunnel(self, target: str) -> None:
        self.server.stop.wait(self.server.delay_s)
        if self.server.drips:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Odd: ")
            while not self.server.stop.wait(0.05):
                self.wfile.write(b"x")
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=300) as vendor:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(vendor, self.connection, bytearray()), daemon=True)
            back.start()
            _pump(self.connection, vendor, self.server.passed)
            back.join(300)

    def _forward(self, head: str, target: str) -> None:
        place = urlsplit(target)
        lines = [line for line in head.split("\r\n") if not line.startswith(("Proxy-", "Connection:"))]
        lines[0] = lines[0].replace(f"{place.scheme}://{place.netloc}", "")
        lines.insert(1, "Connection: close")
        with socket.create_connection((place.hostname, place.port), timeout=300) as vendor:
            vendor.sendall("\r\n".join(lines).encode("latin-1"))
            _pump(vendor, self.connection, bytearray())


def _pump(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            kept += piece
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def small_proxy(*, user: str = "", password: str = "") -> Iterator[SmallProxy]:
    """A running proxy; it ends with the block."""
    with SmallProxy(user=user, password=password) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stop.set()
            proxy.shutdown()
            thread.join()
