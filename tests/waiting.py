"""Waiting for a condition with a deadline: the only way in which a test waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from marketfetch.settings import environment

T = TypeVar("T")
#: A deadline is what a quiet machine needs at most; a busy one, and one that counts branches, gets so many times as much.
#: A condition that comes true ends the wait, so that only a test that fails lasts longer for it.
PATIENCE = 15 if "COVERAGE_PROCESS_CONFIG" in environment() else 5
#: For what is waited for without `eventually`: the end of a process or of a thread, a result, a reply.
LONG_S = 60.0 * PATIENCE
#: Between two looks: the shortest, and the longest for a look that takes long itself.
PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.3


def early_in_a_minute(*, left_s: float = 25) -> None:
    """Returns when this minute of the clock goes on for so long: wishes within it are one job."""
    eventually(lambda: time.time() % 60 < 60 - left_s, within_s=left_s + 1, what="a minute has begun")


def eventually(condition: Callable[[], T], *, within_s: float = 20, what: str | Callable[[], str] = "") -> T:
    """Asks again until the answer is truthy, and returns it. Fails with the last answer after `within_s` * PATIENCE seconds.

    `what` was waited for; a function returns it when the time is over. It looks every 0.05 s; where a look takes longer than
    that, as a command does, the pause is twice as long as the look: else the test itself would keep a core busy.
    """
    within_s *= PATIENCE
    began = time.monotonic()
    deadline = began + within_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {within_s:g} s: {(what() if callable(what) else what) or condition} (last answer: {answer!r})"
            )
        rest(time.monotonic() - began)
        began = time.monotonic()
    return answer


def rest(look_s: float) -> None:
    """Pauses before the next look, as the last one took `look_s`."""
    threading.Event().wait(min(LONGEST_PAUSE_S, max(PAUSE_S, 2 * look_s)))
