"""Sweeper: checks every few seconds that the gate has the requests of every open job, and feeds the missing ones.

Then it notifies the waiters of jobs that have ended, where the process that stored the last request did not.

The database knows what a job still needs, so the sweeper treats an emptied Redis, a crash between recording and parking, and a
job larger than what is parked ahead alike. It is a step of the worker's blueprint, beside the releaser, and sweeps while its
worker consumes a fetch queue; one sweeper of all workers sweeps at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
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

from ..announcing import announce_due
from ..hardening.fork_with_locks import ForkGuard
from ..store import store_held
from .consumed_queues import consumed_vendors

log = structlog.get_logger("marketfetch.sweeper")

#: A releaser that has found its gate emptied sets it: the sweeper of this worker then sweeps at once.
sweep_now: Final = threading.Event()


#: A guard of its own: a sweep can take a second, and grants must not wait for it.
_guard: Final = ForkGuard()


class Sweeper(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Starts one sweeping thread per worker, stops it with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._loop: SweepingLoop | None = None

    def start(self, worker: Any) -> None:
        fetches = partial(consumed_vendors, worker.app)
        self._loop = SweepingLoop(fetches=fetches, every_s=get_settings().timings.sweep)
        self._loop.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        if self._loop:
            self._loop.stop()

    terminate = stop


class SweepingLoop(threading.Thread):
    """The thread: sweeps, sleeps; during an outage it waits and continues."""

    def __init__(self, *, fetches: Callable[[], object], every_s: float) -> None:
        """`fetches` returns something false while the worker only stores."""
        super().__init__(name="sweeper", daemon=True)
        self._fetches = fetches
        self._every_s = every_s
        self._ending = False
        self._outage = Outage("sweeper")

    def run(self) -> None:
        while not self._ending:
            try:
                if self._fetches():
                    with _guard:
                        sweep()
                        announce_due()
                    self._outage.over()
            except StoreError as error:
                self._outage.goes_on("the database", error)
            except (RedisError, OperationalError, OSError) as error:
                self._outage.goes_on("Redis", error)
                if redis_writes.word(error) == "OOM":
                    self._make_room()
            except Exception:
                # Without this, a dead sweeper would silently leave jobs unfinished.
                log.exception("sweeper failed", next_step=f"goes on in {self._every_s:g} s")
            sweep_now.wait(self._every_s)
            sweep_now.clear()

    def _make_room(self) -> None:
        """Stores held batches in this process: a full Redis takes no message for a store task, and only storing frees it."""
        try:
            with _guard:
                stored = sum(store_held(provider) for provider in vendors.names())
        except (StoreError, RedisError, OSError) as error:
            log.info("nothing stored to make room", error=str(error), next_step="tries again at the next sweep")
        else:
            if stored:
                log.info("stored to make room in Redis", batches=stored)

    def stop(self) -> None:
        self._ending = True
        sweep_now.set()
        self.join(timeout=5)
