"""Events of what is parked, for Flower and `celery events`: sent by a worker, as no worker has received these tasks yet.

A sender's own event would carry the sender's name, and every viewer would list that name as a worker. One worker that sends
events looks at the lanes every few seconds, and sends `task-parked` for what is expected first: state PARKED, with arguments
and the expected time as `eta`. Each is sent again once a minute, for a viewer that has started since. `task-granted` and
`task-withdrawn` follow when a request leaves the lane with a grant or without; what comes after is Celery's own.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import structlog
from celery import bootsteps
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.quotas import lane_view
from marketfetch.redis_keys import named

from ..hardening.fork_with_locks import ForkGuard
from . import parked_view
from .parked_view import ParkedTask

log = structlog.get_logger("marketfetch.events")

_LOOKS_EVERY_S: Final = 3.0
_AGAIN_S: Final = 60.0
#: Which worker sends these events; another one takes over when it has not renewed this.
_SENDS: Final = "mf:shows:events"
_SENDS_MS: Final = 10_000

#: A guard of its own: a look at a long lane takes some tens of milliseconds, and grants must not wait for it.
_guard: Final = ForkGuard()


class ParkedEvents(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Starts one thread per worker, which sends while the worker sends events of tasks (`-E`, or switched on by Flower)."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._loop: ParkedEventsLoop | None = None

    def start(self, worker: Any) -> None:
        self._loop = ParkedEventsLoop(worker)
        self._loop.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002 (Celery's signature)
        if self._loop:
            self._loop.stop()

    terminate = stop


class ParkedEventsLoop(threading.Thread):
    """The thread: looks, sends, sleeps. Events are a view, so that a failed look is left out."""

    def __init__(self, worker: Any) -> None:
        super().__init__(name="parked events", daemon=True)
        self._worker = worker
        self._ending = threading.Event()
        #: What was announced: task id -> the task, and when it is due to be announced again, on the monotonic clock.
        self._announced: dict[str, tuple[ParkedTask, float]] = {}

    def run(self) -> None:
        while not self._ending.wait(_LOOKS_EVERY_S):
            try:
                with _guard:
                    if not self._wanted() or not self._is_sender():
                        self._announced.clear()
                        continue
                    events = self._events()
                if events:
                    self._send(events)
            except (RedisError, OperationalError, OSError) as error:
                log.debug("events of parked tasks not sent", error=str(error), next_step="tries again in a moment")
            except Exception:
                log.exception("events of parked tasks failed", next_step="goes on in a moment")

    def stop(self) -> None:
        self._ending.set()
        self.join(timeout=5)

    def _wanted(self) -> bool:
        events = getattr(getattr(self._worker, "consumer", None), "event_dispatcher", None)
        return bool(events and events.enabled and (not events.groups or "task" in events.groups))

    def _is_sender(self) -> bool:
        redis, name = connections.redis(), self._worker.hostname
        key = named(redis, _SENDS)
        if redis.set(key, name, nx=True, px=_SENDS_MS):
            return True
        return redis.get(key) == name.encode() and bool(redis.pexpire(key, _SENDS_MS))

    def _events(self) -> list[tuple[str, dict[str, Any]]]:
        """The events since the last look. Raises RedisError."""
        now, parked = time.monotonic(), {one.id: one for one in parked_view.first()}
        events = []
        left = [one for task_id, (one, _) in self._announced.items() if task_id not in parked]
        for provider in sorted({one.provider for one in left}):
            those = [one for one in left if one.provider == provider]
            for one, state in zip(
                those, lane_view.states(connections.gate(provider), [it.request.id for it in those]), strict=True
            ):
                if state != "parked":  # else others are expected before it now
                    events.append(("task-granted" if state else "task-withdrawn", {"uuid": one.id}))
                    del self._announced[one.id]
        for task_id, one in parked.items():
            if task_id not in self._announced or self._announced[task_id][1] <= now:
                self._announced[task_id] = (one, now + _AGAIN_S)
                events.append(("task-parked", _fields(one)))
        return events

    def _send(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        dispatcher = self._worker.app.events.Dispatcher(enabled=False, hostname=self._worker.hostname)
        with self._worker.app.connection_for_write() as connection:
            producer = connection.Producer(serializer="json")
            for kind, fields in events:
                with _guard:  # an event holds the app's clock for a moment
                    dispatcher.publish(kind, fields, producer)


def _fields(one: ParkedTask) -> dict[str, Any]:
    info = one.info()
    return {
        "uuid": one.id,
        "name": info["name"],
        "args": _words(one.args),
        "kwargs": _words(one.kwargs),
        "eta": one.expected,
        **info["parked"],
    }


def _words(arguments: Any) -> str:
    """As Celery shows arguments: a tuple's and a dictionary's repr."""
    return repr(tuple(arguments) if isinstance(arguments, list) else arguments)
