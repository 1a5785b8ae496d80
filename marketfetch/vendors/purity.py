"""Proves that a vendor's functions are pure: in a block, sockets and the clock fail."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from unittest import mock


@contextmanager
def isolated() -> Iterator[None]:
    """Makes sockets and `time.time` fail in this block."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a vendor's functions are pure: this one used the network or the clock")

    with mock.patch.object(socket, "socket", refuse), mock.patch.object(time, "time", refuse):
        yield
