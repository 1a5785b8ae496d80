"""What the model of the gate keeps: calls, records, keys. Moments are microseconds of Redis's clock unless they end in _ms."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

#: The days of a test are told from the gate's clock.
NO_MATTER = datetime.fromtimestamp(0, UTC)
DAY_US = 86_400_000_000
#: So many unusable answers in a row to different requests, and a vendor counts as ill.
ILL = 3
#: So many unknown 401s and 403s in a row set a key aside.
REFUSED = 5
#: A deadline of a newer release's request is looked at again after so long.
LEFT_FOR_MS = 3_000
DIED = "its worker died three times while it ran"


@dataclass(slots=True, eq=False)  # two calls may look alike
class Call:
    """A call of a key: open until it has a stamp, `done`; `early` is the stamp for short windows."""

    label: str
    granted: int
    done: int | None = None
    early: int = 0


@dataclass(slots=True)
class Record:
    """A request, or a task that is to be told how its request ended.

    In one place: ready, delayed, newer, granted, running, held.
    """

    id: str
    job: str
    priority: int
    arguments: str
    fence: int
    owner: str
    place: str = "ready"
    #: Deadline, due, or not-before in ms; nothing for "ready", where `tag` orders.
    at_ms: int = 0
    kind: str = "held"
    tag: int = 0
    attempts: int = 0
    kills: int = 0
    calls: int = 0
    message: str = ""
    expires_ms: int = 0
    label: str = ""
    sent: int = 0
    child: str = ""
    reason: str = ""
    unstored: int = 0
    #: How often somebody has begun to store it, and when for the last time.
    tries: int = 0
    began_ms: int = 0
    batch: bytes | None = None
    call: Call | None = None
    #: Those whose wish has gone while it ran: they are not to get further pages.
    gone: set[str] = field(default_factory=set)
    #: Its next page, once that was parked.
    page: str = ""
    #: A newer release has made it.
    newer: bool = False
    #: who -> (message, expires); both empty for a job.
    waiters: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Key:
    """What is remembered of a key besides its calls. `lost` -1: as many calls as there may be, made at `full` at the latest.

    `lost_of`: the length of a long window -> instead of `lost`, where its calls were marked.
    """

    until_ms: int = 0
    why: str = ""
    aside: str = ""
    strikes: int = 0
    struck: int = 0
    ill: int = 0
    ill_by: str = ""
    #: Since when the vendor's words reject it, 0 where they do not; unknown 401s and 403s in a row.
    suspect: int = 0
    unknown: int = 0
    sentences: int = 0
    trips: int = 0
    fastest: int = 0
    slack: int = -1
    full: float = float("-inf")
    lost: int = 0
    lost_of: dict[int, int] = field(default_factory=dict)


class ModelOfRecords:
    """The records of one pool. The test sets `now`."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.records: dict[str, Record] = {}

    @property
    def now_ms(self) -> int:
        return self.now // 1000

    def at(self, place: str) -> list[Record]:
        """Everyone in a place, the first one first."""
        found = [one for one in self.records.values() if one.place == place]
        if place == "ready":
            return sorted(found, key=lambda one: (one.priority, one.tag, one.id))
        return sorted(found, key=lambda one: (one.at_ms, one.id))

    def in_lane(self, turn: tuple[int, str]) -> int:
        return sum((one.priority, one.job) == turn for one in self.at("ready"))

    def unstored_bytes(self) -> int:
        return sum(len(one.batch) for one in self.records.values() if one.batch)
