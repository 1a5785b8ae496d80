"""Purge of what is parked: a job's requests, or everything. What runs ends and is stored, as it has spent quota.

The next sweep would park the requests of an open job again, so a purge of a job's requests cancels the job; `resume` parks them
again. Other waiters keep what they share with it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from pydantic import BaseModel

from marketfetch import connections, vendors
from marketfetch.exceptions import UnavailableError
from marketfetch.jobs.job_status import status
from marketfetch.jobs.lookup import recorded
from marketfetch.jobs.steering import cancel
from marketfetch.jobs.submission import with_redis
from marketfetch.quotas import Gate, lane_view
from marketfetch.quotas.lane_view import TASK
from marketfetch.storage.store import StoreError

_AT_ONCE: Final = 500
_AGAIN: Final = "not everything was purged, run it again"
_REMOVED: Final = ("gone", "left")


class PurgedJob(BaseModel):
    """A job that is cancelled. `requests` make no call any more; `running` still end, and are stored."""

    job: str
    requests: int
    running: int


class PurgedLane(BaseModel):
    """What a purge has removed. `tasks`: users' tasks, which become REVOKED. `others`: parked requests of jobs that this
    database does not know."""

    jobs: list[PurgedJob]
    tasks: int = 0
    others: int = 0


class Parked(BaseModel):
    """What is parked at this moment: open jobs, users' tasks, and requests by vendor."""

    jobs: int
    tasks: int
    requests: dict[str, int]


def parked() -> Parked:
    """Counts what a purge of everything would remove. Raises UnavailableError."""
    return with_redis(_parked, "nothing was purged")


def _parked() -> Parked:
    gates = {name: connections.gate(name) for name in vendors.names()}
    return Parked(
        jobs=len(_open_jobs()),
        tasks=sum(len(lane_view.waiting_tasks(gate)) for gate in gates.values()),
        requests={name: many for name, gate in gates.items() if (many := gate.counts().parked)},
    )


def purge_job(job_id: str) -> PurgedLane:
    """Cancels a job and removes its parked requests. A job that is over stays as it is. Raises UnknownJob, UnavailableError."""
    before = status(job_id)
    if before.state in ("done", "failed"):
        return PurgedLane(jobs=[PurgedJob(job=before.job, requests=0, running=0)])
    after = cancel(before.job)
    purged = max(0, after.requests.cancelled - before.requests.cancelled)
    return PurgedLane(jobs=[PurgedJob(job=before.job, requests=purged, running=after.requests.running)])


def purge_all() -> PurgedLane:
    """Cancels every open job, revokes every parked task of users, and empties the lanes. Raises UnavailableError.

    It may be interrupted and run again. A worker marks the tasks as REVOKED within seconds, or when one starts. What is
    submitted meanwhile may stay.
    """
    with_redis(connections.redis().ping, "nothing was purged")
    purged = PurgedLane(jobs=[one for job_id in _open_jobs() for one in purge_job(job_id).jobs])
    for name in vendors.names():
        gate = connections.gate(name)
        purged.tasks += with_redis(partial(_revoke_tasks, gate), _AGAIN)
        purged.others += with_redis(partial(_remove_others, gate), _AGAIN)
    return purged


def _open_jobs() -> list[str]:
    try:
        return [job.id for job in recorded().open_jobs()]
    except StoreError as error:
        raise UnavailableError(f"The open jobs are not known, so nothing was purged: {error}") from error


def _revoke_tasks(gate: Gate) -> int:
    """Withdraws users' tasks, each for itself: the script announces one task to the releasers, which mark it as REVOKED."""
    revoked = 0
    for task_id, request_id in lane_view.waiting_tasks(gate):
        (left,) = gate.withdraw([request_id], who=f"{TASK}{task_id}")
        revoked += left.what in _REMOVED
    return revoked


def _remove_others(gate: Gate) -> int:
    """Removes the requests of jobs that this database does not know; returns how many."""
    before = _waiting(gate)
    for _ in range(before // _AT_ONCE + 1):
        found = lane_view.waiters(gate, _AT_ONCE)
        removed = [one for who, ids in found.items() for one in gate.withdraw(ids, who=who) if one.what in _REMOVED]
        if not removed:
            break
    return max(0, before - _waiting(gate))


def _waiting(gate: Gate) -> int:
    counts = gate.counts()
    return counts.parked + counts.granted
