"""What `status` and `list_jobs` return."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel

State = Literal["running", "done", "failed", "cancelled"]


class Counts(BaseModel):
    """The requests of a job by state; `total` is always the sum of the others.

    `parked` wait for a free call of a key; `running` are granted, called or not stored yet; `stored` includes empty replies.
    """

    total: int = 0
    parked: int = 0
    running: int = 0
    stored: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def over(self) -> int:
        """How many are over: stored or failed. Cancelled ones were not made, and `resume` lets them go on."""
        return self.stored + self.failed


class Failure(BaseModel):
    """A failed request: its id, its symbol, and the reason as a sentence."""

    request: str
    symbol: str
    reason: str


class NextCall(BaseModel):
    """Why no key makes a call at this moment, and when the first one may: `key` in `seconds`.

    `limit`: the limit that is used up, "" while the key is paused; `why`: the reason of the pause, "" otherwise.
    """

    seconds: int
    key: str
    limit: str = ""
    why: str = ""


class JobStatus(BaseModel):
    """A job at this moment.

    `state` is "failed" when the job is over and at least one request failed. `rate_per_minute`: the requests that were over in
    the last minute, None for a job that is over. `eta_seconds`: the time left at the limits of the keys, behind the other jobs'
    requests, or at the rate if that is slower; None while neither is known, and while no worker runs. `next_call`: None when a
    call may be made now, or none waits. `failures`: the first hundred. `reject_reasons`: rows rejected, by reason. `trouble`:
    what an operator should act on, one sentence each. `owner`, `name`, `tags`: as given to `submit`, else empty.
    `empty`: how many of the stored requests brought no row. `empty_symbols`: once the job is over, the first hundred symbols
    all of whose requests were empty, of `empty_symbols_total`. `corrected`: the final bars that its
    requests have changed. `changed_columns`: a sentence for each table of which its replies lack a column.
    `lacking_symbols`: once the job is over, the first hundred symbols that its replies with the whole market lack on a session,
    and that have not been asked for by themselves, of `lacking_symbols_total`.
    """

    job: str
    provider: str
    state: State
    requests: Counts
    rows: int
    rejects: int
    eta_seconds: int | None
    failures: list[Failure]
    reject_reasons: dict[str, int]
    trouble: list[str]
    rate_per_minute: float | None = None
    next_call: NextCall | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    owner: str = ""
    name: str = ""
    tags: list[str] = []
    empty: int = 0
    empty_symbols: list[str] = []
    empty_symbols_total: int = 0
    corrected: int = 0
    changed_columns: list[str] = []
    lacking_symbols: list[str] = []
    lacking_symbols_total: int = 0


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A line of the list of jobs. `symbols`: how many, the first of them is `first_symbol`. The other fields: see JobStatus.

    `trouble`: why an unreadable job shows only its id, its date and its counts; then `provider` is "unknown", and the dates
    are None.
    """

    job_id: str
    provider: str
    symbols: int
    timespan: str
    start: date | None
    end: date | None
    created_at: datetime
    trouble: str = ""
    owner: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    first_symbol: str = ""
    dataset: str = ""
    adjustment: str | None = None
    state: State = "running"
    requests: Counts = field(default_factory=Counts)
    rows: int = 0
    rejects: int = 0
    rate_per_minute: float | None = None
    eta_seconds: int | None = None
    next_call: NextCall | None = None
    ended_at: datetime | None = None
