"""The state of a job at this moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

from marketfetch import connections, redis_errors
from marketfetch.addresses import redis_url
from marketfetch.exceptions import UnavailableError, UnreadableJob
from marketfetch.jobs.job_values import Failure, JobStatus
from marketfetch.jobs.lacking import lacking
from marketfetch.jobs.lookup import known_job, recorded
from marketfetch.jobs.planning import spec_of
from marketfetch.jobs.redis_view import RedisView, look
from marketfetch.jobs.standing import counts_of, ended_at, eta_seconds, next_call, rate_per_minute, state_of
from marketfetch.lengths import in_words
from marketfetch.ops import redis_writes
from marketfetch.ops.workers import unserved
from marketfetch.quotas.lanes import lane
from marketfetch.quotas.reporting import UNSTARTED
from marketfetch.quotas.values import KeyReport
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.storage.store import Job, Store, StoreError
from marketfetch.storage.value_columns import changed_columns

#: Stands for the vendor's name of a job that can't be read.
UNKNOWN: Final = "unknown"
#: How many failures a JobStatus has; `failures` returns all.
_MOST_FAILURES: Final = 100
_MOST_EMPTY: Final = 100
_ALL: Final = 1 << 31


def status(job_id: str) -> JobStatus:
    """Returns the state of a job. Costs a few queries and one Redis call, however many requests are parked.

    `job_id` may be the beginning of an id, 4 digits or more, that no other job has; here and wherever a job is named.

    While Redis is away, and for a job that can't be read, the counts come from the database alone; `trouble` says so. Raises
    UnknownJob, BadRequestError (several jobs begin so) and UnavailableError.
    """
    store = recorded()
    job = known_job(store, job_id)
    job_id = job.id
    spec, unreadable = spec_or_reason(job)
    providers = [spec.provider] if spec else []
    away, view = "", RedisView()
    try:
        view = look(providers, [job_id])
    except redis_errors.RedisError as error:
        # The ledger still knows what is over.
        away = redis_writes.told(error, ", so what runs is not known")
    pool = view.pools[spec.provider].of_lane(lane(spec.keys_of)) if spec and spec.provider in view.pools else None
    try:
        tally, failed = store.tally(job_id), _failures(store, job, _MOST_FAILURES)
        moving = store.pending_among([job_id], sorted(pool.moving)).get(job_id, 0) if pool else 0
        counts = counts_of(tally, moving)
        state = state_of(job, counts)
        runs = state == "running"
        # While a job runs, the next request of a symbol may bring rows.
        changed = [one.sentence() for one in changed_columns(store, job_id=job_id)]
        lacks = [] if runs or spec is None else lacking(spec, job_id, store)
        empty, empty_total = store.empty_symbols(job_id, _MOST_EMPTY) if tally.empty and not runs else ([], 0)
    except StoreError as error:
        raise UnavailableError(f"The status of job {job_id} is not known: {error}") from error
    rate = rate_per_minute(job, tally, time.time_ns() // 1_000_000)
    return JobStatus(
        job=job_id,
        provider=spec.provider if spec else UNKNOWN,
        state=state,
        requests=counts,
        rows=tally.rows,
        rejects=tally.rejects,
        eta_seconds=(eta_seconds(job, tally, counts, pool, rate=rate) if pool and view.serves(pool.name) else None)
        if runs
        else 0,
        failures=failed,
        reject_reasons=tally.reject_reasons,
        trouble=_trouble(spec, unreadable, away, view, runs=runs),
        rate_per_minute=rate if runs else None,
        next_call=next_call(pool) if pool and counts.parked else None,
        created_at=datetime.fromtimestamp(job.created_at_ms / 1000, UTC),
        ended_at=ended_at(job, tally, state),
        owner=job.owner,
        name=job.name,
        tags=list(job.tags),
        empty=tally.empty,
        empty_symbols=empty,
        empty_symbols_total=empty_total,
        corrected=tally.corrected,
        changed_columns=changed,
        lacking_symbols=lacks[:_MOST_EMPTY],
        lacking_symbols_total=len(lacks),
    )


def _no_key(spec: JobSpec) -> str:
    whose = f"The owner {spec.keys_of!r} has no key" if spec.keys_of else "There is no key without an owner"
    option = f" --owner {spec.keys_of!r}" if spec.keys_of else ""
    return (
        f"{whose} of {spec.provider} any more, so the requests of this job wait: add one with `marketfetch set "
        f"providers.{spec.provider}.api_keys --add LABEL{option}`, or cancel the job."
    )


def failures(job_id: str) -> list[Failure]:
    """Returns every failed request of a job, by symbol. Raises UnknownJob and UnavailableError."""
    store = recorded()
    job = known_job(store, job_id)
    try:
        return _failures(store, job, _ALL)
    except StoreError as error:
        raise UnavailableError(f"The failures of job {job.id} are not known: {error}") from error


def _failures(store: Store, job: Job, limit: int) -> list[Failure]:
    return [
        Failure(request=row.request_id, symbol=row.symbol, reason=row.reason) for row in store.failures(job.id, limit=limit)
    ]


def _trouble(spec: JobSpec | None, unreadable: str, away: str, view: RedisView, *, runs: bool) -> list[str]:
    """What an operator should act on, of what concerns this job. A used-up limit is none of it: `next_call` has that."""
    found = [unreadable, *(one for one in view.alerts if one != unreadable)]
    if runs and away:
        found.append(away)
    elif runs and spec:
        pool = view.pools[spec.provider].of_lane(lane(spec.keys_of))
        found += [_of_key(spec.provider, key) for key in pool.keys]
        if not pool.keys:
            found.append(_no_key(spec))
        if pool.unstarted:
            found.append(f"Requests of {spec.provider} ({pool.unstarted:,}) {UNSTARTED}.")
        # Workers that wait for Redis may not renew their heartbeat, so this check precedes "no worker".
        if refused := _refusal():
            found.append(refused)
        else:
            found.append(unserved(spec.provider, view.alive))
    return [sentence for sentence in found if sentence]


def _refusal() -> str:
    try:
        return redis_writes.sentence(connections.redis(), redis_url().shown)
    except redis_errors.RedisError as error:
        return redis_writes.told(error, ", so what runs is not known")


def _of_key(provider: str, key: KeyReport) -> str:
    """Says why a key makes no call now, or few; "" if it may call, or has used up a limit."""
    name = f"the key {key.label!r} of {provider}"
    if key.aside_why:
        return f"T{name[1:]} is set aside: {key.aside_why}. `marketfetch quotas resume {key.label}` tries it again."
    if key.paused_ms:
        return f"Calls with {name} rest for {in_words(key.paused_ms / 1000)} more: {key.paused_why}"
    if key.suspected_why:
        return f"Calls with {name} go one at a time, and the next one decides on it: {key.suspected_why}"
    return ""


def spec_or_reason(job: Job) -> tuple[JobSpec | None, str]:
    """Returns what was asked and ""; None and the reason if the record can't be read."""
    try:
        return spec_of(job), ""
    except UnreadableJob as error:
        return None, str(error)
