"""A cold shutdown raises in the middle of a task where the pool can't end one, and threads keep the process alive.

What fails without it: on SIGTERM (remapped to SIGQUIT) Celery ends each running task by `terminate_job`, which the pools
`threads` and `solo` answer with NotImplementedError, raised in a signal handler: the worker logs an unrecoverable error, and in
a solo worker the running task gets it. Python then waits for the threads, up to the time of the longest call. Shown on
Celery's own pools by tests/hardening/test_threads.py::test_a_pool_that_can_end_no_task_says_so_without_an_error.
Upstream: https://github.com/celery/celery/issues/10490 (no terminate_job for the threads pool, open).
Delete when: Celery ends a worker with running threads, as it does a worker with running children.
Private API: `_threads`, which Celery's pool counts for `celery inspect stats`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from celery.concurrency import solo, thread
from celery.worker import state

_LOOK_AGAIN_S: Final = 0.05


class _Unending:
    """What `terminate_job` promises cannot be done in this process: the task runs on, and its lease ends it for the gate."""

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Celery's."""


class SoloWithoutAnEnd(_Unending, solo.TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Celery's solo pool, which a cold shutdown does not interrupt."""


class ThreadsWithoutAnEnd(_Unending, thread.TaskPool):  # type: ignore[misc]  # Celery is untyped
    """Celery's pool of threads, whose threads end with the process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executor = _Threads(self.limit)

    def on_stop(self) -> None:
        """A warm shutdown waits for running tasks; a cold one has waited before it stops the pool."""
        self.executor.shutdown(cancel_futures=True)

    def on_terminate(self) -> None:
        self.executor.forget()


class _Threads:
    """As many daemon threads as tasks may run at once; each is started when it is needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._todo: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[..., None], *args: Any) -> None:
        with self._lock:
            self._open += 1
            if len(self._threads) < min(self._open, self._count):
                number = len(self._threads) + 1
                self._threads.append(threading.Thread(target=self._work, name=f"thread-{number}", daemon=True))
                self._threads[-1].start()
        self._todo.put(partial(call, *args))

    def forget(self) -> None:
        """Drops the calls that no thread has begun."""
        with suppress(Empty):
            while True:
                self._todo.get_nowait()
                with self._lock:
                    self._open -= 1

    def shutdown(self, *, cancel_futures: bool) -> None:
        """Waits for the calls that run, unless the worker ends now. The name is that of Python's executors."""
        if cancel_futures:
            self.forget()
        pause = threading.Event()
        while self._open > 0 and state.should_terminate in (None, False):
            pause.wait(_LOOK_AGAIN_S)

    def _work(self) -> None:
        while True:
            call = self._todo.get()
            try:
                call()
            finally:
                with self._lock:
                    self._open -= 1
