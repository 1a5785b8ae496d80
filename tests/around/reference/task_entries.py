"""Every task that another app may send by name, from the Celery app itself."""

from __future__ import annotations

import inspect

import tasks.fetch
import tasks.job_tasks
import tasks.schedule_tasks
import tasks.store  # noqa: F401 (each registers its tasks)
from tasks.app import app
from tests.around.reference.entry import Entry, sections

INTRO = """
Tasks have names, so that an app can send them without our package: `app.send_task("marketfetch.submit", kwargs={...})`. How it
is done, with routes and queues: [beside your own Celery project](../celery.md).
"""


def task_names() -> list[Entry]:
    """The tasks of ours, by name. A process of tests may have tasks of users too."""
    ours = sorted(name for name in app.tasks if name.startswith(("marketfetch.", "tasks.")))
    return [Entry(name, inspect.getdoc(app.tasks[name]) or "") for name in ours]


def page() -> str:
    return sections("Tasks", INTRO, task_names())
