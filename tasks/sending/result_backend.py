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

    def _get_client(self) -> Any:
        return RefusalsAsConnectionErrors


class HardenedSentinelBackend(HardenedBackend, SentinelBackend):  # type: ignore[misc]  # Celery is untyped
    """The same for a server that Sentinel names."""
