"""What a person or an app asks for: `submit` a job, look at its `status`. Usable from any app that installs us.

from tasks.jobs import submit, status
job = submit("polygon", ["AAPL", "MSFT"], start=date(2020, 1, 1), end=date(2024, 12, 31))
status(job.job_id).requests.stored
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Final, Literal, TypeVar

from pydantic import BaseModel
from redis.exceptions import RedisError

from quotas.estimates import seconds_for
from quotas.reporting import report
from quotas.values import KeyReport
from schemas.jobs import JobSpec
from storage import safe_url
from storage.store import Job, Store, StoreError, StoreUnavailable, Tally
from tasks import connections, refusals, trouble
from tasks.errors import UnreadableJob, UserError
from tasks.feeding import feed, withdraw
from tasks.place import redis_url
from tasks.planning import make_spec, plan, spec_of
from tasks.releaser import releasers
from tasks.vendors import PROVIDERS, keys, labels

T = TypeVar("T")

#: In place of a vendor's name where a job can't be read.
UNKNOWN: Final = "unknown"
#: A shorter wait at a limit is how things go, a longer one is news.
_WORTH_TELLING_MS = 2_000


class Counts(BaseModel):
    """A job's requests; total is the sum of the others, always. `running`: granted, called, or waiting to be stored."""

    total: int = 0
    parked: int = 0
    running: int = 0
    stored: int = 0
    failed: int = 0
    cancelled: int = 0


class Failure(BaseModel):
    """A request that ended as failed, and the sentence that says why."""

    request: str
    symbol: str
    reason: str


class JobStatus(BaseModel):
    """A job at this moment. `eta_seconds`: at the limits of the keys, or at the pace so far where that is slower; None while
    neither says anything. `trouble`: sentences to act on."""

    job: str
    provider: str
    state: Literal["running", "done", "failed", "cancelled"]
    requests: Counts
    rows: int
    rejects: int
    eta_seconds: int | None
    failures: list[Failure]
    reject_reasons: dict[str, int]
    trouble: list[str]


@dataclass(frozen=True, slots=True)
class Submitted:
    """`new` False: the same job had been submitted before, and goes on where it is."""

    job_id: str
    requests: int
    new: bool


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A line of the list of jobs. `trouble`: why only its id is known; then the provider is UNKNOWN, the dates are None."""

    job_id: str
    provider: str
    symbols: int
    timespan: str
    start: date | None
    end: date | None
    created_at: datetime
    trouble: str = ""


def submit(
    provider: str,
    symbols: Sequence[str],
    *,
    start: date,
    end: date,
    timespan: str = "1d",
    dataset: str = "bars",
    adjustment: str | None = None,
    again: bool = False,
) -> Submitted:
    """Plans a job, records it, and parks its requests. Sending the same again resumes it, unless `again`.

    Raises UserError, and then nothing was recorded unless the sentence says so.
    """
    spec = make_spec(
        provider, symbols, start=start, end=end, timespan=timespan, dataset=dataset, adjustment=adjustment, again=again
    )
    requests = plan(spec)
    if not labels(spec.provider):
        raise UserError(
            f"No API key is configured for {provider}, so nothing was submitted. Set "
            f"MARKETFETCH_PROVIDERS__{provider.upper()}__API_KEYS='[\"label:secret\"]' or api_keys in marketfetch.toml."
        )
    store = _database()
    _with_redis(lambda: refusals.must_take_writes(connections.redis()), "nothing was submitted")
    job = Job(id=spec.id, spec=spec.model_dump_json(), created_at_ms=time.time_ns() // 1_000_000)
    try:
        new = store.save_job(job, [request.root for request in requests])
    except StoreError as error:
        raise UserError(f"The job was not recorded: {error}") from error
    unfed = f"job {job.id} is recorded but not all of it is parked; it goes on by itself when a worker runs, or send it again"
    try:
        _with_redis(lambda: feed(store, job, requests), unfed)
    except StoreError as error:
        raise UserError(f"{error}: {unfed}") from error
    return Submitted(job_id=job.id, requests=len(requests), new=new)


def status(job_id: str) -> JobStatus:
    """A job at this moment. Costs a few queries and one look at what moves in Redis, whatever is parked.

    Of a job that can't be read the ledger tells what is over; `trouble` says why nothing more is known.
    """
    store = _database()
    try:
        job = store.job(job_id)
        if job is None:
            raise UserError(_unknown_job(job_id, store))
        tally, failed, todo = store.tally(job_id), store.failures(job_id), store.unfinished(job_id)
    except StoreError as error:
        raise UserError(f"The status of job {job_id} is not known: {error}") from error
    spec, unreadable = _spec(job)
    provider = spec.provider if spec else UNKNOWN
    try:
        open_keys, moving, sentences = _in_redis(spec.provider if spec else None, bool(todo))
    except RedisError as error:
        # How what is over has ended stands in the ledger.
        open_keys, moving, sentences = [], set(), [refusals.told(error, ", so what runs is not known")] if todo else []
    if unreadable and unreadable not in sentences:
        sentences.insert(0, unreadable)
    # Of a cancelled job what runs comes to its end; everything else that is not over is cancelled.
    running = min(sum(1 for one in todo if one.request_id in moving), tally.pending + tally.cancelled)
    counts = Counts(
        total=tally.total,
        parked=tally.pending - (running if tally.pending else 0),
        running=running,
        stored=tally.stored + tally.empty,
        failed=tally.failed,
        cancelled=tally.cancelled - (0 if tally.pending else running),
    )
    return JobStatus(
        job=job_id,
        provider=provider,
        state=_state(job, tally, running),
        requests=counts,
        rows=tally.rows,
        rejects=tally.rejects,
        eta_seconds=_eta_seconds(job, provider, tally, open_keys),
        failures=[Failure(request=row.request_id, symbol=row.symbol, reason=row.reason) for row in failed],
        reject_reasons=tally.reject_reasons,
        trouble=sentences,
    )


def cancel(job_id: str) -> JobStatus:
    """No more calls for this job: what waits leaves the lane, what runs comes to its end. Other jobs keep what they share.

    Submitting it again, or `resume`, lets it go on. Raises UserError.
    """
    store = _database()
    job = _known(store, job_id)
    spec, _ = _spec(job)
    # Of one that can't be read nobody knows the vendor, and its requests can only be where they were parked.
    gates = [connections.gate(name) for name in ((spec.provider,) if spec else PROVIDERS)]
    try:
        store.cancel_job(job_id, at_ms=time.time_ns() // 1_000_000)
    except StoreError as error:
        raise UserError(f"Job {job_id} was not cancelled: {error}") from error
    marked = "the job is marked as cancelled, and what is parked leaves the lane when a worker finds Redis again"
    try:
        for gate in gates:
            _with_redis(partial(withdraw, store, gate, job_id), marked)
    except StoreError as error:
        raise UserError(f"{error}: {marked}") from error
    return status(job_id)


def resume(job_id: str) -> int:
    """Feeds a job at once, a cancelled one too; how many requests were not in the gate. Raises UserError."""
    store = _database()
    job = _known(store, job_id)
    spec_of(job)  # one that can't be read stays as it is
    _with_redis(lambda: refusals.must_take_writes(connections.redis()), "nothing was resumed")
    try:
        store.save_job(job, ())
        return _with_redis(lambda: feed(store, job), "nothing was resumed")
    except StoreError as error:
        raise UserError(f"Job {job_id} was not resumed: {error}") from error


def resume_all() -> dict[str, int | UserError]:
    """Feeds every open job: per job, how many requests were not in the gate, or why it can't go on.

    Raises UserError where no job can: Redis or the database is away.
    """
    store = _database()
    try:
        return {job.id: _resumed(store, job) for job in store.open_jobs()}
    except StoreError as error:
        raise UserError(f"The jobs were not resumed: {error}") from error
    except RedisError as error:
        raise UserError(refusals.told(error, ": not every job was resumed")) from error


def _resumed(store: Store, job: Job) -> int | UserError:
    try:
        return feed(store, job)
    except UserError as error:
        return error
    except StoreUnavailable:
        raise  # so are the other jobs
    except StoreError as error:
        return UserError(str(error))


def retry(job_id: str) -> int:
    """The failed requests of a job are made again; how many. Raises UserError."""
    store = _database()
    job = _known(store, job_id)
    spec_of(job)
    try:
        revives = job.cancelled_at_ms is not None and store.unfinished(job_id, limit=1)
    except StoreError as error:
        raise UserError(f"Nothing of job {job_id} was retried: {error}") from error
    if revives:
        # Nobody who asks for what has failed means all that was cancelled.
        raise UserError(f"Job {job_id} is cancelled: `marketfetch resume {job_id}` lets all of it go on. Nothing was retried.")
    # Before anything is forgotten: what has failed would else be to do again although the sentence says that nothing was done.
    _with_redis(lambda: refusals.must_take_writes(connections.redis()), "nothing was retried")
    try:
        failed = store.forget_failed(job_id)
    except StoreError as error:
        raise UserError(f"Nothing of job {job_id} was retried: {error}") from error
    if failed:
        resume(job_id)
    return failed


def latest(limit: int = 20) -> list[JobSummary]:
    """The latest jobs, newest first."""
    try:
        jobs = _database().latest_jobs(limit)
    except StoreError as error:
        raise UserError(f"The jobs can't be listed: {error}") from error
    return [_summary(job) for job in jobs]


def _database() -> Store:
    try:
        return connections.store()
    except StoreError as error:
        raise UserError(f"The database can't be used: {error}") from error


def _with_redis(ask: Callable[[], T], consequence: str) -> T:
    try:
        return ask()
    except RedisError as error:
        raise UserError(refusals.told(error, f": {consequence}")) from error


def _in_redis(provider: str | None, unfinished: bool) -> tuple[list[KeyReport], set[str], list[str]]:
    """The keys of this pool, the ids that move in it, and the sentences an operator should read. None: nobody knows which."""
    redis = connections.redis()
    sentences = trouble.sentences(redis)
    if provider is None:
        return [], set(), sentences
    gate = connections.gate(provider)
    now = report(gate, keys(provider))
    sentences += [_of_key(provider, one) for one in now if unfinished]
    # Workers that wait for it may leave no sign of life.
    if refused := refusals.sentence(redis, safe_url(redis_url())):
        sentences.append(refused)
    elif unfinished and not releasers(redis):
        sentences.append(
            "No worker is running, so nothing is fetched. Start one: `marketfetch up`, or `celery -A tasks worker`."
        )
    return now, gate.moving(), [sentence for sentence in sentences if sentence]


def _of_key(provider: str, key: KeyReport) -> str:
    """Why a key makes no call now, "" if it may, or will in a moment."""
    name = f"the key {key.label!r} of {provider}"
    if key.aside_why:
        return f"T{name[1:]} is set aside: {key.aside_why}. `marketfetch quotas resume {key.label}` tries it again."
    if key.paused_ms:
        return f"Calls with {name} rest for {key.paused_ms / 1000:.0f} s more: {key.paused_why}"
    full = [use for use in key.limits if use.resets_ms > _WORTH_TELLING_MS]
    if not full:
        return ""
    last = max(full, key=lambda use: use.resets_ms)
    return f"Calls with {name} have used up {last.text}; the next one is free in {last.resets_ms / 1000:.0f} s."


def _state(job: Job, tally: Tally, running: int) -> Literal["running", "done", "failed", "cancelled"]:
    if tally.pending or running:
        return "running"
    if job.cancelled_at_ms is not None and tally.cancelled:
        return "cancelled"
    return "failed" if tally.failed else "done"


def _eta_seconds(job: Job, provider: str, tally: Tally, now: Sequence[KeyReport]) -> int | None:
    if not tally.pending:
        return 0
    if provider == UNKNOWN:
        return None
    at_limits = seconds_for(tally.pending, keys(provider), now)
    done = tally.total - tally.pending - tally.cancelled
    elapsed_s = time.time() - job.created_at_ms / 1000
    at_pace = elapsed_s / done * tally.pending if done else None
    if at_pace is None:
        return round(at_limits) if at_limits else None
    # The pace of a first burst, or of a job that was left alone for a day, says less than the limits do.
    return round(at_limits) if at_limits else round(at_pace)


def _known(store: Store, job_id: str) -> Job:
    try:
        job = store.job(job_id)
    except StoreError as error:
        raise UserError(f"Job {job_id} can't be looked up: {error}") from error
    if job is None:
        raise UserError(_unknown_job(job_id, store))
    return job


def _unknown_job(job_id: str, store: Store) -> str:
    known = [job.id for job in store.latest_jobs(50)]
    close = difflib.get_close_matches(job_id, known, n=1, cutoff=0.5)
    if close:
        return f"There is no job {job_id!r}. Did you mean {close[0]}?"
    return f"There is no job {job_id!r} in this database. `marketfetch status` lists the latest ones."


def _spec(job: Job) -> tuple[JobSpec | None, str]:
    """What was asked; None, and why, where that can't be read."""
    try:
        return spec_of(job), ""
    except UnreadableJob as error:
        return None, str(error)


def _summary(job: Job) -> JobSummary:
    created = datetime.fromtimestamp(job.created_at_ms / 1000, UTC)
    spec, unreadable = _spec(job)
    if spec is None:
        return JobSummary(job.id, UNKNOWN, 0, "", None, None, created, unreadable)
    return JobSummary(job.id, spec.provider, len(spec.symbols), spec.timespan, spec.start, spec.end, created)
