"""The state of a job at this moment, and the list of jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

from pydantic import BaseModel
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.addresses import redis_url
from marketfetch.configured import keys
from marketfetch.exceptions import BadRequestError, UnavailableError, UnreadableJob
from marketfetch.jobs.lookup import known_job
from marketfetch.jobs.planning import make_handle, spec_of
from marketfetch.jobs.submission import database
from marketfetch.ops import alerts, redis_writes
from marketfetch.ops.workers import heartbeats, unserved
from marketfetch.quotas.estimates import seconds_for
from marketfetch.quotas.reporting import report
from marketfetch.quotas.values import KeyReport
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.storage.store import Job, StoreError, Tally

#: Stands for the vendor's name of a job that can't be read.
UNKNOWN: Final = "unknown"
#: A key that opens sooner is not worth an alert.
_WORTH_AN_ALERT_MS = 2_000


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


class Failure(BaseModel):
    """A failed request: its id, its symbol, and the reason as a sentence."""

    request: str
    symbol: str
    reason: str


class JobStatus(BaseModel):
    """A job at this moment.

    `state` is "failed" when the job is over and at least one request failed. `eta_seconds`: the time left at the limits of the
    keys, else at the pace so far; None while neither is known. `reject_reasons`: rows rejected, by reason. `trouble`: what an
    operator should act on, one sentence each. `owner`, `name`, `tags`: as `submit` was given them, "" and empty without.
    """

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
    owner: str = ""
    name: str = ""
    tags: list[str] = []


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A line of the list of jobs. `symbols`: how many. `trouble`: why an unreadable job shows only its id and its date;
    then `provider` is "unknown", and the dates are None."""

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


def status(job_id: str) -> JobStatus:
    """Returns the state of a job. Costs a few queries and a few Redis calls, however many requests are parked.

    `job_id` may be the beginning of an id, 4 digits or more, that no other job has; here and wherever a job is named.

    While Redis is away, and for a job that can't be read, the counts come from the database alone; `trouble` says so. Raises
    UnknownJob, BadRequestError (several jobs begin so) and UnavailableError.
    """
    store = database()
    job = known_job(store, job_id)
    job_id = job.id
    try:
        tally, failed, todo = store.tally(job_id), store.failures(job_id), store.unfinished(job_id)
    except StoreError as error:
        raise UnavailableError(f"The status of job {job_id} is not known: {error}") from error
    spec, unreadable = spec_or_reason(job)
    provider = spec.provider if spec else UNKNOWN
    try:
        open_keys, moving, sentences = _in_redis(spec.provider if spec else None, bool(todo))
    except RedisError as error:
        # The ledger still knows what is over.
        open_keys, moving, sentences = [], set(), [redis_writes.told(error, ", so what runs is not known")] if todo else []
    if unreadable and unreadable not in sentences:
        sentences.insert(0, unreadable)
    # Running requests of a cancelled job still end; all others that are not over count as cancelled.
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
        owner=job.owner,
        name=job.name,
        tags=list(job.tags),
    )


def list_jobs(limit: int = 20, *, owner: str = "", tag: str = "") -> list[JobSummary]:
    """Returns the latest jobs, newest first, at most `limit` (1 or more); of one owner, or with one tag, where it is given.

    Raises BadRequestError and UnavailableError.
    """
    if not isinstance(limit, int) or limit < 1:
        raise BadRequestError(f"The limit of the list of jobs is 1 or more (got {limit}).")
    asked = make_handle(owner, tags=[tag] if tag else [])
    try:
        jobs = database().latest_jobs(limit, owner=asked.owner, tag="".join(asked.tags))
    except StoreError as error:
        raise UnavailableError(f"The jobs can't be listed: {error}") from error
    return [_summary(job) for job in jobs]


def _in_redis(provider: str | None, unfinished: bool) -> tuple[list[KeyReport], set[str], list[str]]:
    """Returns the keys of the vendor's pool, the ids of running requests, and what an operator should act on.

    `provider` None: the job can't be read, so its pool is unknown.
    """
    redis = connections.redis()
    sentences = alerts.sentences(redis)
    if provider is None:
        return [], set(), sentences
    gate = connections.gate(provider)
    now = report(gate, keys(provider))
    sentences += [_of_key(provider, one) for one in now if unfinished]
    # Workers that wait for Redis may not renew their heartbeat, so this check precedes "no worker".
    if refused := redis_writes.sentence(redis, redis_url().shown):
        sentences.append(refused)
    elif unfinished:
        sentences.append(unserved(provider, heartbeats(redis)))
    return now, gate.moving(), [sentence for sentence in sentences if sentence]


def _of_key(provider: str, key: KeyReport) -> str:
    """Says why a key makes no call now; "" if it may call, or opens in a moment."""
    name = f"the key {key.label!r} of {provider}"
    if key.aside_why:
        return f"T{name[1:]} is set aside: {key.aside_why}. `marketfetch quotas resume {key.label}` tries it again."
    if key.paused_ms:
        return f"Calls with {name} rest for {key.paused_ms / 1000:.0f} s more: {key.paused_why}"
    if key.suspected_why:
        return f"Calls with {name} go one at a time, and the next one decides on it: {key.suspected_why}"
    full = [use for use in key.limits if use.resets_ms > _WORTH_AN_ALERT_MS]
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
    # The limits are the better estimate: a first burst is faster than the rest, a job left alone for a day is slower.
    return round(at_limits) if at_limits else round(at_pace)


def spec_or_reason(job: Job) -> tuple[JobSpec | None, str]:
    """Returns what was asked and ""; None and the reason if the record can't be read."""
    try:
        return spec_of(job), ""
    except UnreadableJob as error:
        return None, str(error)


def _summary(job: Job) -> JobSummary:
    created = datetime.fromtimestamp(job.created_at_ms / 1000, UTC)
    spec, unreadable = spec_or_reason(job)
    handle = (job.owner, job.name, job.tags)
    if spec is None:
        return JobSummary(job.id, UNKNOWN, 0, "", None, None, created, unreadable, *handle)
    return JobSummary(job.id, spec.provider, len(spec.symbols), spec.timespan, spec.start, spec.end, created, "", *handle)
