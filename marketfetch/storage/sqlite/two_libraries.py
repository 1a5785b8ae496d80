"""Two copies of the SQLite library in one process take turns with a file: Python's own, and the one inside the ADBC driver.

They do not know each other's locks. A lock of POSIX belongs to the process, so neither keeps the other out, and when one copy
closes the file, the system drops the locks of both. A reader then sees rows of an earlier moment, and a writer may lose pages.
https://www.sqlite.org/howtocorrupt.html (section 2.2.1)
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet


class HasConnection(Protocol):
    """Has a connection of Python's copy, and opens it again when it is needed."""

    def forget(self) -> None: ...


class _Turns:
    """Which threads of this process use Python's copy at the moment, and which one uses the other copy."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.changed = threading.Condition()
        self.users: Counter[int] = Counter()
        self.other: int | None = None
        self.open: WeakSet[HasConnection] = WeakSet()


_turns = _Turns()


def _of_this_process() -> _Turns:
    """The turns of this process: a forked one has no other thread, and no connection that it may close."""
    global _turns
    if _turns.pid != os.getpid():
        _turns = _Turns()
    return _turns


@contextmanager
def own_copy() -> Iterator[None]:
    """Within the block this thread uses Python's copy. Waits while another thread uses the other copy."""
    turns, me = _of_this_process(), threading.get_ident()
    with turns.changed:
        turns.changed.wait_for(lambda: turns.other in (None, me))
        turns.users[me] += 1
    try:
        yield
    finally:
        with turns.changed:
            turns.users[me] -= 1
            turns.users += Counter()  # without the threads that use it no more
            turns.changed.notify_all()


def opened(owner: HasConnection) -> None:
    """Notes a connection of Python's copy, within `own_copy`: it is closed before the other copy opens its own."""
    turns = _of_this_process()
    with turns.changed:
        turns.open.add(owner)


@contextmanager
def other_copy() -> Iterator[None]:
    """Within the block this thread opens, uses and closes the other copy.

    Before and after it, no connection of Python's copy is open in this process; each is opened again when it is needed. Waits
    until no other thread uses a database file, and lets none begin.
    """
    turns, me = _of_this_process(), threading.get_ident()
    with turns.changed:
        turns.changed.wait_for(lambda: turns.other is None and not turns.users.keys() - {me})
        turns.other = me
    try:
        _close_all(turns)
        yield
    finally:
        with turns.changed:
            turns.other = None
            turns.changed.notify_all()


def close_own() -> None:
    """Closes what this thread has opened with Python's copy within `other_copy`: before the other copy closes the file."""
    _close_all(_of_this_process())


def _close_all(turns: _Turns) -> None:
    for owner in list(turns.open):
        owner.forget()
    turns.open.clear()
