"""What a user may do to a recorded job: cancel, resume, retry, wait for its end."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Final

from marketfetch import connections, redis_errors, vendors
from marketfetch.addresses import database_choice
from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError
from marketfetch.jobs.feeding import feed, withdraw
from marketfetch.jobs.job_status import spec_or_reason, status
from marketfetch.jobs.job_values import JobStatus
from marketfetch.jobs.lookup import known_job, recorded
from marketfetch.jobs.planning import spec_of
from marketfetch.jobs.submission import with_redis
from marketfetch.ops import redis_writes
from marketfetch.storage.store import Job, NoTables, Store, StoreError, StoreUnavailable

#: How often a waiting process looks at a job: the first look comes soon, as one request takes a tenth of a second.
_LOOKS_EVERY_S: Final = 0.25
_FIRST_LOOK_S: Final = 0.02
#: The share of the time waited so far that passes until the next look.
_LATER: Final = 0.2


def wait(job_id: str, *, timeout_s: float | None = None) -> JobStatus:
    """Returns the final status of a job once it is over. Costs at most one `status` every quarter of a second after the first.

    Raises TimeoutError (the built-in class) after `timeout_s` seconds, and the job goes on; None waits without limit. Raises
    UnknownJob and UnavailableError.
    """
    deadline = deadline_of(timeout_s, time.monotonic())
    pause, asked = threading.Event(), time.monotonic()
    while True:
        began = time.monotonic()
        found = status(job_id)
        job_id = found.job
        if found.state != "running":
            return found
        until_next_s = pause_s(time.monotonic() - began, waited_s=began - asked)
        if timeout_s is not None and deadline is not None and time.monotonic() + until_next_s > deadline:
            raise not_over(found, timeout_s)
        pause.wait(until_next_s)


def deadline_of(timeout_s: float | None, now: float) -> float | None:
    """When a wait that begins `now` is too long; None without a limit. Raises BadRequestError for what is no number."""
    if timeout_s is not None and not isinstance(timeout_s, int | float):
        raise BadRequestError(f"timeout_s is a number of seconds, or None for a wait without limit (got {timeout_s!r:.100}).")
    return None if timeout_s is None else now + timeout_s


def pause_s(status_s: float, *, waited_s: float) -> float:
    """The seconds until the next look at a job whose `status` took `status_s`: that of a million requests is expensive.

    At least four fifths of the time are left to the workers. The looks come closer together while `waited_s`, the seconds
    since the first one, are few: so the end of a short job is seen within a fifth of what it took.
    """
    return max(min(_LOOKS_EVERY_S, max(_FIRST_LOOK_S, _LATER * waited_s)), 4 * status_s)


def not_over(found: JobStatus, timeout_s: float) -> TimeoutError:
    """The error of a wait that was too short. It names what an operator should act on: the job may stand still until then."""
    late = f"Job {found.job} is not over after {timeout_s:g} s"
    if found.trouble:
        return TimeoutError(f"{late}: {' '.join(found.trouble)}")
    return TimeoutError(f"{late}; it goes on, and `wait` may be called again.")


def cancel(job_id: str) -> JobStatus:
    """Stops a job: parked requests leave Redis, running ones end and are stored. Returns the status after that.

    Requests that another job shares stay parked for it. The job stays cancelled, whatever becomes of them, until `resume` lets
    it go on; one that is over stays as it is. Raises UnknownJob and
    UnavailableError.
    """
    store = recorded()
    job = known_job(store, job_id)
    job_id = job.id
    spec, _ = spec_or_reason(job)
    # The vendor of an unreadable job is unknown, so its requests are looked for in every vendor's pool.
    gates = [connections.gate(name) for name in ((spec.provider,) if spec else vendors.names())]
    try:
        if store.is_over(job_id):
            return status(job_id)  # it stays done, or failed
        store.cancel_job(job_id, at_ms=time.time_ns() // 1_000_000)
    except StoreError as error:
        raise UnavailableError(f"Job {job_id} was not cancelled: {error}") from error
    marked = "the job is marked as cancelled, and what is parked leaves the lane when a worker finds Redis again"
    try:
        for gate in gates:
            with_redis(partial(withdraw, store, gate, job_id), marked)
    except StoreError as error:
        raise UnavailableError(f"{error}: {marked}") from error
    return status(job_id)


def resume(job_id: str) -> int:
    """Parks at once what a job still has to do, also of a cancelled one. Returns how many requests were not parked before.

    Workers do the same every few seconds, except for a cancelled job. Raises UnknownJob, BadRequestError (an unreadable job)
    and UnavailableError.
    """
    store = recorded()
    job = known_job(store, job_id)
    job_id = job.id
    spec_of(job)  # raises before anything of an unreadable job changes
    with_redis(lambda: redis_writes.must_take_writes(connections.redis()), "nothing was resumed")
    try:
        store.save_job(job, ())
        return with_redis(lambda: feed(store, job), "nothing was resumed")
    except StoreError as error:
        raise UnavailableError(f"Job {job_id} was not resumed: {error}") from error


def resume_all() -> dict[str, int | MarketfetchError]:
    """Resumes every open job. Returns, by job id, how many requests were not parked before, or why the job can't go on.

    Raises UnavailableError if no job can go on: Redis or the database is away.
    """
    store = recorded()
    try:
        return {job.id: _resumed(store, job) for job in store.open_jobs()}
    except NoTables as error:
        raise UnavailableError(f"There are no jobs: {error}. {database_choice()}") from error
    except StoreError as error:
        raise UnavailableError(f"The jobs were not resumed: {error}") from error
    except redis_errors.RedisError as error:
        raise UnavailableError(redis_writes.told(error, ": not every job was resumed")) from error


def _resumed(store: Store, job: Job) -> int | MarketfetchError:
    try:
        return feed(store, job)
    except MarketfetchError as error:
        return error
    except StoreUnavailable:
        raise  # the database is away for the other jobs too
    except StoreError as error:
        return UnavailableError(str(error))


def retry(job_id: str) -> int:
    """Forgets the failures of a job and parks these requests again. Returns how many they are.

    Raises UnknownJob, UnavailableError and BadRequestError: a cancelled job must be resumed, which lets all of it go on.
    """
    store = recorded()
    job = known_job(store, job_id)
    job_id = job.id
    spec_of(job)
    try:
        revives = job.cancelled_at_ms is not None and store.unfinished(job_id, limit=1)
    except StoreError as error:
        raise UnavailableError(f"Nothing of job {job_id} was retried: {error}") from error
    if revives:
        # Retrying failures must not resume a cancelled job.
        raise BadRequestError(
            f"Job {job_id} is cancelled: `marketfetch resume {job_id}` lets all of it go on. Nothing was retried."
        )
    # Checked before a failure is forgotten: else the sentence below would say that nothing was retried, and be wrong.
    with_redis(lambda: redis_writes.must_take_writes(connections.redis()), "nothing was retried")
    try:
        failed = store.forget_failed(job_id)
    except StoreError as error:
        raise UnavailableError(f"Nothing of job {job_id} was retried: {error}") from error
    if failed:
        resume(job_id)
    return failed
