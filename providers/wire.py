"""The last moment before a call goes out: connections that look at the clock between connecting and writing.

Connecting may take seconds. What counts for a limit is when the request is written, and past send-by it must not be.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class SendTooLate(Exception):
    """The call's time to be sent was over before it was: nothing went out."""


class Wire(threading.local):
    """What the call of this thread may do (`send_by`: time.monotonic()), and did (`sent_ns`: time.monotonic_ns(), 0 if not)."""

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
        if time.monotonic() > self.send_by:
            raise SendTooLate("the call came too late to be sent within its start-by time")
        self.sent_ns = time.monotonic_ns()


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
