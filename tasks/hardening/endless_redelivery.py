"""A task that ends its child process each time it runs is returned to its queue for ever.

What fails without it: with `task_reject_on_worker_lost`, which a killed child needs, Celery counts nothing. A user's task that
needs too much memory, or crashes in a library, ends one child after another, some ten a second, and never fails. Shown on
Celery's own request by tests/hardening/test_endless_redelivery.py::test_celery_returns_a_task_that_ends_its_child_for_ever.
Upstream: https://github.com/celery/celery/issues/9082 (open).
Delete when: Celery has a maximum of redeliveries after a lost worker.
Private API: a message's `_raw`, where kombu keeps the envelope.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import structlog
from billiard.exceptions import WorkerLostError
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.utils.json import dumps
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.ops import dead_letters
from marketfetch.redis_keys import named

from ..sending.parking import FETCH_PREFIX

log = structlog.get_logger("marketfetch.worker")

#: So often a task may end its child; as often as a request of ours may.
_MOST: Final = 3
_COUNTED: Final = "mf:crashes:"
_REMEMBERED_S: Final = 86_400
#: Tasks of ours: the gate counts what their requests and batches crash. Celery's own crash nothing.
_COUNTED_ELSEWHERE: Final = (FETCH_PREFIX, "tasks.store.", "celery.")


class CountedRequest(Request):  # type: ignore[misc]  # Celery is untyped
    """Celery's request of a user's task; the third child that it ends is the last one."""

    _why = ""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Celery's."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard wraps what it hands on
        # A worker that stops ends its children itself, and a child that had not taken the message has not died of it.
        stops = any(one is not None and one is not False for one in (state.should_stop, state.should_terminate))
        if isinstance(error, WorkerLostError | SystemExit) and self.time_start is not None and not stops:
            with suppress(RedisError):  # it is returned to its queue, and counts from the next time on
                times = _count(self.id)
                self._why = f"its task has ended {times} child processes ({error})" if times >= _MOST else ""
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def reject(self, requeue: bool = False) -> None:
        """Celery's. After the third child the message is in the dead-letter list, and the task has failed."""
        if not (requeue and self._why):
            super().reject(requeue=requeue)
            return
        message, raw = self.message, dumps(self.message._raw).encode()  # noqa: SLF001
        list_key = getattr(message, "list_key", "") or str(message.delivery_info.get("routing_key"))
        number = dead_letters.bury(list_key=list_key, reason=self._why, raw=raw, size=len(raw), task=self.name, task_id=self.id)
        super().reject(requeue=False)
        log.error(
            "a task ends its child processes", task=self.name, task_id=self.id, next_step=f"marketfetch dead show {number}"
        )
        failure = WorkerLostError(f"{self._why}. Its message is kept: `marketfetch dead`.")
        self.task.backend.mark_as_failure(self.id, failure, request=self._context, store_result=self.store_errors)


class EndlessRedelivery(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Gives the tasks of a user the request above, unless they have one of their own."""

    def update_strategies(self) -> None:
        for name, task in self.app.tasks.items():
            if task.Request == "celery.worker.request:Request" and not name.startswith(_COUNTED_ELSEWHERE):
                task.Request = CountedRequest
        super().update_strategies()


def _count(task_id: str) -> int:
    redis = connections.redis()
    key = named(redis, f"{_COUNTED}{task_id}")
    with redis.pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, _REMEMBERED_S)
        return int(pipe.execute()[0])
