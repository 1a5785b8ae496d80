"""Neighbours: the tasks of one process of a threads pool. A request that has crashed a worker before has none.

A crash of the process ends the calls of all its threads, and the gate counts a crash for each: it can't know which of them was
the cause. So the first crash may be shared. From then on each of these requests runs while no other task of ours runs in
its process, so a second and a third crash are its own. In other pools every task has a process of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from marketfetch.quotas import Gate
from marketfetch.settings import get_settings

#: A task that is past its lease tells no one so: who waits looks again this often.
_LOOK_AGAIN_S: Final = 0.5


class NoPlace(Exception):
    """The wait for a place was as long as a grant is good for: nothing was sent, and the gate redelivers the request."""


class House:
    """The tasks that run in this process. Any number run side by side, or one alone.

    A task that waits to be alone goes first: no task begins beside those that run, so it waits for their ends only.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[object, tuple[float, bool]] = {}
        self._want_to_be_alone = 0

    @contextmanager
    def place(self, *, alone: bool, wait_s: float, lasts_s: float) -> Iterator[None]:
        """Waits up to `wait_s` for a place. Raises NoPlace.

        After `lasts_s` the place counts as free: the lease is over, so a crash counts nothing more for this request, and a
        thread that hangs must not keep others out for ever.
        """
        deadline, mine = time.monotonic() + wait_s, object()
        with self._changed:
            self._want_to_be_alone += alone
            try:
                while not self._has_room(alone=alone):
                    left_s = deadline - time.monotonic()
                    if left_s <= 0:
                        raise NoPlace
                    self._changed.wait(min(left_s, _LOOK_AGAIN_S))
                self._running[mine] = (time.monotonic() + lasts_s, alone)
            finally:
                self._want_to_be_alone -= alone
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running.pop(mine, None)
                self._changed.notify_all()

    def _has_room(self, *, alone: bool) -> bool:
        now = time.monotonic()
        counted = [is_alone for until, is_alone in self._running.values() if until > now]
        return not counted if alone else not (any(counted) or self._want_to_be_alone)


_house: Final = House()
_shared = threading.Event()


def share_the_process() -> None:
    """Says that this process runs several tasks at once."""
    _shared.set()


@contextmanager
def a_place(gate: Gate, request_id: str) -> Iterator[None]:
    """A place for one task of this request. Costs a round trip in a threads pool, nothing elsewhere.

    Raises NoPlace, RedisError.
    """
    if not _shared.is_set():
        yield
        return
    timings = get_settings().timings
    crashes = gate.crashes(request_id, busy_ms=int(timings.held_again * 1000))
    # A grant expires after start-by: a longer wait would end with a grant that is lost.
    with _house.place(alone=crashes > 0, wait_s=timings.start_by, lasts_s=max(timings.end_by, timings.held_again)):
        yield
