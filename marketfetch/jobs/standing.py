"""How a job stands, from the ledger's counts and what Redis knows: requests by state, rate, time left, and the next call."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Final

from marketfetch.jobs.feeding import AHEAD
from marketfetch.jobs.job_values import Counts, NextCall, State
from marketfetch.jobs.redis_view import PoolView
from marketfetch.quotas.values import KeyReport
from marketfetch.storage.open_tallies import RECENT_MS
from marketfetch.storage.store import Job, Tally

#: The priority of every job's requests. Smaller numbers go first.
_PRIORITY: Final = 5
#: Fewer requests say nothing of how fast a job is.
_FEWEST: Final = 3
#: A key that opens sooner is nothing to wait for.
_WORTH_WAITING_MS: Final = 1_000


def counts_of(tally: Tally, moving: int) -> Counts:
    """`moving`: how many of the job's requests that are not over are granted, running or held."""
    # Running requests of a cancelled job still end; all others that are not over count as cancelled.
    running = min(moving, tally.pending + tally.cancelled)
    return Counts(
        total=tally.total,
        parked=tally.pending - (running if tally.pending else 0),
        running=running,
        stored=tally.stored + tally.empty,
        failed=tally.failed,
        cancelled=tally.cancelled - (0 if tally.pending else running),
    )


def state_of(job: Job, counts: Counts) -> State:
    """`pending` requests and those that still run keep a job running."""
    if counts.parked or counts.running:
        return "running"
    # Also when another job has completed all of its requests: only `resume` ends the cancellation. `job` was read before the
    # counts, so a cancellation in between shows in the counts alone.
    if job.cancelled_at_ms is not None or counts.cancelled:
        return "cancelled"
    return "failed" if counts.failed else "done"


def ended_at(job: Job, tally: Tally, state: State) -> datetime | None:
    """When the last request was over; of a cancelled job, when it was cancelled. None for one that runs."""
    if state == "running":
        return None
    # A job without that moment was cancelled after it was read, which is now.
    cancelled_ms = job.cancelled_at_ms or time.time_ns() // 1_000_000
    # Requests that another job had made before were over before this job was submitted.
    last_ms = max(job.created_at_ms, tally.last_over_ms, cancelled_ms if state == "cancelled" else 0)
    return datetime.fromtimestamp(last_ms / 1000, UTC)


def rate_per_minute(job: Job, tally: Tally, now_ms: int) -> float:
    """The requests that were over in the last minute; of a younger job as many as a minute would have brought."""
    span_ms = min(RECENT_MS, max(1_000, now_ms - job.created_at_ms))
    return round(tally.recent * RECENT_MS / span_ms, 1)


def eta_seconds(job: Job, tally: Tally, counts: Counts, pool: PoolView, *, rate: float) -> int | None:
    """Seconds until the last request may be over: at the limits, or at `rate` (a minute) where that is slower.

    `rate` is the one that is shown beside it, so that the two agree, also in the minute after a resume.

    None where no key is in service, or neither is known.
    """
    at_limits = pool.timetable.seconds(_calls_before(job.id, counts.parked, pool.lane))
    if at_limits is None:
        return None
    left = counts.parked + counts.running
    at_rate = 60 * left / rate if tally.recent >= _FEWEST and rate else 0.0
    if longest := max(at_limits, at_rate):
        return max(1, round(longest))
    # Neither a limit nor a rate is known.
    return None if counts.parked or not counts.running else 1


def next_call(pool: PoolView) -> NextCall | None:
    """The first key that may call again, and what keeps it; None when one may call now, or at the end of an open call."""
    keys = [key for key in pool.keys if not key.aside_why]
    opens = [key.opens_ms for key in keys]
    if not keys or None in opens:
        return None
    first = min(keys, key=lambda key: key.opens_ms or 0)
    if not first.opens_ms or first.opens_ms < _WORTH_WAITING_MS:
        return None
    return NextCall(seconds=math.ceil(first.opens_ms / 1000), key=first.label, **_obstacle(first, first.opens_ms))


def _obstacle(key: KeyReport, opens_ms: int) -> dict[str, str]:
    if key.paused_ms >= opens_ms:
        return {"why": key.paused_why}
    return {"limit": max(key.limits, key=lambda use: use.resets_ms).text}


def _calls_before(job_id: str, parked: int, lane: dict[tuple[int, str], int]) -> int:
    """How many calls the pool makes until the last of the job's parked requests: jobs of one priority take turns."""
    others = {turn: number for turn, number in lane.items() if turn[1] != job_id and turn[0] <= _PRIORITY}
    calls = parked + sum(min(number, parked) if priority == _PRIORITY else number for (priority, _), number in others.items())
    if parked > AHEAD:
        return calls
    # A request that another job has parked too has one place, and is called once.
    own = lane.get((_PRIORITY, job_id), 0)
    return max(parked, min(calls, own + sum(others.values())))
