"""feed: parks the remaining requests of a job. Submit, resume, the sweep and the repair of an emptied Redis are this function.

Remaining = (recorded plan and the next pages in the ledger) - ledger. Requests that the gate already has stay unchanged, so
that any number of processes may feed at any time.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final

from marketfetch import connections, redis_errors
from marketfetch.exceptions import MarketfetchError, UnreadableJob
from marketfetch.jobs.planning import plan, spec_of
from marketfetch.lazy_logger import logger
from marketfetch.ops import alerts
from marketfetch.quotas import Gate, Parking
from marketfetch.redis_keys import named
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.storage.store import Job, Store, StoreError, StoreUnavailable, ToDo, Unfinished
from marketfetch.vendors.generations import other_generations

log = logger("marketfetch.feeding")

#: The most requests of one job in Redis at once; the sweep parks the next ones while these run.
AHEAD: Final = 10_000
#: The lock of the sweep: one process sweeps at a time. The lock expires after this long if its holder crashes.
_SWEEPING: Final = "mf:sweeping"
_SWEEP_HELD_S: Final = 20


def feed(store: Store, job: Job) -> int:
    """Parks the job's remaining requests in the order of the plan; returns how many are new. Known ones gain a waiter.

    Raises MarketfetchError, StoreError, RedisError.
    """
    spec = spec_of(job)
    gate = connections.gate(spec.provider)
    # The gate remembers requests that end, and jobs that are cancelled, after this moment, and does not park them as new.
    looked_at_us = gate.now_us()
    if not _goes_on(store, job):
        return 0
    waiting = _waiting(store, job, spec)
    parked = gate.park(waiting, job=job.id, priority=spec.priority, looked_at_us=looked_at_us)
    if not parked:
        return 0
    # The gate may have been emptied meanwhile, or its clock stepped: then it did not remember them.
    over = store.over([one.id for one in waiting])
    if over:
        gate.withdraw(sorted(over), who=job.id)
    if not _goes_on(store, job):
        withdraw(store, gate, job.id)
        return 0
    return max(0, parked - len(over))


def withdraw(store: Store, gate: Gate, job_id: str) -> None:
    """Removes a cancelled job's remaining requests from the gate. Raises StoreError, RedisError."""
    gate.exclude_job(job_id)
    seen: set[str] = set()
    # A request that is stored meanwhile has parked its next page, so the loop ends only when nothing new appears.
    while new := [one.request_id for one in store.unfinished(job_id) if one.request_id not in seen]:
        gate.withdraw(new, who=job_id)
        seen.update(new)


def withdraw_cancelled(gate: Gate) -> None:
    """Removes the requests of cancelled jobs from the gate, where the cancelling process could not.

    Raises StoreError, RedisError.
    """
    store = connections.store()
    for job in store.cancelled_jobs():
        if gate.in_lane(job.id):
            withdraw(store, gate, job.id)
            log.info("cancelled job left the lane", job=job.id, pool=gate.pool)


def _goes_on(store: Store, job: Job) -> bool:
    standing = store.job(job.id)
    return standing is not None and standing.cancelled_at_ms is None


def sweep() -> int:
    """Feeds every open job; returns how many requests were missing. One process sweeps at a time; others return 0."""
    # The lock has a token, so that a sweep that outlived its lock does not release the next one's.
    redis = connections.redis()
    sweeping = redis.lock(named(redis, _SWEEPING), timeout=_SWEEP_HELD_S)
    if not sweeping.acquire(blocking=False):
        return 0
    try:
        store, found = connections.store(), 0
        for job in store.open_jobs():
            with suppress(redis_errors.LockError):  # another process sweeps too by now, which is harmless
                sweeping.reacquire()
            found += _fed(store, job)
        return found
    finally:
        with suppress(redis_errors.LockError):
            sweeping.release()


def _fed(store: Store, job: Job) -> int:
    try:
        parked = feed(store, job) if _wants_more(store, job) else 0
    except UnreadableJob as error:
        alerts.report(f"job {job.id}", str(error))
        return 0
    except MarketfetchError as error:
        alerts.report(f"job {job.id}", f"Job {job.id} does not go on: {error}")
        return 0
    except (StoreUnavailable, redis_errors.RedisError, OSError):
        raise  # the other jobs fail in the same way: the sweeper logs it once
    except StoreError as error:
        log.warning("job not looked at", job=job.id, error=str(error), next_step="looks again at the next sweep")
        return 0
    except Exception:
        # A bug of ours would repeat at each sweep, and the remaining jobs do not depend on this one.
        log.exception("job not looked at", job=job.id, next_step="goes on with the next job")
        return 0
    if parked:
        log.info("requests parked", job=job.id, requests=parked)
    return parked


def _wants_more(store: Store, job: Job) -> bool:
    """A quick check that avoids planning a job whose requests, or enough of them, are in the gate."""
    gate = connections.gate(spec_of(job).provider)
    if gate.in_lane(job.id) >= AHEAD // 2:
        return False
    unfinished = store.unfinished(job.id, limit=AHEAD)
    return len(unfinished) == AHEAD or not gate.knows([one.request_id for one in unfinished])


def _waiting(store: Store, job: Job, spec: JobSpec) -> list[Parking]:
    """The remaining requests, at most AHEAD, in the order of the plan: the recorded one, which nothing changes any more."""
    remaining = store.to_do(job.id, AHEAD)
    if any(one.arguments is None for one in remaining):
        todo = _planned_anew(store, job, spec)
        return [Parking(id=request.id, arguments=request.arguments) for request in todo]
    return [Parking(id=one.request_id, arguments=_arguments(one, spec)) for one in remaining]


def _arguments(one: ToDo, spec: JobSpec) -> str:
    """The arguments of the first page that the ledger does not have."""
    recorded = one.arguments or "{}"
    if not one.page:
        return recorded
    first = Request.model_validate({"provider": spec.provider, **json.loads(recorded)})
    return _page(first, one).arguments


def _planned_anew(store: Store, job: Job, spec: JobSpec) -> list[Request]:
    """The remaining requests of a job that a release before has recorded, without its plan."""
    planned = plan(spec)
    by_root = {request.root: (position, request) for position, request in enumerate(planned)}
    unfinished = store.unfinished(job.id)
    if any(one.root not in by_root for one in unfinished):
        # A newer calendar or another delay may judge today what was final at the wish otherwise: the record decides.
        others = ((place, other) for place, one in enumerate(planned) for other in other_generations(spec, one))
        by_root |= {other.root: (place, other) for place, other in others}
    lost = [one.root for one in unfinished if one.root not in by_root]
    if lost:
        alerts.report(
            f"job {job.id}",
            f"{len(lost)} requests of job {job.id} are not in its plan any more, since settings have changed how ranges are "
            f"split (page_limit, symbols_per_request, plan): set them back, or cancel the job and submit it anew.",
        )
    wanted = sorted((one for one in unfinished if one.root in by_root), key=lambda one: (by_root[one.root][0], one.page))
    return [_page(by_root[one.root][1], one) for one in wanted[:AHEAD]]


def _page(request: Request, one: Unfinished) -> Request:
    """The request for the first page that the ledger does not have."""
    return request if one.page == 0 else request.model_copy(update={"page": one.page, "cursor": one.cursor})
