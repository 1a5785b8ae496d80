"""What the gate answers: frozen values, never a bare bool, never a sleep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: go: this call is yours. held: the reply is here already, hand it on. over: the request has ended. lost: the grant is no
#: longer yours (it expired, or somebody else has it): do nothing.
Verdict = Literal["go", "held", "over", "lost"]


@dataclass(frozen=True, slots=True)
class Parking:
    """A request that wants a place in the lane: its record's id, and what it takes to build its message at release.

    `arguments` is JSON, `message` a whole Celery message that a user sent (JSON), empty for a job's request.
    """

    id: str
    arguments: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to make one call, until its lease's deadline; or a held request that is due to be handed on again.

    `fence` grows with every grant of a request: only its latest holder may start. `attempts` counts spent retries.
    """

    id: str
    fence: int
    key_label: str
    attempts: int
    arguments: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """What may run now, and in how many milliseconds it is worth asking again (None: when something wakes the gate)."""

    grants: tuple[Grant, ...]
    wait_ms: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """The answer to "may I send?". `calls` counts the calls made for this request so far, this one included."""

    verdict: Verdict
    key_label: str = ""
    attempts: int = 0
    calls: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a pool's requests are; `parked` includes those with a not-before. `paused_ms` is 0 when calls may be made."""

    parked: int
    granted: int
    running: int
    held: int
    paused_ms: int = 0
    paused_why: str = ""
