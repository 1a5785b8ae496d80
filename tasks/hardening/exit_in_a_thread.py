"""Celery's pool of threads loses a task that raises SystemExit: its message is never acknowledged.

What fails without it: the exception is handed to the callback of results, which fails on it in a thread where nothing reads the
error. The task's slot stays taken, and after as many of them as there are slots the worker receives nothing more. Shown on
Celery's own pool by tests/hardening/test_threads.py::test_a_task_that_raises_system_exit_is_reported_as_a_lost_child_is.
Upstream: no upstream issue found.
Delete when: Celery calls the error callback for every BaseException of a task in a thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerLostError


class ExitInAThread(TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Reports a task that raises what would end a process as a lost child is reported."""

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> None:
        """Celery's. It returns no result to wait for, as the worker waits for none."""
        task = partial(target, *(args or ()), **(kwargs or {}))
        self.executor.submit(_run, task, callback, accept_callback, error_callback)


def _run(
    task: Callable[[], Any],
    callback: Callable[..., Any] | None,
    accept_callback: Callable[..., Any] | None,
    error_callback: Callable[..., Any] | None,
) -> None:
    # As Celery does, in this thread: the worker hands acknowledgements to its event loop, and wakes it, by itself.
    if accept_callback:
        accept_callback(os.getpid(), time.monotonic())
    try:
        result = task()
    except BaseException as error:
        if error_callback:
            error_callback(_lost(error))
    else:
        if callback:
            callback(result)


def _lost(error: BaseException) -> ExceptionInfo:
    """The exception as Celery reports a lost child."""
    try:
        raise WorkerLostError(repr(error)) from error
    except WorkerLostError:
        return ExceptionInfo()
