"""No lock is inherited by a forked child: a fork waits until the releaser's thread is at rest.

The pool forks a new child whenever one has died, in the main thread, while the releaser works in another. Whatever lock that
holds then (of a module being imported, of Celery's cached properties, of the log's stream) stays locked in the child for ever,
since the thread that would open it does not exist there.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Self

#: A fork waits no longer: a thread that works for longer than this hangs on the network, where it holds no shared lock.
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


#: One for the process: what its threads do in it is done before it forks.
at_work = ForkGuard()
