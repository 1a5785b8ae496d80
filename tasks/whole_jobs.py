"""The end of a task that stands for a job (sending/recorded_tasks.py): its result, and what follows it.

done        the task's message is published: a worker returns the end of the job, and Celery goes on with links, chain and chord
failed      FAILURE, with a sentence that names the job; errbacks and chord are called from the message
cancelled   REVOKED, in the same way; also a task that was revoked or has expired, whose job is then cancelled
time limit  FAILURE with Celery's own exception, and the job is cancelled

The row of the waiter goes last, so each of these is done again after a crash.
"""

from __future__ import annotations

from typing import Any, Final

import structlog
from celery import Task, states
from celery.app.task import Context
from celery.exceptions import Ignore, SoftTimeLimitExceeded, TimeLimitExceeded
from celery.signals import task_postrun
from kombu.utils.json import loads

from marketfetch import connections
from marketfetch.jobs import steering
from marketfetch.jobs.job_ends import JobEnd
from marketfetch.storage.store import JobWaiter, Store, StoreError

from .app import app
from .reference import failure, reference
from .sending.parking import FETCH_PREFIX, GRANT_HEADER
from .sending.recorded_tasks import STANDS, own_limits_s, waiting_task
from .sending.revoke import mark_revoked

log = structlog.get_logger("marketfetch.announcing")

#: In the header of a task's message: the end of its job. Such a message asks for no call.
JOB: Final = "job"


def end_task(store: Store, waiter: JobWaiter, end: JobEnd) -> bool:
    """Ends the task of a job that is over. False if a worker has to end it: then the waiter stays until it has.

    Raises StoreError, RedisError, kombu's OperationalError.
    """
    message = loads(waiter.message)
    if end.outcome == "done":
        _publish(message, end)
        return False
    if end.outcome == "cancelled":
        mark_revoked(app, message, reason=f"job {end.job} was cancelled: `marketfetch status {end.job}`")
    else:
        _fail(message, _failure(store, end, symbol=_symbol(message)))
    return True


def give_up(waiter: JobWaiter) -> None:
    """Ends a task whose time is over before its job is, and cancels the job. Raises MarketfetchError, RedisError."""
    message = loads(waiter.message)
    steering.cancel(waiter.job_id)
    hard, soft = own_limits_s(message["headers"], app.conf.task_time_limit)
    if message["headers"].get("expires") and not (hard or soft):
        mark_revoked(app, message, reason=f"expired before job {waiter.job_id} was over, which is cancelled")
        return
    kind = SoftTimeLimitExceeded if soft and not (hard and hard < soft) else TimeLimitExceeded
    _fail(message, kind(soft if kind is SoftTimeLimitExceeded else hard))


def _publish(message: dict[str, Any], end: JobEnd) -> None:
    headers = message["headers"]
    grant = {"id": f"{STANDS}{headers['id']}", "fence": -1, JOB: end.model_dump(mode="json")}
    with app.producer_or_acquire() as producer:
        producer.publish(
            message["body"],
            exchange="",
            routing_key=f"fetch.{headers['task'].removeprefix(FETCH_PREFIX)}",
            headers={**headers, "eta": None, "expires": None, "timelimit": [None, None], GRANT_HEADER: grant},
            serializer="json",
            delivery_mode=2,
            **message["properties"],
        )


def _fail(message: dict[str, Any], error: Exception) -> None:
    embed = message["body"][2]
    followers = {name: embed.get(name) for name in ("chord", "errbacks", "chain")}
    request = Context({**message["headers"], **followers, "delivery_info": {}})
    ignored = message["headers"].get("ignore_result")
    app.backend.mark_as_failure(message["headers"]["id"], error, request=request, store_result=not ignored)


def _failure(store: Store, end: JobEnd, *, symbol: str) -> Exception:
    """The error of the class of the first failure."""
    first = next((row.reason for row in store.failures(end.job, 1)), "")
    sentence = (
        f"{symbol}: {end.counts.failed:,} of {end.counts.total:,} requests of job {end.job} failed, the first with: {first} "
        f"The others are stored. `marketfetch status {end.job}` lists the failures, `marketfetch retry {end.job}` repeats them."
    )
    return type(failure(first, symbol=symbol))(sentence)


def returned(task: Task, provider: str, symbol: str, end: dict[str, Any]) -> dict[str, Any]:
    """What the task of a job that is done returns: the end of the job, and the fields of a reference for what follows.

    Raises Ignore where another copy of the message has ended the task, or it was revoked meanwhile.
    """
    try:
        if waiting_task(task.request.id) is None:
            raise Ignore
    except StoreError as error:
        log.info("end of a task not written", task_id=task.request.id, error=str(error), next_step="the sweeper sends it again")
        raise Ignore from None
    counts = end["counts"]
    ref = reference(provider, symbol, end[JOB], outcome=end["outcome"], rows=counts["rows"], rejects=counts["rejects"])
    return {**ref, **end}


@task_postrun.connect
def _forget(sender: Any = None, task_id: str = "", state: str | None = None, **_: Any) -> None:
    """Deletes the waiter once Celery has written the result and sent what follows."""
    name = getattr(sender, "name", "")
    grant = sender.request.get(GRANT_HEADER) if name.startswith(FETCH_PREFIX) else None
    if not isinstance(grant, dict) or JOB not in grant or state not in (states.SUCCESS, states.FAILURE):
        return
    try:
        connections.store().forget_waiter(grant[JOB][JOB], f"{STANDS}{task_id}")
    except StoreError as error:
        log.info("end of a task not noted", task_id=task_id, error=str(error), next_step="the sweeper sends it once more")


def _symbol(message: dict[str, Any]) -> str:
    args, kwargs, _ = message["body"]
    return str(args[0] if args else kwargs.get("symbol"))
