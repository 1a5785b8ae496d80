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
    """What may run now, and in how many milliseconds it is worth asking again (None: when something wakes the gate).

    `state` other than "ok" means that nothing was granted since the gate can't account for its past ("epoch", "clock"), or
    that the calendar days it was given are over ("stale").
    """

    grants: tuple[Grant, ...]
    wait_ms: float | None
    state: Literal["ok", "epoch", "clock", "stale"] = "ok"


@dataclass(frozen=True, slots=True)
class Start:
    """The answer to "may I send?". `calls` counts the calls made for this request so far, this one included.

    `wait_us`: send no earlier than this from now; a grant may be some milliseconds ahead of its slot.
    """

    verdict: Verdict
    key_label: str = ""
    attempts: int = 0
    calls: int = 0
    reason: str = ""
    wait_us: int = 0


@dataclass(frozen=True, slots=True)
class KeyPast:
    """What is known of a key when the gate itself knows nothing.

    `stamps`: as many as make every window full, 0 for a key that was never used. `days`: calendar counter -> calls.
    """

    label: str
    stamps: int
    days: dict[str, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a pool's requests are; `parked` includes those with a not-before."""

    parked: int
    granted: int
    running: int
    held: int


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit of a key at this moment. `resets_ms`: until one more call is free again, 0 when one is free now."""

    text: str
    used: int
    allowed: int
    resets_ms: int


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key at this moment. `opens_ms` None: only the end of an open call, or a person, can tell."""

    label: str
    limits: tuple[LimitUse, ...]
    open_calls: int
    paused_ms: int
    paused_why: str
    aside_why: str
    opens_ms: int | None
