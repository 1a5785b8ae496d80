"""Failpoints: a process is killed at a named transition, so that tests see what a crash exactly there costs.

MARKETFETCH_FAILPOINT="finish:before" kills every process that comes there; "finish:after@FILE" only the first one: whoever
makes FILE, with its process id in it, dies. Never armed in production: unarmed, a gate looks at `armed` once per script in
its life, and nothing else does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.commands.core import Script

from marketfetch.suggestions import did_you_mean

#: The gate's own, each one script.
OF_THE_GATE: Final = (
    *("park", "admit", "start", "finish", "give_back", "take_back", "delay", "take", "settle", "withdraw", "restore"),
)
#: Put round by tasks: a grant is published, a batch's database transaction, the one HTTP call.
OF_TASKS: Final = ("publish", "store", "send")
POINTS: Final = tuple(f"{name}:{when}" for name in (*OF_THE_GATE, *OF_TASKS) for when in ("before", "after"))


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Where to die. `once`: the file that the one process makes which dies there; None: whoever comes."""

    point: str
    once: Path | None = None

    def passed(self, point: str) -> None:
        """Does not return from the armed point: no handler runs, nothing is flushed, as when a machine dies."""
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
    """Arms this process and those it forks; before the first gate is used. Raises ValueError for a point that there is not."""
    global armed
    point, _, file = text.partition("@")
    if point not in POINTS:
        meant = did_you_mean(point, POINTS, as_written="{!r}", cutoff=0)
        raise ValueError(f"there is no failpoint {point!r}. {meant} There are {', '.join(POINTS)}.")
    armed = Failpoint(point, Path(file) if file else None)


class PassingScript(Script):
    """A script of the gate that passes `<name>:before` and `<name>:after`."""

    def __init__(self, redis: Redis, text: str, name: str) -> None:
        super().__init__(redis, text)
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return around(self._name, super().__call__)(*args, **kwargs)


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
