"""Jobs by name, for apps that do not install us: `app.send_task("marketfetch.submit", kwargs={...}).get()` is the job's id.

marketfetch.submit   the arguments of `marketfetch.submit`, dates as texts; on_over: a signature to be sent when the job is over
marketfetch.update   the arguments of `marketfetch.update`: the last sessions of symbols or universes, for a beat of yours
marketfetch.status   job: the document of `marketfetch status JOB --json`
marketfetch.cancel   job: the same document after that

They run on every queue that our workers consume; an app that names no queue sends to `celery`, which is one. Arguments and
results are JSON. A wrong argument or an unknown job is the task's exception, with the sentence; `get` raises it.
"""

from __future__ import annotations

from typing import Any, Final

from celery import Task

from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError
from marketfetch.jobs import job_status, steering
from marketfetch.jobs.submission import submit_for
from marketfetch.jobs.updating import update_for
from marketfetch.storage.store import StoreUnavailable

from . import announcing
from .app import app

#: The wait for a database that is away, in seconds: doubled each time, up to the second value. It has no end: nothing is lost.
_FIRST_WAIT_S: Final = 2
_LONGEST_WAIT_S: Final = 60
#: Planning and recording a million requests takes minutes.
_TIME_LIMIT_S: Final = 600
_SHOWN: Final = 100


@app.task(name="marketfetch.submit", bind=True, throws=(MarketfetchError,), max_retries=None, time_limit=_TIME_LIMIT_S)
def submit(self: Task, *unnamed: Any, **wish: Any) -> str:
    """Records a job; returns its id. The same message is the same job, however often it comes."""
    on_over = wish.pop("on_over", None)
    arguments = _named(unnamed, wish, names=("provider", "symbols"))
    if on_over is not None:
        _refuse_unknown_task(on_over)
    try:
        job_id = submit_for(self.request.id, arguments.pop("provider"), arguments.pop("symbols"), on_over=on_over, **arguments)
    except UnavailableError as error:
        raise _later(self, error) from None
    if on_over is not None:
        announcing.announce_now(job_id)
    return job_id


@app.task(name="marketfetch.update", bind=True, throws=(MarketfetchError,), max_retries=None, time_limit=_TIME_LIMIT_S)
def update(self: Task, *unnamed: Any, **wish: Any) -> str:
    """Records a job for the last sessions of symbols; returns its id. The same message is the same job."""
    on_over = wish.pop("on_over", None)
    arguments = _named(unnamed, wish, names=("provider", "symbols"))
    if on_over is not None:
        _refuse_unknown_task(on_over)
    try:
        job_id = update_for(self.request.id, arguments.pop("provider"), arguments.pop("symbols"), on_over=on_over, **arguments)
    except UnavailableError as error:
        raise _later(self, error) from None
    if on_over is not None:
        announcing.announce_now(job_id)
    return job_id


@app.task(name="marketfetch.status", throws=(MarketfetchError,))
def status(*unnamed: Any, **named: Any) -> dict[str, Any]:
    """The state of a job."""
    found = job_status.status(_job_of(unnamed, named))
    return found.model_dump(mode="json")


@app.task(name="marketfetch.cancel", bind=True, throws=(MarketfetchError,), max_retries=None)
def cancel(self: Task, *unnamed: Any, **named: Any) -> dict[str, Any]:
    """Cancels a job; returns its state after that."""
    job_id = _job_of(unnamed, named)
    try:
        found = steering.cancel(job_id)
    except UnavailableError as error:
        raise _later(self, error) from None
    announcing.announce_now(job_id)
    return found.model_dump(mode="json")


def _later(task: Task, error: UnavailableError) -> Exception:
    """The retry of a task that a database can't serve now; any other error ends it, with its sentence."""
    if not isinstance(error.__cause__, StoreUnavailable):
        return error
    wait_s = min(_FIRST_WAIT_S * 2 ** min(task.request.retries, 10), _LONGEST_WAIT_S)
    retry: Exception = task.retry(exc=error, countdown=wait_s, throw=False)
    return retry


def _named(unnamed: tuple[Any, ...], wish: dict[str, Any], *, names: tuple[str, ...]) -> dict[str, Any]:
    """All arguments by name. Raises BadRequestError, where Celery would bury a message whose arguments do not fit."""
    found = dict(zip(names, unnamed, strict=False)) | wish
    if len(unnamed) > len(names) or set(names[: len(unnamed)]) & set(wish):
        raise BadRequestError(f"{' and '.join(names)} come first, and the rest by name (got {unnamed!r:.{_SHOWN}}).")
    if missing := [name for name in names if name not in found]:
        raise BadRequestError(f"The task needs {' and '.join(missing)}, such as {missing[0]}=...: nothing was done.")
    return found


def _job_of(unnamed: tuple[Any, ...], named: dict[str, Any]) -> str:
    found = _named(unnamed, named, names=("job",))
    if unknown := sorted(set(found) - {"job"}):
        raise BadRequestError(f"{unknown[0]} is no argument of this task, which takes the job's id alone: job='...'.")
    job_id: str = found["job"]
    return job_id


def _refuse_unknown_task(on_over: Any) -> None:
    """Raises BadRequestError for a callback that Celery would send to our own workers, which do not know its task."""
    name = on_over.get("task") if isinstance(on_over, dict) else None
    options = on_over.get("options") if isinstance(on_over, dict) else None
    if not isinstance(name, str) or name in app.tasks or not isinstance(options, dict | None):
        return  # it is known, or refused for its shape when it is recorded
    queue = (options or {}).get("queue") or app.amqp.router.route({}, name)["queue"].name
    if queue in {one.name for one in app.conf.task_queues}:
        raise BadRequestError(
            f"on_over has the task {name[:_SHOWN]!r}, which would go to the queue {queue!r}: marketfetch's workers consume it, "
            f"and know no such task. Name a queue that your workers consume: mine.s(...).set(queue='mine')."
        )
