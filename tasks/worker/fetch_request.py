"""A fetch message in the worker's main process: a child that dies or is killed before its call counts as a raised delivery.

Without it such a message returns to its queue and the next child takes it, for ever, while the gate publishes another one
after each deadline. After `start` the lease owns the call, and `admit` counts the crashes.
"""

from __future__ import annotations

from typing import Any

import structlog
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import connections

from .. import deliveries
from ..deliveries import End
from ..sending.parking import FETCH_PREFIX, GRANT_HEADER

log = structlog.get_logger("marketfetch.worker")


class FetchRequest(Request):  # type: ignore[misc]  # Celery is untyped
    """Celery's request of a fetch task, which reports to the gate what no child can report."""

    _end: End | None = None

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Celery's. `return_ok`: the child itself has reported the exception, so it lives."""
        error = exc_info.exception
        error = getattr(error, "exc", error)  # billiard wraps what it hands on
        if not return_ok and not isinstance(error, Terminated):
            if isinstance(error, TimeLimitExceeded):
                reason = f"its task was killed by its time limit of {error.args[0]:g} s"
            else:
                reason = f"its task ended its child process ({deliveries.why(error)})"
            self._report(reason, recorded=not _is_lost(error))
            if self._end and self._end.over and _is_lost(error):
                # Celery expects another delivery, and would leave the task as STARTED.
                self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def reject(self, requeue: bool = False) -> None:
        """Celery's. A message that was reported is not returned to its queue: the gate publishes a new one."""
        super().reject(requeue=requeue and self._end is None)

    def _report(self, reason: str, *, recorded: bool) -> None:
        """`recorded`: the failure is the task's result already, and its errbacks are called."""
        grant = self.request_dict.get(GRANT_HEADER)
        # A worker that stops ends its children itself, and a child that had not taken the message has not died of it.
        # The end of a job is sent again by the sweeper.
        if not isinstance(grant, dict) or "job" in grant or self.time_start is None or _worker_stops():
            return
        gate = connections.gate(self.task.name.removeprefix(FETCH_PREFIX))
        most = 1 if recorded and "user" in grant else deliveries.MOST_RAISED
        try:
            found = deliveries.end(gate, grant["id"], fence=grant["fence"], reason=reason, most=most)
        except (RedisError, OperationalError) as error:
            log.warning("Redis is away", request=grant["id"], error=str(error), next_step="redelivered after its deadline")
            return
        if found.verdict in ("again", "failed", "lost") or found.over:
            self._end = found
        if found.verdict in ("again", "failed"):
            log.warning("fetch failed around its call", pool=gate.pool, request=grant["id"], error=reason, times=found.times)


def _worker_stops() -> bool:
    # Celery sets an exit code, which may be 0.
    return any(one is not None and one is not False for one in (state.should_stop, state.should_terminate))


def _is_lost(error: Any) -> bool:
    return isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt)
