"""What any store can do. Two exist: SQLite for one machine, Postgres for many; one conformance suite holds both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from marketfetch.schemas.ledger import Batch, LedgerRow


class StoreError(Exception):
    """The database did not do what was asked; the message says what, why, and what to do. Never holds a password."""


class StoreUnavailable(StoreError):
    """Away, locked, full or read-only: nothing was written, the same call may succeed later."""


class StoreMismatch(StoreError):
    """The database is there but not ours to use: another schema version, or not a database at all."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was submitted. `spec` is the JSON of its JobSpec; times are Unix ms, `cancelled_at_ms` None if it goes on."""

    id: str
    spec: str
    created_at_ms: int
    cancelled_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the ledger says of a job. `total` = done + pending; a page that a reply names counts as pending at once.

    Of a cancelled job nothing is pending: what is not over counts as cancelled.
    """

    pending: int = 0
    stored: int = 0
    empty: int = 0
    failed: int = 0
    cancelled: int = 0
    rows: int = 0
    rejects: int = 0
    reject_reasons: dict[str, int] = field(default_factory=dict)

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
class Purged:
    """How many rows a purge deleted of each kind."""

    jobs: int = 0
    ledger: int = 0
    rejects: int = 0


class Store(Protocol):
    """Made per process, after fork. Every method opens what it needs and is safe to call again after an error."""

    def create(self) -> None:
        """Makes the tables and the `bars` view where they are missing. Raises StoreMismatch, StoreUnavailable."""
        ...

    def upgrade(self) -> str:
        """Brings tables of the version before to this one, in one transaction; returns one line for people.

        Tables of this version stay as they are. Raises StoreMismatch for any other, and where there are none.
        """
        ...

    def check(self) -> str:
        """Tries a write and undoes it; returns one line for people (kind, version, where; no password)."""
        ...

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        """Writes whole batches in one transaction: ledger row first, then rows and rejects. Sorted by key inside.

        Answers per batch whether its ledger row was new; False means it had been over before, and nothing of it was written.
        An upsert changes a bar only where a value differs and the batch was fetched no earlier than what stands there.
        """
        ...

    def save_job(self, job: Job, roots: Sequence[str]) -> bool:
        """Records a job and the ids of its first pages. False if it was there already: then it only stops being cancelled."""
        ...

    def cancel_job(self, job_id: str, *, at_ms: int) -> bool:
        """Marks a job as cancelled at `at_ms` (Unix time). False if there is none of that id, or it was cancelled before."""
        ...

    def forget_failed(self, job_id: str) -> int:
        """Deletes the failed requests of a job and their rejects from the ledger, so that they are to do again; how many.

        Their calls keep counting in `calls`. A cancelled job stays cancelled: `save_job` lets it go on.
        """
        ...

    def forget_if_failed(self, request_id: str) -> bool:
        """As `forget_failed`, for one request that is to be made again. False if it has not failed."""
        ...

    def purge(self, *, older_than_ms: int) -> Purged:
        """Deletes what ended before `older_than_ms` (Unix time), and never anything younger than three days.

        First jobs that were also submitted before then and are over or cancelled; then requests that no job left asks
        for, with their rejects. Bars stay, without their request. At most 5,000 rows a transaction (a single request's
        rejects may be more), so nobody waits for long. Stopped in the middle, the next purge goes on from there.
        """
        ...

    def job(self, job_id: str) -> Job | None: ...

    def latest_jobs(self, limit: int = 20) -> list[Job]:
        """Newest first."""
        ...

    def cancelled_jobs(self, limit: int = 200) -> list[Job]:
        """Those that were cancelled and do not go on, the latest first."""
        ...

    def tally(self, job_id: str) -> Tally: ...

    def open_jobs(self) -> list[Job]:
        """The jobs that are neither cancelled nor over, oldest first. Looks at each job that is over only once."""
        ...

    def unfinished(self, job_id: str, limit: int | None = None) -> list[Unfinished]:
        """To do = (plan + pages named by the ledger) − ledger, by root id, ascending; of a cancelled job too.

        With a `limit` the first so many, and the search ends there.
        """
        ...

    def failures(self, job_id: str, limit: int = 100) -> list[LedgerRow]:
        """The failed requests of a job, by symbol."""
        ...

    def calls(self, provider: str, key_label: str, *, since_ms: int) -> int:
        """The calls of requests whose last call was made with this key at `since_ms` (Unix time) or later.

        Counts forgotten requests too. Complete for the last three days, which no purge touches.
        """
        ...

    def last_call(self, provider: str, key_label: str) -> int:
        """When this key was last called with, as the ledger knows, in Unix ms; 0 when it never was."""
        ...

    def mark_calls(self, provider: str, key_label: str, *, calls: int, keep_ms: int) -> None:
        """Adds `calls` to what this key may be called with from this minute on; forgets its marks of before `keep_ms` ago."""
        ...

    def marked_calls(self, provider: str, key_label: str, *, back_ms: int) -> int | None:
        """At least as many calls as were made with this key in the last `back_ms`, as marks and ledger know.

        None when the ledger knows of calls from before the first mark: there may have been more that nobody marked.
        """
        ...

    def over(self, request_ids: Sequence[str]) -> set[str]:
        """Those of `request_ids` that the ledger shows as over."""
        ...

    def latest_over(self, provider: str, *, since_ms: int, before: int | None = None) -> tuple[list[LedgerRow], int | None]:
        """Some of a vendor's requests that were over at `since_ms` (Unix time) or later, youngest first.

        With what to pass as `before` for the next ones, None where these are the last. Looks at 1,000 rows at most.
        """
        ...

    def outcomes(self, request_ids: Sequence[str]) -> dict[str, LedgerRow]:
        """The ledger's rows of those of `request_ids` that are over, by request id."""
        ...

    def close(self) -> None: ...
