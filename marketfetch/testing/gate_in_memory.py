"""The gate's Redis as an object: fakeredis, which runs the gate's own scripts, with a clock that a test may move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import fakeredis
from fakeredis.commands_mixins import server_mixin

from marketfetch.ops.workers import HEARTBEAT
from marketfetch.quotas.key_state import WAKE_CHANNEL


class _Waking(fakeredis.FakeRedis):  # type: ignore[misc]  # fakeredis is untyped here
    """Calls the workers, with the name of the pool, where a real Redis would wake them."""

    on_wake: Callable[[str], None] | None = None

    def publish(self, channel: Any, message: Any, **options: Any) -> Any:
        done = super().publish(channel, message, **options)
        if channel == WAKE_CHANNEL and self.on_wake:
            self.on_wake(str(message))
        return done


class GateInMemory:
    """A Redis of one test."""

    def __init__(self) -> None:
        self.redis = _Waking(server=fakeredis.FakeServer())
        # `status` says that no worker runs where there is no heartbeat.
        self.redis.set(f"{HEARTBEAT}in-process", "")
        self._ahead_s = 0.0

    @property
    def on_wake(self) -> Callable[[str], None] | None:
        return self.redis.on_wake

    @on_wake.setter
    def on_wake(self, work: Callable[[str], None]) -> None:
        self.redis.on_wake = work

    def advance(self, seconds: float) -> None:
        """Moves the clock that the scripts read, Redis's TIME."""
        self._ahead_s += seconds

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Within the block TIME is this clock's."""
        clock = SimpleNamespace(time=lambda: time.time() + self._ahead_s)
        with mock.patch.object(server_mixin, "time", clock):
            yield
