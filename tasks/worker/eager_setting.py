"""A worker refuses `task_always_eager`: with it a retry would run inside the task that asks for it, outside of every limit.

The setting belongs to tests. An app that sets it for its own tasks, on its own Celery app, is not concerned.
"""

from __future__ import annotations

from typing import Any

import click
from celery import bootsteps


class EagerWorker(click.ClickException):
    """The worker's app has `task_always_eager`; `celery worker` prints the sentence and exits with 1."""


class NoEagerWorker(bootsteps.Step):  # type: ignore[misc]  # Celery is untyped
    """Looks before the worker starts anything: Celery makes every step before it starts any."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        if worker.app.conf.task_always_eager:
            raise EagerWorker(
                "task_always_eager is set on marketfetch's app, so its tasks would run where they are sent and not in this "
                "worker. Set it on the app of your own tasks, or remove it; docs/testing.md says how to test without workers."
            )
        super().__init__(worker, **kwargs)
