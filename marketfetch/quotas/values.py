"""The gate's return values: frozen, never a bare bool, never a sleep."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

#: go: the caller may send. held: the reply is stored in the gate, so the caller passes it on. over: the request has ended.
#: lost: the grant expired or belongs to another holder, so the caller does nothing. answered: another task's call has
#: fetched what this task asked for.
Verdict = Literal["go", "held", "over", "lost", "answered"]

#: How far a delivery came. before: not to its `start`, so a running request belongs to another delivery. unsent: it has
#: started, and its call was not sent. sent: its call may have reached the vendor.
Call = Literal["before", "unsent", "sent"]

#: What a reply has done to its key. rests, spends: see `rest_if_unhealthy`. suspected: one more call decides. aside: the key is
#: out of service until an operator resumes it. refused: rejected for the second time, with no other key in service.
KeyVerdict = Literal["rests", "spends", "suspected", "aside", "refused"]


@dataclass(frozen=True, slots=True)
class Parking:
    """A request to park: its record's id, and what the releaser needs to build its message.

    `arguments` is JSON. A user's task also has its id, its whole Celery message (JSON), and its expiry (Unix ms, 0 for
    never); these are empty for a job's request.
    """

    id: str
    arguments: str
    task: str = ""
    message: str = ""
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """One message that the releaser publishes. `kind` "go": the right to make one call until the lease's deadline; "held": a
    request whose batch is due to be stored; "answered": a task whose outcome another task's call has brought; "dropped": a
    task that has expired or was revoked, for the releaser to mark as REVOKED.

    `fence` grows with every grant of a request: only the latest holder may start. `attempts` counts spent retries.
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
    """The vendor's own count of a key's calls, in one of our windows or in a calendar day (`counter`)."""

    calls: int
    window_us: int = 0
    strict: bool = False
    counter: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The result of withdrawing a waiter from a request. `message` is the task's own, "" for a job.

    gone: the request is deleted. left: other waiters keep it. stays: its call is running or done, so it continues to its
    end. unknown: the gate has no such request.
    """

    what: Literal["gone", "left", "stays", "unknown"]
    message: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The grants of one admit, and the milliseconds until the next admit can grant more (None: at the next wake message).

    A `state` other than "ok" grants nothing: the gate can't account for its history ("epoch", "clock"), or the calendar
    days in the arguments are over ("stale"). `newer` counts the requests that a newer release has parked and that this
    release leaves to its workers.
    """

    grants: tuple[Grant, ...]
    wait_ms: float | None
    state: Literal["ok", "epoch", "clock", "stale"] = "ok"
    newer: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """The result of `start`. `calls` counts the calls made for this request, this one included; `kills` counts worker crashes
    while it ran. `reason`: the outcome (JSON) of an "answered" task, or the failure of a "held" request.

    `wait_us`: the caller sends no earlier than this from now, since a grant may be some milliseconds ahead of its slot.
    """

    verdict: Verdict
    key_label: str = ""
    attempts: int = 0
    calls: int = 0
    reason: str = ""
    wait_us: int = 0
    kills: int = 0


class Kept(IntEnum):
    """What has become of a reply at `finish`: false only where the lease was lost, and nothing was written."""

    LOST = 0
    #: Another process stores the batch, or its store task does.
    FOR_OTHERS = 1
    #: Claimed for the caller, who stores it now.
    CLAIMED = 2


@dataclass(frozen=True, slots=True)
class StoreTurn:
    """A turn at storing the batches of a pool, which one process has at a time, under a name of its own.

    It lasts `lasts_ms` from the last step of its holder. Claims of its batches are exclusive for `busy_ms`. One wave takes up
    to `most` batches, and none more from `most_bytes` on. `own`: the caller stores its first batch even while another process
    has the turn.
    """

    name: str
    lasts_ms: int
    busy_ms: int
    most: int
    most_bytes: int
    own: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed batch: `data` is None where the request has none. `tries` numbers this attempt to store; 0 means that the
    request is not held, -1 that another attempt is under way.
    """

    data: bytes | None
    tries: int


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """A key's call history as the database knows it, for a gate that has lost its own.

    `used`: whether any call was made with the key. `lost`: the most calls that fit into the two seconds that an append-only
    file may lack. `days`: calendar counter -> calls. `reserved`: a window's length in us -> an upper bound of its calls, by
    the reservations; a window without an entry counts as full.
    """

    label: str
    used: bool
    lost: int
    days: dict[str, int]
    reserved: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """A pool's requests by state; `parked` includes those with a not-before, and those of a newer release."""

    parked: int
    granted: int
    running: int
    held: int


@dataclass(frozen=True, slots=True)
class Events:
    """A gate's event counters since it was created."""

    parked: int
    admitted: int
    paused: int
    refused: int
    expired: int


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit of a key at this moment. `resets_ms`: until the limit allows one more call; 0 when it does now, -1 when only
    the end of an open call can. `free_for_ms`: for how long it has allowed one.
    """

    text: str
    used: int
    allowed: int
    resets_ms: int
    free_for_ms: int = 0


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key at this moment. `opens_ms` None: the key opens at the end of an open call, or when an operator resumes it.
    `open_for_ms`: for how long the key has allowed a call.

    `suspected_why`: the words with which the vendor has rejected the key; one more call decides. `refusals`: 401s and 403s in a
    row whose words are not known. `unknown_sentences`: how many words of the vendor were not known, `last_sentence` the latest.
    `counted_ms`: per window, for how many ms each of its calls counts on, soonest first; None for a window of many calls.
    """

    label: str
    limits: tuple[LimitUse, ...]
    open_calls: int
    paused_ms: int
    paused_why: str
    aside_why: str
    opens_ms: int | None
    open_for_ms: int = 0
    suspected_why: str = ""
    refusals: int = 0
    unknown_sentences: int = 0
    last_sentence: str = ""
    counted_ms: tuple[tuple[int, ...] | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """What becomes of a request whose delivery has raised an exception: see raised.lua. `times`: how many have raised."""

    verdict: str
    times: int
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a pool makes progress. `stuck_ms`: for how long a request could have been admitted and none was.

    `unstarted`: how many requests were granted again and again in the last minute without a worker that started them.
    """

    pool: str
    ok: bool
    stuck_ms: int
    waiting: int
    unstarted: int = 0
