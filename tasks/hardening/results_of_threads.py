"""Celery's pool of threads handles a task's end in the thread that ran it, and drops a task that raises SystemExit.

What fails without it: the event loop does not read the next message before its poll ends, up to a second later, as no thread
wakes it after an acknowledgement; and kombu's channel, which knows no threads, is used by several at once. A task that raises
SystemExit is never acknowledged and holds its slot for ever. Shown on Celery's own pool by
tests/hardening/test_threads.py::test_the_end_of_a_task_is_handled_in_the_event_loop.
Upstream: https://github.com/celery/celery/issues/6941 (slow execution with `-P threads`, open).
Delete when: Celery calls the callbacks of its pool of threads in the worker's event loop, and reports every BaseException.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from celery.concurrency.thread import TaskPool
from celery.exceptions import WorkerLostError

log = structlog.get_logger("marketfetch.worker")


class ResultsOfThreads(TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Hands what Celery does at the start and the end of a task to the worker's event loop, as the prefork pool does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hub: Any = None
        self._events: deque[Callable[[], Any]] = deque()
        self._without_loop = threading.RLock()

    def register_with_event_loop(self, hub: Any) -> None:
        """Celery's, called at the start and after each reconnect."""
        self._hub = hub

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
        self.executor.submit(
            self._run, partial(target, *(args or ()), **(kwargs or {})), callback, accept_callback, error_callback
        )

    def on_stop(self) -> None:
        super().on_stop()
        self._handle_events()

    def _run(
        self,
        task: Callable[[], Any],
        callback: Callable[..., Any] | None,
        accept_callback: Callable[..., Any] | None,
        error_callback: Callable[..., Any] | None,
    ) -> None:
        if accept_callback:
            self._hand_over(partial(accept_callback, os.getpid(), time.monotonic()))
        try:
            result = task()
        except BaseException as error:
            # In a child process this would have ended the child.
            lost = _lost(error)
            if error_callback:
                self._hand_over(partial(error_callback, lost))
        else:
            if callback:
                self._hand_over(partial(callback, result))

    def _hand_over(self, event: Callable[[], Any]) -> None:
        self._events.append(event)
        if self._hub is None:
            with self._without_loop:
                self._handle_events()
        else:
            self._hub.call_soon(self._handle_events)

    def _handle_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            try:
                event()
            except Exception:
                # As Celery's prefork pool does: the worker goes on with the next one.
                log.exception("the end of a task was not handled", next_step="its message is redelivered")


def _lost(error: BaseException) -> ExceptionInfo:
    """The exception as Celery reports a lost child."""
    try:
        raise WorkerLostError(repr(error)) from error
    except WorkerLostError:
        return ExceptionInfo()
