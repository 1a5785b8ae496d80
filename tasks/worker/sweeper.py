"""Keeper: looks every few seconds whether every open job is in the gate, and feeds what is missing.

What a job still needs stands in the database, so an emptied Redis, a crash between recording and parking, and a job larger
than what is parked ahead are all the same to it. A step of the worker's blueprint, beside the releaser, in workers that
consume a fetch queue; of many keepers one sweeps at a time.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import structlog
from celery import bootsteps
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import vendors
from marketfetch.jobs.feeding import sweep
from marketfetch.ops import redis_writes
from marketfetch.ops.alerts import Outage
from marketfetch.settings import get_settings
from marketfetch.storage.store import StoreError

from ..hardening.fork_with_locks import ForkGuard

log = structlog.get_logger("marketfetch.keeper")

#: Set by a releaser that has found its gate emptied: the keeper of this worker sweeps at once.
swept_out: Final = threading.Event()


#: Not the releaser's: a sweep may take a second, and grants don't wait for it.
_guard: Final = ForkGuard()


class Keeper(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Starts one keeping thread per worker, stops it with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._loop: KeepingLoop | None = None

    def start(self, worker: Any) -> None:
        consumed = set(worker.app.amqp.queues.consume_from)
        if any(f"fetch.{one}" in consumed for one in vendors.names()):
            self._loop = KeepingLoop(every_s=get_settings().timings.sweep)
            self._loop.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        if self._loop:
            self._loop.stop()

    terminate = stop


class KeepingLoop(threading.Thread):
    """The thread: sweep, sleep; whatever is away, wait and go on."""

    def __init__(self, *, every_s: float) -> None:
        super().__init__(name="keeper", daemon=True)
        self._every_s = every_s
        self._ending = False
        self._outage = Outage("keeper")

    def run(self) -> None:
        while not self._ending:
            try:
                with _guard:
                    sweep()
                self._outage.over()
            except StoreError as error:
                self._outage.goes_on("the database", error)
            except (RedisError, OperationalError, OSError) as error:
                self._outage.goes_on("Redis", error)
                if redis_writes.word(error) == "OOM":
                    self._make_room()
            except Exception:
                # A keeper that dies in silence would leave jobs unfinished in silence.
                log.exception("keeper stumbled", next_step=f"goes on in {self._every_s:g} s")
            swept_out.wait(self._every_s)
            swept_out.clear()

    def _make_room(self) -> None:
        """A full Redis takes no message that would tell a child to store, and storing is what empties it."""
        from ..store import store_what_is_held

        try:
            with _guard:
                stored = sum(store_what_is_held(provider) for provider in vendors.names())
        except (StoreError, RedisError, OSError) as error:
            log.info("nothing stored to make room", error=str(error), next_step="tries again at the next sweep")
        else:
            if stored:
                log.info("stored to make room in Redis", batches=stored)

    def stop(self) -> None:
        self._ending = True
        swept_out.set()
        self.join(timeout=5)
