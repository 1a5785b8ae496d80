"""How a job has ended, for its waiters: one JSON document, the same words as `status`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from marketfetch import connections
from marketfetch.jobs.job_status import spec_or_reason
from marketfetch.jobs.standing import counts_of, state_of
from marketfetch.storage.store import Job, Store, Tally


class EndCounts(BaseModel):
    """The requests of a job that is over, by outcome, their sum, and the rows; as in JobStatus."""

    total: int
    stored: int
    failed: int
    cancelled: int
    rows: int
    rejects: int


class JobEnd(BaseModel):
    """The end of a job. `outcome` is the last `state` of its status: "failed" if at least one request failed."""

    job: str
    outcome: Literal["done", "failed", "cancelled"]
    counts: EndCounts


def end_of(store: Store, job: Job) -> JobEnd | None:
    """How a job has ended, None while it goes on, or while requests of a cancelled one run. Raises StoreError, RedisError."""
    tally = store.tally(job.id)
    state = state_of(job, counts_of(tally, _running(store, job) if tally.cancelled else 0))
    return None if state == "running" else JobEnd(job=job.id, outcome=state, counts=_counts(tally))


def _running(store: Store, job: Job) -> int:
    spec, _ = spec_or_reason(job)
    if spec is None:
        return 0  # its vendor is unknown, so no worker of this release runs any of it
    moving = connections.gate(spec.provider).moving()
    return sum(1 for one in store.unfinished(job.id) if one.request_id in moving) if moving else 0


def _counts(tally: Tally) -> EndCounts:
    return EndCounts(
        total=tally.total,
        stored=tally.stored + tally.empty,
        failed=tally.failed,
        cancelled=tally.cancelled,
        rows=tally.rows,
        rejects=tally.rejects,
    )
