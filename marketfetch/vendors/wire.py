"""Connections of which every step is bounded: one deadline for the whole call, one limit on the bytes that arrive.

A timeout of a socket starts anew with every byte, so a vendor that sends a byte a second keeps a call open for ever. Here
each read and each write asks what is left of the call's time, from the first address looked up to the last byte of a trailer.
The same place looks at the clock once more before the request is written: connecting may take seconds, and past send-by a
request must not go out.
"""

from __future__ import annotations

import io
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse

#: It goes on while this machine sleeps: Linux's CLOCK_MONOTONIC stands still then, macOS's does not.
#: https://man7.org/linux/man-pages/man2/clock_gettime.2.html
_STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

#: Values of SO_LINGER (on or off, seconds; https://man7.org/linux/man-pages/man7/socket.7.html). With 0 s, closing a connection
#: drops what the kernel has not sent yet. Otherwise the kernel goes on sending it, for minutes over a network that is cut, and
#: the vendor would count a call whose lease has ended long ago.
_DROP_UNSENT: Final = struct.pack("ii", 1, 0)
_SEND_UNSENT: Final = struct.pack("ii", 0, 0)

#: Bytes of status line, headers and interim replies together. Real ones have about a thousand.
HEAD_BYTES: Final = 262_144


def steady_s() -> float:
    """A clock for `send_by`: it has passed `send_by` on a machine that slept meanwhile."""
    return time.clock_gettime(_STEADY)


def steady_ns() -> int:
    """The same in ns."""
    return time.clock_gettime_ns(_STEADY)


def ago_us(moment_ns: int) -> int | None:
    """How long ago a moment of the same clock was, in microseconds; None for 0, which is no moment."""
    return (steady_ns() - moment_ns) // 1000 if moment_ns else None


class SendTooLate(Exception):
    """The call's time to be sent was over before it was: nothing went out."""


class CallGivenUp(Exception):
    """The call passed its deadline or a limit of its size; the message says which. The connection is not used again."""


class Wire(threading.local):
    """The bounds of this thread's call, and what is known of it so far.

    `send_by` is on steady_s(), `ends` on time.monotonic(), `sent_ns` on steady_ns() (0: not sent). `ended`: the vendor
    closed the connection while more was expected. `surplus`: bytes arrived beyond the end of the reply.
    """

    send_by: float = float("inf")
    ends: float = float("inf")
    total_s: float = float("inf")
    idle_s: float = 5.0
    left_bytes: int = 0
    body_bytes: int = 0
    sent_ns: int = 0
    in_head: bool = False
    ended: bool = False
    surplus: bool = False

    def begin(self, *, send_by: float | None, total_s: float, idle_s: float, body_bytes: int) -> None:
        """A call begins; its deadline is `total_s` from now."""
        self.send_by = float("inf") if send_by is None else send_by
        self.ends, self.total_s, self.idle_s = time.monotonic() + total_s, total_s, idle_s
        self.left_bytes, self.body_bytes = HEAD_BYTES, body_bytes
        self.sent_ns, self.in_head, self.ended, self.surplus = 0, False, False, False

    def left_s(self) -> float:
        """The seconds that are left of the call. Raises CallGivenUp when there are none."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise CallGivenUp(f"the call took longer than {self.total_s:g} s and was given up")
        return left

    def received(self, count: int) -> None:
        """Counts bytes that arrived. Raises CallGivenUp above the limit."""
        self.left_bytes -= count
        if self.left_bytes < 0:
            raise CallGivenUp("the reply is larger than any reply may be and was given up")

    def about_to_write(self) -> None:
        """Raises SendTooLate, once per call: a request that is partly written goes on."""
        if self.sent_ns:
            return
        if steady_s() > self.send_by:
            raise SendTooLate("the call came too late to be sent within its start-by time")
        self.sent_ns = steady_ns()


wire = Wire()


class _BoundedReader(io.RawIOBase):
    """The reading end of a socket, within the bounds of the call that reads."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        # The socket's own raw file keeps it open until the reply is read, also after its connection was closed.
        self._raw = sock.makefile("rb", buffering=0)
        self.count = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """How many bytes were read from the socket."""
        return self.count

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(min(wire.idle_s, wire.left_s()))
        try:
            count = self._raw.readinto(buffer) or 0
        except TimeoutError:
            wire.left_s()
            raise
        if not count:
            wire.ended = True
            if wire.in_head and self.count:
                raise CallGivenUp("the connection broke in the middle of the reply")
        if count and wire.in_head:
            # The vendor has the call. A connection that is kept ends politely, with FIN instead of RST.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SEND_UNSENT)
        self.count += count
        wire.received(count)
        return count

    def pending(self) -> bool:
        """True when unread bytes have arrived. Of TLS only what is decrypted counts: a record may hold no data at all."""
        if isinstance(self._sock, ssl.SSLSocket):
            return self._sock.pending() > 0
        try:
            self._sock.settimeout(0)
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def hang_up(self) -> None:
        """Ends the connection for both sides; a pool that still has it finds it dropped."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Reply(io.BufferedReader):
    """What http.client reads a reply from. At its end it notes what had arrived beyond it, and then ends the connection.

    urllib3 would keep that connection for the next call, and to the vendor this call would stay open.
    """

    raw: _BoundedReader

    def close(self) -> None:
        if not self.closed:
            wire.surplus = self.raw.count > self.tell() or self.raw.pending()
            if wire.surplus:
                self.raw.hang_up()
        super().close()


class BoundedSocket:
    """A connected socket of which every read and write is within the bounds of the running call."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: Any, *flags: int) -> None:
        """Sends all of it. The socket's timeout bounds the whole of one `sendall`."""
        self._sock.settimeout(wire.left_s())
        self._sock.sendall(data, *flags)

    def makefile(self, mode: str = "rb", *_: Any, **__: Any) -> _Reply:
        """The reply as http.client reads it."""
        if mode != "rb":
            raise ValueError(f"a reply is read as bytes, not as {mode!r}")
        return _Reply(_BoundedReader(self._sock))


def _connected(connection: Any) -> socket.socket:
    """A socket to the host of `connection`: address lookup and every address together within what is left of the call."""
    host, problem = connection._dns_host, None  # noqa: SLF001 (urllib3 has no public name for it)
    try:
        addresses = _addresses(host, connection.port)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(min(connection.timeout or wire.idle_s, wire.left_s()))
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            # TLS's handshake, which comes next, is within this timeout as a whole.
            sock.settimeout(min(connection.timeout or wire.idle_s, wire.left_s()))
            return sock
    wire.left_s()
    if isinstance(problem, TimeoutError):
        raise ConnectTimeoutError(connection, f"no connection within {connection.timeout} s") from problem
    raise NewConnectionError(connection, f"no connection could be made: {problem}") from problem


def _addresses(host: str, port: int) -> list[Any]:
    """The addresses of a host. The system's resolver knows no timeout, so it runs in a thread that may be left behind."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(wire.left_s())
    if failed:
        raise failed[0] if isinstance(failed[0], OSError) else socket.gaierror(str(failed[0]))
    if not found:
        wire.left_s()
        raise socket.gaierror(f"{host} has no address")
    return found


class _Bounded:
    """What both kinds of connection do within the bounds of the call."""

    sock: Any
    timeout: float | None
    _tunnelling = False

    def _new_conn(self) -> socket.socket:
        return _connected(self)

    def _tunnel(self) -> None:
        """Asks the proxy for a tunnel to the vendor, within the bounds of the call. The call itself is not sent by that."""
        plain = self.sock
        self.sock, self._tunnelling = BoundedSocket(plain), True
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self._tunnelling = False
            if self.sock is not None:
                self.sock = plain
        # TLS's handshake with the vendor comes next, in one go.
        plain.settimeout(min(self.timeout or wire.idle_s, wire.left_s()))

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = BoundedSocket(self.sock)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if not self._tunnelling:
            wire.about_to_write()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_UNSENT)
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> HTTPResponse:
        wire.left_bytes, wire.in_head = HEAD_BYTES, True
        response: HTTPResponse = super().getresponse()  # type: ignore[misc]
        wire.in_head = False
        # What frames the chunks of a body comes on top of it.
        wire.left_bytes = 2 * wire.body_bytes + HEAD_BYTES
        return response


class _Connection(_Bounded, HTTPConnection):  # type: ignore[misc]  # urllib3 overloads getresponse
    pass


class _SecureConnection(_Bounded, HTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class BoundedAdapter(HTTPAdapter):
    """requests' adapter, with connections that stay within the bounds of `wire`."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        self.poolmanager = _bounded(PoolManager(num_pools=connections, maxsize=maxsize, block=block, **more))

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        """Makes the pools of a proxy, with bounded connections too."""
        return _bounded(super().proxy_manager_for(proxy, **more))


def _bounded(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager
