"""The store: what the rest of the program asks of a database. One class for SQLite and Postgres, composed of small parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage.coverage_rows import CoverageQueries
from marketfetch.storage.database_protocol import Database
from marketfetch.storage.job_records import Job, JobWaiter, Purged, Tally, ToDo, Unfinished
from marketfetch.storage.job_waiters import JobWaiters
from marketfetch.storage.ledger_queries import LedgerQueries
from marketfetch.storage.purging import Purging
from marketfetch.storage.recorded_jobs import RecordedJobs
from marketfetch.storage.reserved_calls import ReservedCalls
from marketfetch.storage.schema import Schema
from marketfetch.storage.store_errors import NoTables, StoreError, StoreMismatch, StoreUnavailable

__all__ = [
    "Batches",
    "Job",
    "JobWaiter",
    "NoTables",
    "Purged",
    "Store",
    "StoreError",
    "StoreMismatch",
    "StoreUnavailable",
    "Tally",
    "ToDo",
    "Unfinished",
]


class Batches(Protocol):
    """Writes batches in the way that is fast in one database; promises what `Store.store` promises."""

    def store(self, batches: Sequence[Batch]) -> list[bool]: ...

    def cover(self, covered: Sequence[Covered]) -> None: ...


class Store:
    """Made per process, after fork. Every method opens what it needs, and may be called again after an error."""

    def __init__(self, database: Database, batches: Callable[[], Batches]) -> None:
        """`batches` makes what writes them, at the first write: a process that only reads does not import it."""
        self.database = database
        self._make_batches = batches
        self._schema = Schema(database)
        self._ledger = LedgerQueries(database)
        self._coverage = CoverageQueries(database)
        self._waiters = JobWaiters(database)
        self._jobs = RecordedJobs(database, self._waiters)
        self._reserved = ReservedCalls(database, self._ledger)
        self._purging = Purging(database, self._jobs)

    @cached_property
    def _batches(self) -> Batches:
        return self._make_batches()

    def __repr__(self) -> str:
        return f"Store({self.database.where})"

    def create(self) -> None:
        """Makes the tables and the `bars` view where they are missing. Raises StoreMismatch, StoreUnavailable."""
        self._schema.create()

    def upgrade(self) -> str:
        """Brings tables of any earlier version to this one: one step per version, each in a transaction of its own.

        Returns one line for people. Tables of this version stay as they are. After an error the tables have the version of
        the last finished step. Raises StoreMismatch for tables of a later version, and where there are none.
        """
        return self._schema.upgrade()

    def check(self) -> str:
        """Tries a write and rolls it back; returns one line for people (kind, version, where; no password)."""
        return self._schema.check()

    def rehearse(self) -> str:
        """Tries to make the tables and undoes it: no file and no table is left. Returns one line for people (no password)."""
        return self._schema.rehearse()

    def verify(self) -> None:
        """Raises StoreMismatch unless the tables are there and have this version. Writes nothing, and waits for no writer."""
        self._schema.verify()

    def store(self, batches: Sequence[Batch]) -> list[bool]:
        """Writes whole batches in one transaction: ledger row first, then rejects and bars, in the order of request ids.

        Returns per batch whether its ledger row was new; False means that the request was over before, and that nothing of
        the batch was written. A bar changes only where a value differs and the batch was fetched no earlier than the
        stored bar.
        """
        return self._batches.store(batches) if batches else []

    def save_job(
        self, job: Job, roots: Sequence[str], waiter: JobWaiter | None = None, *, arguments: Sequence[str] = ()
    ) -> bool:
        """Records a job, its plan, and who waits for its end, in one transaction.

        `roots` are the ids of its first pages in the order of the plan, `arguments` those of the same requests (JSON); without
        them the plan has to be made from the job's `spec`. False if the job was recorded before: then it is only resumed, and
        gains the waiter.
        """
        return self._jobs.save(job, roots, waiter, arguments)

    def planned_requests(self, job_id: str) -> int:
        """How many requests the recorded plan of a job has, without further pages."""
        return self._jobs.planned_requests(job_id)

    def market_requests(self, job_id: str) -> list[str]:
        """The arguments (JSON) of a job's requests that have brought the whole market, in the order of the plan."""
        return self._jobs.market_requests(job_id)

    def to_do(self, job_id: str, limit: int) -> list[ToDo]:
        """The first so many of `unfinished` in the order of the recorded plan, with their arguments."""
        return self._jobs.to_do(job_id, limit)

    def cancel_job(self, job_id: str, *, at_ms: int) -> bool:
        """Marks a job as cancelled at `at_ms` (Unix ms). False if there is none of that id, or it was cancelled before."""
        return self._jobs.cancel(job_id, at_ms=at_ms)

    def forget_failed(self, job_id: str) -> int:
        """Deletes the failed requests of a job and their rejects from the ledger, so that they are unfinished; how many.

        Their calls keep counting in `calls`. A cancelled job stays cancelled until `save_job` resumes it.
        """
        return self._ledger.forget_failed(job_id)

    def forget_if_failed(self, request_id: str) -> bool:
        """As `forget_failed`, for one request that is to be made again. False if it has not failed."""
        return self._ledger.forget_if_failed(request_id)

    def purge(self, *, older_than_ms: int) -> Purged:
        """Deletes what ended before `older_than_ms` (Unix ms), and never anything younger than three days.

        First jobs that were also submitted before then and are over or cancelled; then requests that no remaining job names,
        with their rejects. Bars stay, without their request. A transaction deletes at most 5,000 rows (a single request's
        rejects may be more), so other writers wait briefly. After a purge that was stopped, the next one continues.
        """
        return self._purging.purge(older_than_ms=older_than_ms)

    def job(self, job_id: str) -> Job | None:
        return self._jobs.job(job_id)

    def latest_jobs(self, limit: int = 20, *, owner: str = "", tag: str = "", failed: bool = False) -> list[Job]:
        """Newest first; only those of an owner, or with a tag, where one is given, or with a failed request."""
        return self._jobs.latest(limit, owner=owner, tag=tag, failed=failed)

    def running_jobs(self, *, owner: str = "", tag: str = "", failed: bool = False) -> list[Job]:
        """The jobs that are neither cancelled nor over, newest first, chosen as by `latest_jobs`, however many."""
        return self._jobs.chosen_open(owner=owner, tag=tag, failed=failed)

    def jobs_beginning_with(self, prefix: str, limit: int) -> list[Job]:
        """The jobs whose id begins with `prefix`, which is of hexadecimal digits, newest first."""
        return self._jobs.beginning_with(prefix, limit)

    def jobs_named(self, name: str, limit: int, *, owner: str = "") -> list[Job]:
        """The jobs of this name, which is not empty, newest first; only those of an owner, where one is given."""
        return self._jobs.named(name, limit, owner=owner) if name else []

    def cancelled_jobs(self, limit: int = 200) -> list[Job]:
        """Jobs that are cancelled and were not resumed, the latest cancelled first."""
        return self._jobs.cancelled(limit)

    def waiters(self, job_id: str) -> list[JobWaiter]:
        """Who waits for the end of this job and is not notified yet, by name."""
        return self._waiters.of_job(job_id)

    def awaited_jobs(self, roots: Sequence[str]) -> list[str]:
        """The jobs with one of these requests for whose end a waiter waits."""
        return self._waiters.jobs_of_requests(roots)

    def due_waiters(self, *, now_ms: int, limit: int) -> list[JobWaiter]:
        """The waiters of jobs that are cancelled or noted as over, and those that give up by `now_ms`; without claimed ones."""
        return self._waiters.due(now_ms=now_ms, limit=limit)

    def claim_waiter(self, waiter: JobWaiter, *, now_ms: int, until_ms: int) -> bool:
        """Reserves a waiter for this process, which notifies it; others may after `until_ms`. False if another was first."""
        return self._waiters.claim(waiter, now_ms=now_ms, until_ms=until_ms)

    def forget_waiter(self, job_id: str, name: str) -> bool:
        """Deletes a waiter that is notified, or waits no longer. False if it was deleted before."""
        return self._waiters.forget(job_id, name)

    def is_over(self, job_id: str) -> bool:
        """True if each request of a job is over; notes it, as `open_jobs` does. Reads up to the first one that is not."""
        return self._jobs.is_over(job_id)

    def tally(self, job_id: str) -> Tally:
        return self._jobs.tally(job_id)

    def tallies(self, job_ids: Sequence[str]) -> dict[str, Tally]:
        """The counts of each of these jobs, without the reasons of rejects, in a few queries; those of big ones are kept."""
        return self._jobs.tallies(job_ids)

    def pending_among(self, job_ids: Sequence[str], request_ids: Sequence[str]) -> dict[str, int]:
        """Per job, how many of these requests it names and are not over. Costs the same however many a job has."""
        return self._jobs.pending_among(job_ids, request_ids)

    def open_jobs(self) -> list[Job]:
        """The jobs that are neither cancelled nor over, oldest first. Looks at each job that is over only once."""
        return self._jobs.open_jobs()

    def unfinished(self, job_id: str, limit: int | None = None) -> list[Unfinished]:
        """To do = (plan + pages named by the ledger) − ledger, by root id, ascending; of a cancelled job too.

        With a `limit` the first so many, and the search ends there.
        """
        return self._jobs.unfinished(job_id, limit)

    def failures(self, job_id: str, limit: int = 100) -> list[LedgerRow]:
        """The failed requests of a job, by symbol."""
        return self._ledger.failures(job_id, limit)

    def empty_symbols(self, job_id: str, limit: int) -> tuple[list[str], int]:
        """The first symbols of a job whose requests in the ledger are all empty, by name, and how many there are."""
        return self._ledger.empty_symbols(job_id, limit)

    def calls(self, provider: str, key_label: str, *, since_ms: int) -> int:
        """The calls of requests whose last call was made with this key at `since_ms` (Unix ms) or later.

        Counts forgotten requests too. Complete for the last three days, which no purge touches.
        """
        return self._ledger.calls(provider, key_label, since_ms=since_ms)

    def last_call(self, provider: str, key_label: str) -> int:
        """The time of this key's last call in the ledger, in Unix ms; 0 if it made none."""
        return self._ledger.last_call(provider, key_label)

    def reserve_calls(self, provider: str, key_label: str, *, calls: int, keep_ms: int) -> None:
        """Reserves `calls` more calls of this key from this minute on; deletes its reservations from before `keep_ms` ago."""
        self._reserved.reserve(provider, key_label, calls=calls, keep_ms=keep_ms)

    def reserved_calls(self, provider: str, key_label: str, *, back_ms: int) -> int | None:
        """At least as many calls as this key made in the last `back_ms`, from its reservations and the ledger.

        None when the ledger has calls from before the first reservation: there may have been more that were not reserved.
        """
        return self._reserved.reserved(provider, key_label, back_ms=back_ms)

    def over(self, request_ids: Sequence[str]) -> set[str]:
        """Those of `request_ids` that the ledger shows as over."""
        return self._ledger.over(request_ids)

    def latest_over(self, provider: str, *, since_ms: int, before: int | None = None) -> tuple[list[LedgerRow], int | None]:
        """Some of a vendor's requests that were over at `since_ms` (Unix ms) or later, youngest first.

        The second value is the `before` of the next call, None after the last rows. Looks at 1,000 rows at most.
        """
        return self._ledger.latest_over(provider, since_ms=since_ms, before=before)

    def recent_calls(self, provider: str) -> list[int]:
        """When a vendor was called last (Unix ms), ascending: of the latest 1,000 requests of all vendors."""
        return self._ledger.recent_calls(provider)

    def ended_roots(self, roots: Sequence[str]) -> dict[str, bool]:
        """Those of these requests of which the ledger has a page; True where a page failed or was cancelled."""
        return self._ledger.ended_roots(roots)

    def covered(
        self, provider: str, dataset: str, timespan: str, adjustment: str, symbols: Sequence[str] | None = None
    ) -> list[Covered]:
        """What replies have covered of these symbols, and of all symbols at once (EVERY_SYMBOL); by symbol and day.

        None: of every symbol. `dataset` and `adjustment` are those of requests, not of a wish that leaves them open: see
        `marketfetch.schemas.coverage`, which also unites and subtracts. One query, however many symbols there are.
        """
        return self._coverage.covered(provider, dataset, timespan, adjustment, symbols)

    def stored_starts(
        self,
        provider: str,
        timespan: str,
        adjustment: str,
        symbols: Sequence[str],
        starts_ms: Sequence[int],
        *,
        partial: bool = False,
    ) -> dict[str, frozenset[int]]:
        """Those of `starts_ms` (ascending, Unix ms, at full hours) at which a final bar of a symbol begins, by symbol.

        With `partial` bars that may still change count too. A symbol without any is not among them. Looks at
        each bar from the first to the last of these times.
        """
        return self._coverage.stored_starts(provider, timespan, adjustment, symbols, starts_ms, partial=partial)

    def cover(self, covered: Sequence[Covered]) -> None:
        """Merges these intervals into what is covered, in one transaction: for what an earlier release has stored."""
        if covered:
            self._batches.cover(covered)

    def jobs_to_cover(self, limit: int) -> list[str]:
        """Jobs of releases without coverage whose replies `cover` has yet to be called with, by id."""
        return self._coverage.jobs_to_cover(limit)

    def covered_intervals(self) -> int:
        """How many intervals are stored, of all series."""
        return self._coverage.count()

    def job_is_covered(self, job_id: str) -> None:
        """Takes a job off that list."""
        self._coverage.job_is_covered(job_id)

    def replies(self, job_id: str) -> list[tuple[str, int]]:
        """The requests of a job all of whose pages are stored, by root, with the time of the earliest call (Unix ms)."""
        return self._coverage.replies(job_id)

    def outcomes(self, request_ids: Sequence[str]) -> dict[str, LedgerRow]:
        """The ledger's rows of those of `request_ids` that are over, by request id."""
        return self._ledger.outcomes(request_ids)

    def close(self) -> None:
        self.database.close()
