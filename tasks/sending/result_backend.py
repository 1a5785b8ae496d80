"""Where results are written and read: Celery's Redis backend, with its faults worked around.

`app.loader.override_backends` names it, so it serves senders, workers and apps that wait for results.
"""

from __future__ import annotations

from typing import Any

from celery.backends.redis import SentinelBackend

from ..hardening.refused_writes import RefusalsAsConnectionErrors
from ..hardening.result_consumer_reconnect import ResultConsumerReconnect
from ..hardening.result_exception_names import ResultExceptionNames
from ..hardening.results_in_an_outage import ResultsInAnOutage


class HardenedBackend(ResultExceptionNames, ResultsInAnOutage, ResultConsumerReconnect):
    """Waits for Redis in a task, reconnects, writes stable names of exceptions, and tries a refused write again."""

    def store_first(self, task_id: str, result: Any, state: str) -> None:
        """Writes a state that is mostly the task's first, in one round trip: Celery's own write reads the state before it.

        Where there is one, as of a task that is sent again under its id, Celery's write decides.
        """
        told = self._get_result_meta(result=self.encode_result(result, state), state=state, traceback=None, request=None)
        key, value = self.get_key_for_task(task_id), self.encode({**told, "task_id": task_id})

        def write() -> bool:
            with self.client.pipeline() as pipe:
                pipe.set(key, value, nx=True, ex=self.expires or None)
                pipe.publish(key, value)
                return bool(pipe.execute()[0])

        if not self.ensure(write, ()):
            self.store_result(task_id, result, state)

    def _get_client(self) -> Any:
        return RefusalsAsConnectionErrors


class HardenedSentinelBackend(HardenedBackend, SentinelBackend):  # type: ignore[misc]  # Celery is untyped
    """The same for a server that Sentinel names."""
