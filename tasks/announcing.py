"""Announces the end of a job to its waiters: sends a callback that was stored with the job, ends a task that stands for it.

The process that stores a job's last request looks at once; the sweeper looks at every sweep, for jobs that were cancelled,
or over when they were submitted, and after a crash. Neither is inside the transaction that stores. A waiter is claimed, then
notified, then deleted: a crash in between has it notified again, so a callback comes at least once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.jobs.job_ends import JobEnd, end_of
from marketfetch.settings import get_settings
from marketfetch.storage.store import JobWaiter, Store, StoreError, StoreUnavailable

from .app import app
from .sending.recorded_tasks import STANDS
from .whole_jobs import end_task, give_up

log = structlog.get_logger("marketfetch.announcing")

#: Another process may notify a claimed waiter after `timings.held_again`, doubled with each try up to this.
_AGAIN_AT_MOST_MS: Final = 900_000
#: A callback that raises this often can't be sent, such as one whose signature Celery does not understand.
_MOST_TRIES: Final = 10
_AT_ONCE: Final = 500
#: The look at a job of this many seconds is not repeated by this process for four times as long.
_EXPENSIVE_S: Final = 0.05
_MOST_REMEMBERED: Final = 1_000

#: When this process may look again at a large job, on the monotonic clock.
_next_look: Final[dict[str, float]] = {}


def after_storing(provider: str, roots: Sequence[str]) -> None:
    """Notifies the waiters of the jobs whose last request is among these, which are stored. Leaves errors to the sweeper."""
    with _left_to_the_sweeper():
        store = connections.store()
        for job_id in store.awaited_jobs(roots):
            # Most requests are not the last one: the gate knows that without a look at the job's list.
            if not connections.gate(provider).in_lane(job_id) and _is_over(store, job_id):
                _announce(job_id)


def announce_now(job_id: str) -> None:
    """Notifies the waiters of one job, if it has ended. Leaves errors to the sweeper."""
    with _left_to_the_sweeper():
        _announce(job_id)


@contextmanager
def _left_to_the_sweeper() -> Iterator[None]:
    try:
        yield
    except (StoreError, RedisError, OperationalError) as error:
        log.info("end of a job not announced", error=str(error), next_step="the sweeper announces it")
    except Exception:
        log.exception("end of a job not announced", next_step="the sweeper announces it")


def _is_over(store: Store, job_id: str) -> bool:
    began = time.monotonic()
    if began < _next_look.get(job_id, 0.0):
        return False
    over = store.is_over(job_id)
    took_s = time.monotonic() - began
    if took_s > _EXPENSIVE_S and not over:
        if len(_next_look) >= _MOST_REMEMBERED:
            _next_look.clear()
        _next_look[job_id] = began + 5 * took_s
    return over


def _announce(job_id: str) -> None:
    store = connections.store()
    for waiter in store.waiters(job_id):
        _notified(store, waiter)


def announce_due() -> int:
    """Notifies the waiters of every job that has ended; returns how many. Raises StoreError, RedisError, OperationalError."""
    store = connections.store()
    return sum(_notified(store, waiter) for waiter in store.due_waiters(now_ms=_now_ms(), limit=_AT_ONCE))


def _notified(store: Store, waiter: JobWaiter) -> bool:
    """Notifies a waiter, unless its job goes on or another process is at it."""
    job = store.job(waiter.job_id)
    end = end_of(store, job) if job else None
    if waiter.gives_up_at_ms is not None and waiter.gives_up_at_ms <= _now_ms() and (end is None or end.outcome == "cancelled"):
        end = None
    elif end is None:
        return False
    again_ms = min(int(get_settings().timings.held_again * 1000) << min(waiter.tries, _MOST_TRIES), _AGAIN_AT_MOST_MS)
    now_ms = _now_ms()
    if not store.claim_waiter(waiter, now_ms=now_ms, until_ms=now_ms + again_ms):
        return False
    try:
        over = notify(store, waiter, end)
    except (RedisError, OperationalError, StoreUnavailable):
        raise
    except Exception as error:
        _failed(store, waiter, error)
        return False
    if over:
        store.forget_waiter(waiter.job_id, waiter.name)
    return True


def notify(store: Store, waiter: JobWaiter, end: JobEnd | None) -> bool:
    """Sends the callback, or ends the task; `end` None: its time is over. False where a worker deletes the waiter."""
    if waiter.name.startswith(STANDS):
        if end is not None:
            return end_task(store, waiter, end)
        give_up(waiter)
    elif end is not None:
        _call_back(waiter, end)
    return True


def _call_back(waiter: JobWaiter, end: JobEnd) -> None:
    """Sends a callback. Its task has the same id each time that it is sent, so that an effect can be keyed by it."""
    signature = app.signature(json.loads(waiter.message))
    options: dict[str, Any] = {}
    if not signature.get("subtask_type"):
        own = uuid5(NAMESPACE_OID, f"marketfetch:{waiter.job_id}:{waiter.name}")
        options = {"task_id": signature.options.get("task_id") or str(own), "add_to_parent": False}
    signature.apply_async((end.model_dump(mode="json"),), **options)
    log.info("end of the job announced", job=end.job, outcome=end.outcome, callback=signature.task)


def _failed(store: Store, waiter: JobWaiter, error: Exception) -> None:
    log.exception("waiter of a job was not notified", job=waiter.job_id, waiter=waiter.name, times=waiter.tries + 1)
    if waiter.tries + 1 >= _MOST_TRIES and not waiter.name.startswith(STANDS):
        log.error("callback of a job is given up", job=waiter.job_id, callback=waiter.message[:300], error=str(error))
        store.forget_waiter(waiter.job_id, waiter.name)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
