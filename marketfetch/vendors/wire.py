"""The last moment before a call goes out: connections that look at the clock between connecting and writing.

Connecting may take seconds. What counts for a limit is when the request is written, and past send-by it must not be.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

#: It goes on while this machine sleeps: Linux's CLOCK_MONOTONIC stands still then, macOS's does not.
#: https://man7.org/linux/man-pages/man2/clock_gettime.2.html
_STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_s() -> float:
    """A clock for `send_by`, which is over for a machine that has slept past it."""
    return time.clock_gettime(_STEADY)


def steady_ns() -> int:
    """The same in ns."""
    return time.clock_gettime_ns(_STEADY)


class SendTooLate(Exception):
    """The call's time to be sent was over before it was: nothing went out."""


class Wire(threading.local):
    """What the call of this thread may do (`send_by`: steady_s()), and did (`sent_ns`: steady_ns(), 0 if not)."""

    send_by: float = float("inf")
    sent_ns: int = 0

    def expect(self, send_by: float | None) -> None:
        """A call begins."""
        self.send_by = float("inf") if send_by is None else send_by
        self.sent_ns = 0

    def about_to_write(self) -> None:
        """Raises SendTooLate, once per call: what is on its way goes on."""
        if self.sent_ns:
            return
        if steady_s() > self.send_by:
            raise SendTooLate("the call came too late to be sent within its start-by time")
        self.sent_ns = steady_ns()


wire = Wire()


class _Connection(HTTPConnection):
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        wire.about_to_write()
        super().send(data)


class _SecureConnection(HTTPSConnection):
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        wire.about_to_write()
        super().send(data)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class WatchedAdapter(HTTPAdapter):
    """requests' adapter, with connections that ask `wire` before they write."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        manager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **more)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        self.poolmanager = manager
