"""The class of the fetch tasks: wrong arguments, and ways around the gate, are refused where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from celery import Task

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import plan_of_task

from .parking import FETCH_PREFIX, in_a_task


class CheckedTask(Task):  # type: ignore[misc]  # Celery is untyped
    """A task whose `delay` and `apply_async` raise BadRequestError; the sender checks what comes without them."""

    abstract = True
    #: The worker's side of such a message.
    Request = f"{__package__.rpartition('.')[0]}.worker.fetch_request:FetchRequest"
    #: Celery's own check knows only the names in a signature, and raises a TypeError.
    typing = False

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Celery's, with the arguments checked. Raises BadRequestError, also where Celery would run the task here."""
        if self.app.conf.task_always_eager:
            refuse_here(self, _eager(self))
        # Outside of a task the sender checks. Inside, `parent_id` marks what Celery itself sends: links, and own retries.
        if in_a_task() and "parent_id" not in options:
            plan_of_task(self.name.removeprefix(FETCH_PREFIX), args or (), kwargs or {}, task_id="", at=_runs_at(options))
        return super().apply_async(args, kwargs, *more, **options)

    def apply(self, *_: Any, **__: Any) -> NoReturn:
        """Celery's runs the task in this process. Raises BadRequestError."""
        refuse_here(self, _eager(self) if self.app.conf.task_always_eager else "apply() runs it in this process")

    def map(self, *_: Any) -> NoReturn:
        """Celery's makes all calls in one task. Raises BadRequestError."""
        _refuse_many(self, "map")

    def starmap(self, *_: Any) -> NoReturn:
        """Celery's makes all calls in one task. Raises BadRequestError."""
        _refuse_many(self, "starmap")

    def chunks(self, *_: Any) -> NoReturn:
        """Celery's makes the calls of a chunk in one task. Raises BadRequestError."""
        _refuse_many(self, "chunks")


def refuse_here(task: Task, why: str) -> NoReturn:
    """Raises BadRequestError for a task that runs without a grant: its call would be outside of every limit."""
    vendor = task.name.removeprefix(FETCH_PREFIX)
    raise BadRequestError(
        f"{task.name} runs in workers only, where every call has a place in the limits of its key, and {why}: nothing was "
        f"fetched. Send it, such as {vendor}.delay('AAPL', start='2024-01-02', end='2024-01-31'). In tests the fixture "
        f"`marketfetch_sandbox` takes the place of workers and vendors (docs/testing.md)."
    )


def _eager(task: Task) -> str:
    return f"task_always_eager is set on the Celery app {task.app.main!r}, which runs a task in the process that sends it"


def _refuse_many(task: Task, name: str) -> NoReturn:
    vendor = task.name.removeprefix(FETCH_PREFIX)
    raise BadRequestError(
        f"{name}() makes many calls in one task, and {task.name} makes one, with a place of its own in the limits of its key: "
        f"nothing was sent. Send a group, such as group({vendor}.s(one, start='2024-01-02', end='2024-01-31') for one in "
        f"symbols), or submit a job for all symbols: marketfetch.submit({vendor!r}, symbols, ...)."
    )


def _runs_at(options: Mapping[str, Any]) -> datetime | None:
    """When a task with these options may run; None for now, and for what Celery itself will refuse."""
    eta, countdown = options.get("eta"), options.get("countdown")
    if isinstance(countdown, int | float):
        return datetime.now(UTC) + timedelta(seconds=countdown)
    return eta if isinstance(eta, datetime) else None
