"""What a store returns of a job."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was submitted. `spec` is the JSON of its JobSpec; times are Unix ms.

    `cancelled_at_ms` is None for a job that was not cancelled, or was resumed. `owner`, `name` and `tags` are those of its
    Handle.
    """

    id: str
    spec: str
    created_at_ms: int
    cancelled_at_ms: int | None = None
    owner: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of a job's requests in the ledger. A page that a reply names counts as pending at once.

    A cancelled job has nothing pending: each of its requests that is not over counts as cancelled. `recent` requests were over
    within the last minute; `corrected`: the final bars that the requests have changed; `last_over_ms` (Unix ms): when the last
    one was over, 0 for none.
    """

    pending: int = 0
    stored: int = 0
    empty: int = 0
    failed: int = 0
    cancelled: int = 0
    rows: int = 0
    rejects: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)
    recent: int = field(default=0, compare=False)
    corrected: int = field(default=0, compare=False)
    last_over_ms: int = field(default=0, compare=False)

    @property
    def total(self) -> int:
        return self.pending + self.stored + self.empty + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A request of a job that the ledger does not show as over: page `page` of `root`, named by the vendor's `cursor`."""

    root: str
    page: int
    cursor: str | None

    @property
    def request_id(self) -> str:
        return f"{self.root}/{self.page}" if self.page else self.root


@dataclass(frozen=True, slots=True)
class ToDo(Unfinished):
    """An unfinished request with the JSON of its arguments as page 0; None in jobs of releases that recorded no plan."""

    arguments: str | None


@dataclass(frozen=True, slots=True)
class JobWaiter:
    """Who waits for the end of a job: a callback, or a task that stands for the job.

    `name`: unique among the job's waiters. `message`: JSON, of which a store knows nothing. `tries`: how often it was claimed.
    `gives_up_at_ms`: when the waiter no longer waits; None: it waits for as long as the job takes.
    """

    job_id: str
    name: str
    message: str
    tries: int = 0
    gives_up_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows of each kind a purge deleted."""

    jobs: int = 0
    ledger: int = 0
    rejects: int = 0
