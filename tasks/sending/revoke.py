"""Revoke reaches parked tasks: the task leaves the lane, is marked REVOKED, and its chord and errbacks are called.

Celery's own revoke only reaches messages that a worker receives, and a parked task has none yet. This is the sender's side,
which needs no worker; `hardening/revoke_of_parked_tasks.py` is the worker's command, for apps that revoke without our code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from celery.app.control import Control
from celery.app.task import Context
from kombu.utils.json import loads

from marketfetch import connections, vendors
from marketfetch.jobs import steering
from marketfetch.storage.store import StoreError

from .parking import USER_TASK
from .recorded_tasks import waiting_task

log = logging.getLogger("marketfetch.sending")


class ParkingControl(Control):  # type: ignore[misc]  # Celery is untyped
    """Celery's remote control, whose revoke withdraws parked tasks itself before it informs the workers."""

    def revoke(self, task_id: str | Iterable[str], *args: Any, **options: Any) -> Any:
        """As Celery's: one id or several. Raises RedisError when Redis is away."""
        for one in [task_id] if isinstance(task_id, str) else list(task_id):
            withdraw(self.app, one)
        return super().revoke(task_id, *args, **options)


def withdraw(app: Any, task_id: str) -> bool:
    """Removes the parked tasks with this id from the lane. False if none is parked: then only Celery's own revoke applies."""
    withdrawn = False
    for provider in vendors.names():
        gate = connections.gate(provider)
        for name, request_id in gate.requests_of(task_id).items():
            (left,) = gate.withdraw([request_id], who=f"{USER_TASK}{name}")
            if left.what in ("gone", "left"):
                mark_revoked(app, loads(left.message), reason="revoked")
                gate.settle(f"{USER_TASK}{name}")
                withdrawn = True
    return _revoke_job(app, task_id) or withdrawn


def _revoke_job(app: Any, task_id: str) -> bool:
    """Revokes a task that stands for a job, and cancels the job: requests that others wait for go on. False for any other task.

    Raises MarketfetchError, StoreError, RedisError: the job is cancelled then, or the task must be revoked again.
    """
    try:
        waiter = waiting_task(task_id)
    except StoreError as error:
        # An app that sends only has no database; the workers do the same for their part.
        log.info("no job looked up for the revoked task %s: %s", task_id, error)
        return False
    if waiter is None:
        return False
    steering.cancel(waiter.job_id)
    mark_revoked(app, loads(waiter.message), reason=f"revoked; its job {waiter.job_id} is cancelled")
    connections.store().forget_waiter(waiter.job_id, waiter.name)
    return True


def mark_revoked(app: Any, message: dict[str, Any], *, reason: str) -> None:
    """Writes REVOKED as the result, and calls the chord and errbacks, which are in the message as it was sent."""
    embed = message["body"][2]
    request = Context({**message["headers"], **{name: embed.get(name) for name in ("chord", "errbacks", "chain")}})
    app.backend.mark_as_revoked(message["headers"]["id"], reason=reason, request=request, store_result=True)
