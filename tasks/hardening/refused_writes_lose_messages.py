"""A worker takes messages out of a Redis that refuses writes, and loses them.

What fails without it: BRPOP removes a message from a full Redis; the write that would list it as unacknowledged is refused.
The message is then nowhere but in the memory of the worker, which reconnects and takes the next one. Shown on kombu's own
channel by tests/hardening/test_refused_writes.py::test_a_message_taken_from_a_full_redis_is_lost.
Upstream: no upstream issue found for refused writes (https://github.com/celery/kombu/issues/305 collects losses around BRPOP).
Delete when: kombu moves a message to the unacknowledged ones in one atomic step.
Private API: a connection's `_default_channel`, as the public `default_channel` opens a new connection.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.utils.encoding import bytes_to_str
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from marketfetch.connections import new_redis_of_broker
from marketfetch.ops import redis_writes
from marketfetch.ops.alerts import Outage
from marketfetch.ops.writes_refused import WritesRefused
from marketfetch.redis_keys import named

#: Between two looks whether Redis takes writes again; doubled from the first value to the second.
_LOOKS_AGAIN_S: Final = (0.5, 5.0)
_NOTICES_THE_END_S: Final = 0.1
#: Never set: waiting for it is waiting for the time to pass.
_NOTHING: Final = threading.Event()
#: The loop below tries again itself, and looks in between whether the worker has to end.
_NO_RETRY: Final = Retry(NoBackoff(), 0)


class RefusedWritesLoseMessages(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Connects to the broker only while Redis takes writes, and first returns the message that was taken and not listed."""

    _pause_s = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outage = Outage("worker")
        #: Pairs of a list's key and the bytes of a message that was in it.
        self._stranded: list[tuple[Any, bytes]] = []

    def connect(self) -> Any:
        self._wait_for_writes()
        connection = super().connect()
        self._outage.over()
        return connection

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            self._pause_s = 0.0  # the message is listed as unacknowledged, so Redis takes writes
            receive(message)

        return on_task_received

    def _wait_for_writes(self) -> None:
        """Waits until Redis takes writes. If it does not answer and no message is stranded, returns: Celery waits then.

        Returns at once where the broker is no Redis.
        """
        while True:
            _pause(self._pause_s)
            try:
                lists = new_redis_of_broker(socket_timeout=5, socket_connect_timeout=5, retry=_NO_RETRY)
                if lists is None:
                    return
                with lists as redis:
                    redis_writes.must_take_writes(redis)
                    while self._stranded:
                        key, message = self._stranded[0]
                        redis.rpush(named(redis, bytes_to_str(key)), message)
                        del self._stranded[0]
            except RedisError as error:
                if not redis_writes.word(error) and not self._stranded:
                    return
                self._log_refusal(error)
            else:
                return

    def _log_refusal(self, error: Exception) -> None:
        self._outage.goes_on("Redis", error)
        first, most = _LOOKS_AGAIN_S
        self._pause_s = min(most, max(first, 2 * self._pause_s))

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        if isinstance(exc, WritesRefused):
            self._log_refusal(exc)
        super().on_connection_error_before_connected(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        if isinstance(exc, WritesRefused):
            self._log_refusal(exc)
            taken = getattr(getattr(self.connection, "_default_channel", None), "taken", None)
            if taken:
                self._stranded.append(taken)
        super().on_connection_error_after_connected(exc)


def _pause(seconds: float) -> None:
    """Waits. Raises WorkerShutdown or WorkerTerminate when the worker has to end meanwhile."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        maybe_shutdown()
        _NOTHING.wait(min(left_s, _NOTICES_THE_END_S))
    maybe_shutdown()
