"""Failpoints: a process crashes at a named transition, so that tests see what a crash exactly there costs.

MARKETFETCH_FAILPOINT="finish:before" crashes every process that reaches the point; "finish:after@FILE" crashes only the first
one, which creates FILE with its process id in it. Production never arms one: unarmed, a gate checks `armed` once per script
in its life, and no other code does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

from marketfetch.suggestions import did_you_mean

#: The gate's points; each name is a script.
OF_THE_GATE: Final = (
    *("park", "admit", "start", "finish", "requeue", "return_grants", "delay", "claim", "settle", "withdraw", "restore"),
)
#: The points that tasks/app.py adds: publishing a grant, the database transaction of a batch, the HTTP call.
OF_TASKS: Final = ("publish", "store", "send")
#: The points between a claim and what it ends with: notifying a job's waiter, and sending an event of `[[notify]]`.
OF_JOBS: Final = ("notify", "deliver")
POINTS: Final = tuple(f"{name}:{when}" for name in (*OF_THE_GATE, *OF_TASKS, *OF_JOBS) for when in ("before", "after"))


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Where to crash. `once`: the file that the one crashing process creates; None: every process crashes there."""

    point: str
    once: Path | None = None

    def passed(self, point: str) -> None:
        """Does not return from the armed point: no handler runs, nothing is flushed, as when a machine loses power."""
        if point == self.point and self._first():
            os.kill(os.getpid(), signal.SIGKILL)

    def _first(self) -> bool:
        if self.once is None:
            return True
        try:
            with self.once.open("x", encoding="utf-8") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True


armed: Failpoint | None = None


def arm(text: str) -> None:
    """Arms this process and its forks; called before the first gate is used. Raises ValueError for an unknown point."""
    global armed
    point, _, file = text.partition("@")
    if point not in POINTS:
        meant = did_you_mean(point, POINTS, as_written="{!r}", cutoff=0)
        raise ValueError(f"there is no failpoint {point!r}. {meant} There are {', '.join(POINTS)}.")
    armed = Failpoint(point, Path(file) if file else None)


def around(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, passing `<name>:before` and, when it has not raised, `<name>:after`."""

    @wraps(step)
    def passing(*args: Any, **kwargs: Any) -> Any:
        if armed:
            armed.passed(f"{name}:before")
        answer = step(*args, **kwargs)
        if armed:
            armed.passed(f"{name}:after")
        return answer

    return passing
