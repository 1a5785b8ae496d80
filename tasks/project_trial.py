"""`python -m marketfetch.tasks.project_trial`: imports what `include` and `app` name, and prints what it finds as JSON.

A process of its own, as the code is the user's: it may end its process, print, or never come to an end.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from celery.signals import import_modules

from marketfetch.settings import get_settings

from .app import app, import_included
from .included_modules import UnimportableModule, load, load_app

#: Level, subject and sentence, as `marketfetch check` shows them.
Found = tuple[str, str, str]


def findings() -> Iterator[Found]:
    """What a worker would meet. Modules before the app: ours must not be finalized by then, as in a worker."""
    settings = get_settings()
    import_modules.disconnect(import_included)
    for _, raised in import_modules.send(sender=app):  # as a worker does first: Celery sets up Django, where that is named
        if isinstance(raised, Exception):
            yield "error", "include", f"What comes before the modules fails: {type(raised).__name__}: {raised}."
    loaded = []
    for name in settings.include:
        try:
            load(name)
            loaded.append(name)
        except UnimportableModule as error:
            yield "error", "include", f"{error.message}."
    theirs = None
    if settings.app:
        try:
            theirs = load_app(settings.app)
        except UnimportableModule as error:
            yield "error", "app", f"{error.message}."
    for name in loaded:
        yield _of_tasks(name)
    if theirs is not None:
        yield _of_app(settings.app, theirs)


def _of_tasks(module: str) -> Found:
    tasks = sorted(name for name, task in app.tasks.items() if f"{task.__module__}.".startswith(f"{module}."))
    if not tasks:
        return "warning", "include", f"{module} brings no task that our workers could run: none has @shared_task or @app.task."
    shown = ", ".join(tasks[:5]) + (f" and {len(tasks) - 5} more" if len(tasks) > 5 else "")
    return "ok", "include", f"Our workers run the tasks of {module}: {shown}."


def _of_app(name: str, theirs: Any) -> Found:
    queue = theirs.conf.task_default_queue
    if _place(theirs) == _place(app) and queue in app.amqp.queues:
        sentence = (
            f"{name} has the default queue {queue} in the Redis of marketfetch's workers, so its worker discards messages for "
            f"ours that it takes from there. Give that app a queue of its own (task_default_queue): docs/celery.md."
        )
        return "warning", "app", sentence
    return "ok", "app", f"`marketfetch up` runs a worker of {name} beside ours; its default queue is {queue}."


def _place(one: Any) -> tuple[Any, ...]:
    """Where an app's queues are. Connects to nothing."""
    info = one.connection_for_read().info()
    database = str(info["virtual_host"]).strip("/") or "0"
    prefix = one.conf.broker_transport_options.get("global_keyprefix", "")
    return info["transport"], info["hostname"] or "localhost", info["port"] or 6379, database, prefix


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps([*findings()])}\n")
