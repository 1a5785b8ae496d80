"""The class of the fetch tasks: wrong arguments are refused where they are written, with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Task

from marketfetch.jobs.planning import of_task

from .parking import FETCH_PREFIX, in_a_task


class CheckedTask(Task):  # type: ignore[misc]  # Celery is untyped
    """A task whose `delay` and `apply_async` raise BadRequestError; the sender checks what comes without them."""

    abstract = True
    #: The worker's side of such a message.
    Request = f"{__package__.rpartition('.')[0]}.worker.fetch_request:FetchRequest"
    #: Celery's own check knows only the names in a signature, and raises a TypeError.
    typing = False

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Celery's, with the arguments checked. Raises BadRequestError."""
        # Outside of a task the sender checks. Inside, `parent_id` marks what Celery itself sends: links, and own retries.
        if in_a_task() and "parent_id" not in options:
            of_task(self.name.removeprefix(FETCH_PREFIX), args or (), kwargs or {}, task_id="", at=_runs_at(options))
        return super().apply_async(args, kwargs, *more, **options)


def _runs_at(options: Mapping[str, Any]) -> datetime | None:
    """When a task with these options may run; None for now, and for what Celery itself will refuse."""
    eta, countdown = options.get("eta"), options.get("countdown")
    if isinstance(countdown, int | float):
        return datetime.now(UTC) + timedelta(seconds=countdown)
    return eta if isinstance(eta, datetime) else None
