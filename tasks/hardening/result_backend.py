"""Celery's Redis backend, which says within seconds that Redis is away, and is of use again when it is back.

Celery's tries for 19 s before a task is sent, then asks for a restart of whoever sends; and results that were waited for by
then never come. Here a sender gets kombu's OperationalError, as from the broker, and who waits goes on waiting.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from celery.backends.redis import RedisBackend, ResultConsumer
from kombu.exceptions import OperationalError

from .redis_client import AttentiveRedis

#: So long who waits for a result bears a Redis that is away; Celery's own patience.
_PATIENCE_S: Final = 20.0


class ReturningConsumer(ResultConsumer):  # type: ignore[misc]  # Celery is untyped
    """Waits for results; after an outage for all that it waited for before."""

    _away_since: float | None = None

    def start(self, initial_task_id: str, **options: Any) -> None:
        """Begins to listen, or begins again after an outage that was longer than a sender's patience."""
        with self._locked():
            if self.subscribed_to:
                self._again()
                self._consume_from(initial_task_id)
            else:
                super().start(initial_task_id, **options)

    def consume_from(self, task_id: str) -> None:
        """Waits for one more. Raises OperationalError, and then it does not."""
        key = self._get_key_for_task(task_id)
        known = key in self.subscribed_to
        try:
            super().consume_from(task_id)
        except OperationalError:
            if not known:
                self.subscribed_to.discard(key)
            raise

    def drain_events(self, timeout: float | None = None) -> None:
        """Takes what has come. Raises OperationalError when Redis has been away for 20 s."""
        try:
            with self._locked():
                if self._pubsub is None and self.subscribed_to:
                    self._again()
            super().drain_events(timeout)
            self._away_since = None
        except OperationalError:
            now = time.monotonic()
            self._away_since = now if self._away_since is None else self._away_since
            if now - self._away_since > _PATIENCE_S:
                self._away_since = None
                raise

    @contextmanager
    def reconnect_on_error(self) -> Iterator[None]:
        """Celery's says RuntimeError, and that the application must be restarted."""
        try:
            yield
        except socket.timeout:  # noqa: UP041 (as Celery has it: nothing has come, which is no error)
            raise
        except self._connection_errors:
            self._again()

    def _again(self) -> None:
        try:
            self._reconnect()
        except self._connection_errors as error:
            raise OperationalError(f"the Redis of the results does not answer: {error}") from error


class ReturningBackend(RedisBackend):  # type: ignore[misc]  # Celery is untyped
    """Celery's, with the consumer above; a Redis that refuses to write is tried again like one that is away."""

    ResultConsumer = ReturningConsumer

    def _get_client(self) -> Any:
        return AttentiveRedis

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Before a task is sent. Raises OperationalError."""
        try:
            super().on_task_call(producer, task_id)
        except self.connection_errors as error:
            raise OperationalError(f"the Redis of the results does not answer: {error}") from error
