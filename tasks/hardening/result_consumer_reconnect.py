"""Once Redis was away for 19 s, a process gets no more results and must be restarted.

What fails without it: Celery's result consumer tries to reconnect for 19 s, also before a task is sent, then raises
RuntimeError ("The Celery application must be restarted"). What was waited for before never arrives, and tasks cannot be sent
although the broker is back. Shown on Celery's own consumer by
tests/hardening/test_results.py::test_a_redis_that_is_away_asks_for_a_restart.
Upstream: https://github.com/celery/celery/pull/5921 added this reconnect; no upstream issue found that asks for less than a
restart.
Delete when: Celery raises kombu's OperationalError here, and its consumer subscribes again after an outage of any length.
Private API: `_reconnect`, `_consume_from`, `_locked`, `_pubsub` of the consumer, which has no public way to begin again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from celery.backends.redis import RedisBackend, ResultConsumer
from kombu.exceptions import OperationalError
from kombu.utils.functional import retry_over_time

#: For how long a process that waits for a result tolerates a Redis that is away; Celery's own patience.
_PATIENCE_S: Final = 20.0


class ReconnectingConsumer(ResultConsumer):  # type: ignore[misc]  # Celery is untyped
    """Waits for results; after an outage for all that it waited for before."""

    _away_since: float | None = None

    def start(self, initial_task_id: str, **options: Any) -> None:
        """Begins to listen, or begins again after an outage that was longer than a sender's patience."""
        with self._locked():
            if self.subscribed_to:
                self._reconnect_or_raise()
                self._consume_from(initial_task_id)
            else:
                super().start(initial_task_id, **options)

    def consume_from(self, task_id: str) -> None:
        """Waits for one more task. Raises OperationalError, and then it does not wait for it."""
        key = self._get_key_for_task(task_id)
        known = key in self.subscribed_to
        try:
            super().consume_from(task_id)
        except OperationalError:
            if not known:
                self.subscribed_to.discard(key)
            raise

    def on_wait_for_pending(self, result: Any, timeout: float | None = None, **options: Any) -> None:
        """Reads what is there already. Celery's own read fails where a caller begins to wait while Redis is away."""
        read = partial(super().on_wait_for_pending, result, timeout=timeout, **options)
        patience = _PATIENCE_S if timeout is None else max(0.001, min(timeout, _PATIENCE_S))  # kombu takes 0 for no end
        try:
            retry_over_time(read, self._connection_errors, timeout=patience, interval_start=0.25, interval_max=1)
        except self._connection_errors as error:
            raise OperationalError(f"the Redis of the results does not answer: {error}") from error

    def drain_events(self, timeout: float | None = None) -> None:
        """Handles what has arrived. Raises OperationalError when Redis has been away for 20 s."""
        try:
            with self._locked():
                if self._pubsub is None and self.subscribed_to:
                    self._reconnect_or_raise()
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
        """As Celery's, with OperationalError in the place of RuntimeError."""
        try:
            yield
        except socket.timeout:  # noqa: UP041 (as Celery has it: nothing has arrived, which is no error)
            raise
        except self._connection_errors:
            self._reconnect_or_raise()

    def _reconnect_or_raise(self) -> None:
        try:
            self._reconnect()
        except self._connection_errors as error:
            raise OperationalError(f"the Redis of the results does not answer: {error}") from error


class ResultConsumerReconnect(RedisBackend):  # type: ignore[misc]  # Celery is untyped
    """Celery's backend with the consumer above."""

    ResultConsumer = ReconnectingConsumer

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Before a task is sent. Raises OperationalError."""
        try:
            super().on_task_call(producer, task_id)
        except self.connection_errors as error:
            raise OperationalError(f"the Redis of the results does not answer: {error}") from error
