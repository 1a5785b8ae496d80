"""The list of jobs: how each of them stands, at the cost of a few queries and one Redis call for all of them together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marketfetch import redis_errors
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.jobs.job_status import UNKNOWN, spec_or_reason
from marketfetch.jobs.job_values import JobSummary
from marketfetch.jobs.lookup import recorded
from marketfetch.jobs.planning import make_handle
from marketfetch.jobs.redis_view import PoolView, RedisView, look
from marketfetch.jobs.standing import counts_of, ended_at, eta_seconds, next_call, rate_per_minute, state_of
from marketfetch.ops import dead_letters, redis_writes
from marketfetch.ops.workers import unserved
from marketfetch.quotas.lanes import lane
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.storage.store import Job, NoTables, StoreError, Tally


@dataclass(frozen=True, slots=True)
class Listing:
    """Jobs, newest first, and what an operator should act on, one sentence each."""

    jobs: list[JobSummary]
    trouble: list[str]


def list_jobs(limit: int = 20, *, owner: str = "", tag: str = "", failed: bool = False) -> list[JobSummary]:
    """Returns the latest jobs, newest first, at most `limit` (1 or more); of one owner, or with one tag, where it is given.

    With `failed` only those with a failed request.

    While Redis is away the counts come from the database alone. Raises BadRequestError and UnavailableError.
    """
    return listing(limit, owner=owner, tag=tag, failed=failed).jobs


def listing(
    limit: int, *, owner: str = "", tag: str = "", failed: bool = False, running: bool = False, also: Sequence[str] = ()
) -> Listing:
    """As `list_jobs`, with what an operator should act on.

    `running`: behind the latest jobs, each older one that runs, however many. `also`: ids of jobs to list in any case.
    """
    if not isinstance(limit, int) or limit < 1:
        raise BadRequestError(f"The limit of the list of jobs is 1 or more (got {limit}).")
    asked = make_handle(owner, tags=[tag] if tag else [])
    try:
        store = recorded()
        chosen: dict[str, Any] = {"owner": asked.owner, "tag": "".join(asked.tags), "failed": failed}
        jobs = store.latest_jobs(limit, **chosen)
        older = [*(store.running_jobs(**chosen) if running else []), *filter(None, map(store.job, also))]
        jobs = sorted({job.id: job for job in [*jobs, *older]}.values(), key=lambda job: (-job.created_at_ms, job.id))
        specs = {job.id: spec_or_reason(job) for job in jobs}
        view, trouble = _look(specs)
        ids = [job.id for job in jobs]
        tallies = store.tallies(ids)
        open_ids = [one for one in ids if tallies[one].pending or tallies[one].cancelled]
        moving = store.pending_among(open_ids, sorted({one for pool in view.pools.values() for one in pool.moving}))
    except NoTables:
        return Listing([], [])
    except StoreError as error:
        raise UnavailableError(f"The jobs can't be listed: {error}") from error
    found = [_summary(job, *specs[job.id], tallies[job.id], moving.get(job.id, 0), view) for job in jobs]
    if view.pools:
        called = sorted({one.provider for one in found if one.state == "running"} & {*view.pools})
        trouble += [sentence for one in called if (sentence := unserved(one, view.alive))]
    return Listing(found, trouble)


def _look(specs: dict[str, tuple[JobSpec | None, str]]) -> tuple[RedisView, list[str]]:
    try:
        view = look(sorted({spec.provider for spec, _ in specs.values() if spec}), list(specs))
    except redis_errors.RedisError as error:
        return RedisView(), [redis_writes.told(error, ", so what runs is not known")]
    unreadable = {reason for _, reason in specs.values()}
    return view, [*(one for one in view.alerts if one not in unreadable), *dead_letters.sentences(view.dead)]


def _summary(job: Job, spec: JobSpec | None, unreadable: str, tally: Tally, moving: int, view: RedisView) -> JobSummary:
    counts = counts_of(tally, moving)
    state = state_of(job, counts)
    runs = state == "running"
    rate = rate_per_minute(job, tally, time.time_ns() // 1_000_000)
    pool: PoolView | None = view.pools.get(spec.provider) if spec else None
    if pool and spec:
        pool = pool.of_lane(lane(spec.keys_of))
    return JobSummary(
        job_id=job.id,
        provider=spec.provider if spec else UNKNOWN,
        symbols=len(spec.symbols) if spec else 0,
        timespan=spec.timespan if spec else "",
        start=spec.start if spec and not spec.is_whole else None,
        end=spec.end if spec and not spec.is_whole else None,
        created_at=datetime.fromtimestamp(job.created_at_ms / 1000, UTC),
        trouble=unreadable,
        owner=job.owner,
        name=job.name,
        tags=job.tags,
        first_symbol=spec.symbols[0] if spec else "",
        dataset=spec.dataset if spec else "",
        adjustment=spec.adjustment if spec else None,
        state=state,
        requests=counts,
        rows=tally.rows,
        rejects=tally.rejects,
        rate_per_minute=rate if runs else None,
        eta_seconds=(eta_seconds(job, tally, counts, pool, rate=rate) if pool and view.serves(pool.name) else None)
        if runs
        else 0,
        next_call=next_call(pool) if pool and counts.parked else None,
        ended_at=ended_at(job, tally, state),
    )
