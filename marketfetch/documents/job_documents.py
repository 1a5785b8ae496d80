"""The documents of jobs: the list, a submitted job, a forecast, and what a resume or a retry has parked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NotRequired, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch import Forecast, JobSummary, Submitted
    from marketfetch.jobs.job_list import Listing


class JobLine(TypedDict):
    """A job in the list. Dates and moments are ISO 8601; `requests` counts by state, as in the status of a job."""

    job: str
    provider: str
    symbols: int
    first_symbol: str
    dataset: str
    timespan: str
    adjustment: str | None
    start: str | None
    end: str | None
    created_at: str
    owner: str
    name: str
    tags: list[str]
    ended_at: str | None
    state: str
    requests: dict[str, int]
    rows: int
    rejects: int
    rate_per_minute: float | None
    eta_seconds: int | None
    next_call: dict[str, Any] | None
    trouble: NotRequired[str]


class JobList(TypedDict):
    """Jobs, newest first, and what an operator should act on, one sentence each."""

    jobs: list[JobLine]
    trouble: list[str]


class SubmittedJob(TypedDict):
    """A recorded job: its id, the calls that it takes without further pages, and whether it is new.

    `refreshed`: the symbols of which stored days are asked for again, since their adjusted prices are stale.
    """

    job: str
    requests: int
    new: bool
    refreshed: list[str]


class ForecastOfJob(TypedDict):
    """What a wish would cost: calls, rows, bytes of the replies, seconds until the last call at the limits of the keys.

    `market`: the `calls` with the whole market of a `dataset`, `instead_of` so many calls for so many `symbols`.
    `refreshed`: the symbols of which stored days are asked for again.
    """

    provider: str
    requests: int
    calls: int
    partly_stored: bool
    rows: int
    bytes: int
    keys: list[str]
    ahead: int
    seconds: float | None
    trouble: list[str]
    stored_rows: int
    market: dict[str, Any] | None
    refreshed: list[str]


class FedJob(TypedDict):
    """How many requests of a job were parked anew, or `error`: why it can't go on."""

    job: str
    requests: NotRequired[int]
    error: NotRequired[str]


class FedJobs(TypedDict):
    """The jobs that were resumed."""

    jobs: list[FedJob]


def job_line(one: JobSummary) -> JobLine:
    return {
        "job": one.job_id,
        "provider": one.provider,
        "symbols": one.symbols,
        "first_symbol": one.first_symbol,
        "dataset": one.dataset,
        "timespan": one.timespan,
        "adjustment": one.adjustment,
        "start": one.start.isoformat() if one.start else None,
        "end": one.end.isoformat() if one.end else None,
        "created_at": one.created_at.isoformat(),
        "owner": one.owner,
        "name": one.name,
        "tags": list(one.tags),
        "ended_at": one.ended_at.isoformat() if one.ended_at else None,
        "state": one.state,
        "requests": one.requests.model_dump(),
        "rows": one.rows,
        "rejects": one.rejects,
        "rate_per_minute": one.rate_per_minute,
        "eta_seconds": one.eta_seconds,
        "next_call": one.next_call.model_dump() if one.next_call else None,
        **({"trouble": one.trouble} if one.trouble else {}),  # type: ignore[typeddict-item]
    }


def job_list(found: Listing) -> JobList:
    return {"jobs": [job_line(one) for one in found.jobs], "trouble": found.trouble}


def submitted_job(job: Submitted) -> SubmittedJob:
    refreshed = [one.symbol for one in job.refreshed]
    return {"job": job.job_id, "requests": job.requests, "new": job.new, "refreshed": refreshed}


def forecast_of_job(found: Forecast) -> ForecastOfJob:
    return cast("ForecastOfJob", asdict(found))


def fed_jobs(fed: Mapping[str, int | Exception]) -> FedJobs:
    return {"jobs": [fed_job(job, requests) for job, requests in fed.items()]}


def fed_job(job: str, requests: int | Exception) -> FedJob:
    return {"job": job, "error": str(requests)} if isinstance(requests, Exception) else {"job": job, "requests": requests}
