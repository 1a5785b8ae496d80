"""feed: parks what is to do of a job. Submit, resume, the sweep and the repair of an emptied Redis are this one function.

To do = (plan and the pages named by the ledger) - ledger. What the gate holds already is left alone, so that feeding is
harmless at any time and by any number of processes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from redis.exceptions import LockError, RedisError

from marketfetch import connections
from marketfetch.exceptions import MarketfetchError, UnreadableJob
from marketfetch.jobs.planning import plan, spec_of
from marketfetch.lazy_logger import logger
from marketfetch.ops import alerts
from marketfetch.quotas import Gate, Parking
from marketfetch.schemas.request import Request
from marketfetch.storage.store import Job, Store, StoreError, StoreUnavailable, Unfinished

log = logger("marketfetch.feeding")

#: So many requests of a job stand in Redis at once; the sweep brings the next ones while these are made.
AHEAD: Final = 10_000
#: Who sweeps holds this key until the sweep ends; the others need not. It lives so long where its holder has died.
_SWEEPING: Final = "mf:sweeping"
_SWEEP_HELD_S: Final = 20


def feed(store: Store, job: Job, planned: list[Request] | None = None) -> int:
    """Parks what is to do, in the order of the plan; how many were not in the gate yet. What is there already gains a waiter.

    `planned` spares planning again. Raises MarketfetchError, StoreError, RedisError.
    """
    spec = spec_of(job)
    gate = connections.gate(spec.provider)
    # What is over, or cancelled, between this moment and park is known to the gate, and not parked as if it were new.
    looked_at_us = gate.now_us()
    if not _goes_on(store, job):
        return 0
    todo = _todo(store, job, plan(spec) if planned is None else planned)
    waiting = [Parking(id=request.id, arguments=request.arguments) for request in todo]
    parked = gate.park(waiting, job=job.id, looked_at_us=looked_at_us)
    if not parked:
        return 0
    # The gate may have been emptied meanwhile, or its clock stepped: then it knew nothing of that.
    over = store.over([request.id for request in todo])
    if over:
        gate.withdraw(sorted(over), who=job.id)
    if not _goes_on(store, job):
        withdraw(store, gate, job.id)
        return 0
    return max(0, parked - len(over))


def withdraw(store: Store, gate: Gate, job_id: str) -> None:
    """Takes all that is to do of a cancelled job out of the gate. Raises StoreError, RedisError."""
    gate.shut_out(job_id)
    seen: set[str] = set()
    # What is stored meanwhile names next pages, which are parked: it looks again until nothing new turns up.
    while new := [one.request_id for one in store.unfinished(job_id) if one.request_id not in seen]:
        gate.withdraw(new, who=job_id)
        seen.update(new)


def withdraw_cancelled(gate: Gate) -> None:
    """Takes what is parked for cancelled jobs out of the gate, where whoever cancelled them could not.

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
    """Feeds every open job; how many requests were missing. One process at a time; others find nothing to do."""
    # Held with a token, so that who was slower than the key lives does not end the sweep of whoever came next.
    sweeping = connections.redis().lock(_SWEEPING, timeout=_SWEEP_HELD_S)
    if not sweeping.acquire(blocking=False):
        return 0
    try:
        store, found = connections.store(), 0
        for job in store.open_jobs():
            with suppress(LockError):  # somebody else sweeps too by now, which is harmless
                sweeping.reacquire()
            found += _fed(store, job)
        return found
    finally:
        with suppress(LockError):
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
    except (StoreUnavailable, RedisError, OSError):
        raise  # so are the other jobs: the keeper says it once
    except StoreError as error:
        log.warning("job not looked at", job=job.id, error=str(error), next_step="looks again at the next sweep")
        return 0
    except Exception:
        # Our own mistake: it would be made at each sweep, and the jobs behind this one are not concerned.
        log.exception("job not looked at", job=job.id, next_step="goes on with the next job")
        return 0
    if parked:
        log.info("requests parked", job=job.id, requests=parked)
    return parked


def _wants_more(store: Store, job: Job) -> bool:
    """A quick look that spares planning a job of which everything is in the gate, or enough of it."""
    gate = connections.gate(spec_of(job).provider)
    if gate.in_lane(job.id) >= AHEAD // 2:
        return False
    unfinished = store.unfinished(job.id, limit=AHEAD)
    return len(unfinished) == AHEAD or not gate.knows([one.request_id for one in unfinished])


def _todo(store: Store, job: Job, planned: list[Request]) -> list[Request]:
    """What is to do, at most AHEAD, in the order of the plan."""
    by_root = {request.root: position for position, request in enumerate(planned)}
    unfinished = store.unfinished(job.id)
    lost = [one.root for one in unfinished if one.root not in by_root]
    if lost:
        alerts.report(
            f"job {job.id}",
            f"{len(lost)} requests of job {job.id} are not in its plan any more, since settings have changed how ranges are "
            f"split (page_limit, symbols_per_request, plan): set them back, or cancel the job and submit it anew.",
        )
    wanted = sorted((one for one in unfinished if one.root in by_root), key=lambda one: (by_root[one.root], one.page))
    return [_page(planned[by_root[one.root]], one) for one in wanted[:AHEAD]]


def _page(request: Request, one: Unfinished) -> Request:
    """The request for the page at which the ledger stopped."""
    return request if one.page == 0 else request.model_copy(update={"page": one.page, "cursor": one.cursor})
