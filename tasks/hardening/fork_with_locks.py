"""A child that is forked while a thread holds a lock inherits it locked for good.

What fails without it: billiard forks a new child in the main thread whenever one has died, while the releaser and the sweeper
work in threads. A lock that such a thread holds at that moment (of a module being imported, of Celery's cached properties, of
the log's stream) stays locked in the child, as the thread that would release it does not exist there: the child hangs at its
first task. Shown with a plain fork by tests/hardening/test_fork.py::test_a_lock_held_by_a_thread_stays_locked_in_a_child.
Upstream: https://github.com/celery/celery/issues/9808 (a worker deadlocks in logging, closed without a general remedy).
Delete when: billiard starts children without forking a process that has threads.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Self

#: A fork waits no longer: a thread that works longer than this waits for the network, where it holds no shared lock.
_LONGEST_S: Final = 1.0


class ForkGuard:
    """A context for work in a thread: a fork of this process waits for its end, for at most a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forking = False
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._begin_anew)

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _before(self) -> None:
        self._forking = self._lock.acquire(timeout=_LONGEST_S)

    def _after(self) -> None:
        if self._forking:
            self._forking = False
            self._lock.release()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._forking = False


#: The guard of the releaser: what its thread does inside is done before this process forks.
at_work = ForkGuard()
