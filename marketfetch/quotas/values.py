"""What the gate answers: frozen values, never a bare bool, never a sleep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: go: this call is yours. held: the reply is here already, hand it on. over: the request has ended. lost: the grant is no
#: longer yours (it expired, or somebody else has it): do nothing. answered: somebody else's call has brought what this task
#: asked for.
Verdict = Literal["go", "held", "over", "lost", "answered"]


@dataclass(frozen=True, slots=True)
class Parking:
    """A request that wants a place in the lane: its record's id, and what it takes to build its message at release.

    `arguments` is JSON. For a task that a user sent: its id, its whole Celery message (JSON), and when it expires (Unix ms, 0
    for never); empty for a job's request.
    """

    id: str
    arguments: str
    task: str = ""
    message: str = ""
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What the releaser has to hand on. `kind` "go": the right to make one call, until its lease's deadline; "held": a request
    whose batch is due to be stored; "answered": a task that another's call has answered; "dropped": a task that has
    expired or was revoked, and is to be marked so.

    `fence` grows with every grant of a request: only its latest holder may start. `attempts` counts spent retries.
    """

    id: str
    fence: int
    key_label: str
    attempts: int
    arguments: str
    message: str = ""
    kind: Literal["go", "held", "answered", "dropped"] = "go"


@dataclass(frozen=True, slots=True)
class VendorCount:
    """How many calls the vendor says it has counted for a key, in one of our windows or in a calendar day (its counter)."""

    calls: int
    window_us: int = 0
    strict: bool = False
    counter: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What became of a request that somebody no longer wants. `message` is the task's own, "" for a job.

    gone: nothing of it is left. left: others still wait for it. stays: its call is made, it comes to its end. unknown: it is
    not here.
    """

    what: Literal["gone", "left", "stays", "unknown"]
    message: str


@dataclass(frozen=True, slots=True)
class Admission:
    """What may run now, and in how many milliseconds it is worth asking again (None: when something wakes the gate).

    `state` other than "ok" means that nothing was granted since the gate can't account for its past ("epoch", "clock"), or
    that the calendar days it was given are over ("stale"). `newer`: so many requests were left to workers of a newer release,
    which has made them.
    """

    grants: tuple[Grant, ...]
    wait_ms: float | None
    state: Literal["ok", "epoch", "clock", "stale"] = "ok"
    newer: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """The answer to "may I send?". `calls` counts the calls made for this request so far, this one included; `kills` how often
    its worker has died while it ran. `reason`: how it was answered (JSON), or why what is held is a failure.

    `wait_us`: send no earlier than this from now; a grant may be some milliseconds ahead of its slot.
    """

    verdict: Verdict
    key_label: str = ""
    attempts: int = 0
    calls: int = 0
    reason: str = ""
    wait_us: int = 0
    kills: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch that is to be stored now: `data` None where there is none. `tries`: which one this is; 0 when the request is not
    held, -1 when another try is under way.
    """

    data: bytes | None
    tries: int


@dataclass(frozen=True, slots=True)
class KeyPast:
    """What is known of a key when the gate itself knows nothing.

    `used`: whether it was ever called with. `lost`: the most calls that can have been made in the two seconds that an
    append-only file may lack. `days`: calendar counter -> calls. `marked`: a window's length in us -> the most calls that it
    can hold now; a window that is missing there may be full.
    """

    label: str
    used: bool
    lost: int
    days: dict[str, int]
    marked: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a pool's requests are; `parked` includes those with a not-before, and those of a newer release."""

    parked: int
    granted: int
    running: int
    held: int


@dataclass(frozen=True, slots=True)
class Events:
    """What a gate has done since it was new, counted."""

    parked: int
    admitted: int
    paused: int
    refused: int
    expired: int


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit of a key at this moment. `resets_ms`: until one more call is free again, 0 when one is free now, -1 when only
    the end of an open call frees one. `free_for_ms`: since when one is free.
    """

    text: str
    used: int
    allowed: int
    resets_ms: int
    free_for_ms: int = 0


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key at this moment. `opens_ms` None: only the end of an open call, or a person, can tell. `open_for_ms`: since when
    it may make a call.
    """

    label: str
    limits: tuple[LimitUse, ...]
    open_calls: int
    paused_ms: int
    paused_why: str
    aside_why: str
    opens_ms: int | None
    open_for_ms: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a pool does what it should. `stuck_ms`: for how long a request may have run and none was admitted."""

    pool: str
    ok: bool
    stuck_ms: int
    waiting: int
