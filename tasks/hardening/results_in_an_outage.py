"""A task that has succeeded fails when Redis is away for the moment in which its result is written.

What fails without it: Celery's Redis backend tries a write again, but reads the earlier state once and counts the parts of a
chord once. An error there is an internal error of the task ("raised outside body", a traceback): its links have been sent, and
if Redis is back by then its result is FAILURE. The write of STARTED, before the body, has the same end. Shown on Celery's own
backend by tests/hardening/test_results.py::test_redis_is_away_while_a_result_is_written.
Upstream: https://github.com/celery/celery/issues/8588 (results are lost while Redis is away, open). The setting
`result_backend_always_retry` repeats `store_result` alone, logs tracebacks, and blocks the worker's event loop too.
Delete when: Celery's Redis backend tries again each step of `mark_as_done`, and no task depends on its STARTED.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from celery import current_task
from celery.backends.redis import RedisBackend
from celery.states import STARTED
from kombu.utils.functional import retry_over_time

#: Less than the time limit of a task. After it the message is redelivered, as its acknowledgement is lost too.
_PATIENCE: Final = {"timeout": 30.0, "interval_start": 0.25, "interval_step": 0.25, "interval_max": 1.0}


class ResultsInAnOutage(RedisBackend):  # type: ignore[misc]  # Celery is untyped
    """Celery's backend, which waits in a task for Redis. Elsewhere, as in a worker's event loop, it does not wait."""

    def store_result(self, task_id: str, result: Any, state: str, *more: Any, **options: Any) -> Any:
        """Celery's. STARTED is for display: without it the task runs all the same."""
        if state != STARTED:
            return super().store_result(task_id, result, state, *more, **options)
        try:
            return super().store_result(task_id, result, state, *more, **options)
        except self.connection_errors:
            return result

    def mark_as_done(self, *args: Any, **options: Any) -> Any:
        """Celery's: the result, and the part of a chord. Both may be written twice."""
        return self._patiently(super().mark_as_done, *args, **options)

    def mark_as_failure(self, *args: Any, **options: Any) -> Any:
        """Celery's: the error, the part of a chord, and the errbacks."""
        return self._patiently(super().mark_as_failure, *args, **options)

    def _patiently(self, write: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if not current_task:
            return write(*args, **options)
        return retry_over_time(write, self.connection_errors, args, options, **_PATIENCE)
