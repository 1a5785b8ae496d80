"""A worker that survives what Celery 5.7 does not: a child's death at the start, or when the connection is lost, or a
running call then; and a Redis that refuses writes.

Each ended the whole worker with "Unrecoverable error", though nothing of ours was wrong. celeryconfig.py names the two classes.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any, Final

import structlog
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests, maybe_shutdown, reserved_requests
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from marketfetch.addresses import redis_url
from marketfetch.ops import redis_writes
from marketfetch.ops.alerts import Outage
from marketfetch.ops.redis_writes import WritesRefused

from .redis_channel import attend

log = structlog.get_logger("marketfetch.worker")

#: Between two looks whether Redis takes writes again: doubled from the first to the second.
_LOOKS_AGAIN_S: Final = (0.5, 5.0)
_NOTICES_THE_END_S: Final = 0.1
#: Never set: waiting for it is waiting for the time to pass.
_NOTHING: Final = threading.Event()
#: It is tried again here, with a look at whether the worker is to end.
_NO_RETRY: Final = Retry(NoBackoff(), 0)


class TrackingPool(AsynPool):  # type: ignore[misc]  # Celery is untyped
    """Does not track again, after a reconnect, a child whose death has been noticed and that is not yet replaced.

    Its descriptor is None then; kombu 5.7 answers that with a ValueError, for which Celery 5.7 is not prepared.
    """

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        # Nothing to watch any more: the pool's own timer puts another child in its place within 5 s.
        if getattr(proc, "_sentinel_poll", proc) is not None:
            super()._track_child_process(proc, hub)

    def did_start_ok(self) -> bool:
        """A child that dies while the worker starts is replaced, as later ones are. All dead: no child can live here."""
        # Asking takes the dead out of the pool.
        return bool(super().did_start_ok()) or bool(self._pool)


class SurvivingPool(TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Celery's prefork pool, with children tracked as above."""

    Pool = TrackingPool


class SurvivingConsumer(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Nothing that began on a lost connection is ended over it: kombu stumbles over its own closed transport there.

    Messages are not given back by it: the lease owns a call, a request that was granted and not started goes back by its
    deadline, and a held batch is offered again. What runs meanwhile is acknowledged over the connection of that moment; in
    Redis a message's tag holds on every connection.

    A Redis that refuses writes is waited for here, without a connection of kombu's: that would take messages out of a full
    Redis, and could not write down that it holds them.
    """

    #: The list and the bytes of a message that has left Redis and is not yet among those that a worker's death gives back.
    _on_the_way: tuple[Any, bytes] | None = None
    _pause_s = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outage = Outage("worker")
        self._stranded: list[tuple[Any, bytes]] = []

    def ensure_connected(self, conn: Any) -> Any:
        attend(conn.transport)
        return super().ensure_connected(conn)

    def connect(self) -> Any:
        self._wait_for_writes()
        connection = super().connect()
        self._outage.over()
        return connection

    def arrived(self) -> None:
        """A message is here, and among those that this worker's death gives back: Redis takes writes."""
        self._on_the_way, self._pause_s = None, 0.0

    def _wait_for_writes(self) -> None:
        """Until Redis takes writes, or does not answer at all: then Celery waits, unless there is something to put back."""
        while True:
            _pause(self._pause_s)
            try:
                with Redis.from_url(redis_url(), socket_timeout=5, socket_connect_timeout=5, retry=_NO_RETRY) as redis:
                    redis_writes.must_take_writes(redis)
                    while self._stranded:
                        redis.rpush(*self._stranded[0])
                        del self._stranded[0]
            except RedisError as error:
                if not redis_writes.word(error) and not self._stranded:
                    return
                self._say_refused(error)
            else:
                return

    def _say_refused(self, error: Exception) -> None:
        self._outage.goes_on("Redis", error)
        first, most = _LOOKS_AGAIN_S
        self._pause_s = min(most, max(first, 2 * self._pause_s))

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        if isinstance(exc, WritesRefused):
            self._say_refused(exc)
        super().on_connection_error_before_connected(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if isinstance(exc, WritesRefused):
            self._say_refused(exc)
            if self._on_the_way:
                self._stranded.append(self._on_the_way)
        self._on_the_way = None
        # Not `default_channel`: reading that would open a new connection.
        channel = getattr(self.connection, "_default_channel", None)
        if channel is not None:
            channel.do_restore = False
        for request in {*reserved_requests, *active_requests}:
            end = partial(self._end_message, request.message.delivery_tag)
            request._on_ack = request._on_reject = end  # noqa: SLF001 (Celery has no other way to say so)
        super().on_connection_error_after_connected(exc)

    def _end_message(self, tag: str, *_: Any, **__: Any) -> None:
        try:
            if self.connection:
                self.connection.default_channel.basic_ack(tag)
        except self.connection_errors as error:
            # It comes again after the visibility timeout, and `start` says that it is nobody's.
            log.info("message not acknowledged", error=str(error), next_step="comes again in 15 minutes, costs no call")


def _pause(seconds: float) -> None:
    """Raises what ends the worker, when it is to end meanwhile."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        maybe_shutdown()
        _NOTHING.wait(min(left_s, _NOTICES_THE_END_S))
    maybe_shutdown()
