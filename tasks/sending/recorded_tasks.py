"""A task whose range takes more than one call stands for a job: the job is recorded, and the task is who waits for its end.

The job's id is derived from the task's, so a message that comes twice is one job. The message stays in the database, whole:
what follows the task goes on from it (tasks/whole_jobs.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kombu.utils.json import loads

from marketfetch import connections
from marketfetch.exceptions import UnavailableError
from marketfetch.jobs.planning import TaskPlan, make_handle
from marketfetch.jobs.submission import database, id_for, record
from marketfetch.settings import get_settings
from marketfetch.storage.store import JobWaiter, StoreError

#: The names of waiters that are tasks begin so.
STANDS: Final = "task:"


def stand_for(planned: TaskPlan, message: str, *, usual_limit_s: float | None) -> str:
    """Records the job of a task with the task's message; returns the job's id. The second time it changes nothing.

    `usual_limit_s`: the app's `task_time_limit`, which every message has and which is meant for one call.
    Raises UnavailableError: then nothing is recorded, unless the sentence says so.
    """
    headers = loads(message)["headers"]
    job_id = id_for(headers["id"])
    try:
        if database().job(job_id):
            return job_id
    except StoreError as error:
        raise UnavailableError(f"The task was not sent, since its job was not recorded: {error}") from error
    waiter = JobWaiter(job_id, f"{STANDS}{headers['id']}", message, gives_up_at_ms=_gives_up_at_ms(headers, usual_limit_s))
    handle = make_handle(get_settings().owner)
    record(planned.spec, list(planned.requests), job_id=job_id, handle=handle, waiter=waiter)
    return job_id


def waiting_task(task_id: str) -> JobWaiter | None:
    """The waiter of a task that stands for a job that is not over; None for any other task. Raises StoreError."""
    found = connections.ledger().waiters(id_for(task_id))
    return next((one for one in found if one.name == f"{STANDS}{task_id}"), None)


def own_limits_s(headers: Mapping[str, Any], usual_limit_s: float | None) -> tuple[float | None, float | None]:
    """The hard and the soft time limit of a message, None where it has only the app's."""
    hard, soft = (headers.get("timelimit") or (None, None))[:2]
    return None if hard == usual_limit_s else hard, soft


def _gives_up_at_ms(headers: Mapping[str, Any], usual_limit_s: float | None) -> int | None:
    """When the task expires or its time limit ends, whichever is earlier. A time limit begins when the job is recorded."""
    limits = [one for one in own_limits_s(headers, usual_limit_s) if one]
    moments = [time.time_ns() // 1_000_000 + round(min(limits) * 1000)] if limits else []
    if headers.get("expires"):
        expires = datetime.fromisoformat(headers["expires"])
        moments.append(int((expires if expires.tzinfo else expires.replace(tzinfo=UTC)).timestamp() * 1000))
    return min(moments, default=None)
