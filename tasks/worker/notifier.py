"""Notifier: records what has happened and sends it to the targets of `[[notify]]`, where the settings have any.

It is a step of the worker's blueprint with a thread of its own, so that a slow target delays neither a grant nor a sweep. One
process at a time looks what has happened; each may send.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import structlog
from celery import bootsteps
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.jobs.happenings import record
from marketfetch.ops.alerts import Outage
from marketfetch.ops.notifying import deliver_due
from marketfetch.redis_keys import named
from marketfetch.settings import get_settings
from marketfetch.storage.notifications import Notifications
from marketfetch.storage.store import StoreError

from ..hardening.fork_with_locks import ForkGuard

log = structlog.get_logger("marketfetch.notify")

EVERY_S: Final = 5.0
#: The lock of the look: another process looks when it has expired.
_LOOKING: Final = "mf:notifying"
_guard: Final = ForkGuard()


class Notifier(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Starts the thread with the worker and stops it with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._loop: NotifyingLoop | None = None

    def start(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        if get_settings().notify:
            self._loop = NotifyingLoop()
            self._loop.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        if self._loop:
            self._loop.stop()

    terminate = stop


class NotifyingLoop(threading.Thread):
    """The thread: looks, sends, sleeps; during an outage it waits and continues."""

    def __init__(self) -> None:
        super().__init__(name="notifier", daemon=True)
        self._ending = threading.Event()
        self._outage = Outage("notifier")

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                with _guard:
                    # First, as it needs no Redis.
                    deliver_due(Notifications(connections.store()), now_ms=_now_ms())
                    look()
                self._outage.over()
            except StoreError as error:
                self._outage.goes_on("the database", error)
            except (RedisError, OSError) as error:
                self._outage.goes_on("Redis", error)
            except Exception:
                log.exception("notifier failed", next_step=f"goes on in {EVERY_S:g} s")
            self._ending.wait(EVERY_S)

    def stop(self) -> None:
        self._ending.set()
        self.join(timeout=5)


def look() -> None:
    """Records what has happened, unless another process has looked a moment ago. Raises StoreError, RedisError."""
    redis = connections.redis()
    if redis.set(named(redis, _LOOKING), "1", nx=True, px=int(0.8 * EVERY_S * 1000)):
        record(connections.store(), redis, now_ms=_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
