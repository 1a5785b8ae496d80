"""Jobs: plan, submit, update, list, status, failures, cancel, resume, retry."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response

from marketfetch.documents.job_documents import (
    FedJob,
    ForecastOfJob,
    JobList,
    SubmittedJob,
    fed_job,
    forecast_of_job,
    job_list,
    submitted_job,
)
from marketfetch.exceptions import BadRequestError, UnknownJob
from marketfetch.jobs import forecast, steering
from marketfetch.jobs.job_list import listing
from marketfetch.jobs.job_status import failures, status
from marketfetch.jobs.job_values import Failure, JobStatus
from marketfetch.jobs.lookup import known_job, recorded
from marketfetch.jobs.planning import spec_of
from marketfetch.jobs.submission import Submitted, id_for, submit, submit_for
from marketfetch.jobs.updating import update, update_for
from marketfetch.jobs.wish_size import at_most
from marketfetch.phrases import joined
from marketfetch.storage.store import Job, NoTables
from marketfetch.web.access import OwnReader, OwnSubmitter
from marketfetch.web.bodies import JobWish, UpdateWish, Wish
from marketfetch.web.callers import Caller
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of, service_of

T = TypeVar("T")

router = APIRouter(tags=["jobs"])

#: Of one wish: a few seconds of planning, and 100 MB meanwhile. The command line takes larger ones.
MOST_REQUESTS: Final = 50_000

Once = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="The same key is the same job, however often it is sent and whenever: send one with each wish.",
    ),
]


@router.post("/plan", response_model=ForecastOfJob, summary="What a job would cost")
async def plan(request: Request, wish: Wish, caller: OwnReader) -> Response:
    """What a job with this wish would cost now: calls, rows, bytes, and the time at the limits of the keys. Sends nothing.

    It counts as a submit of the token.
    """
    wished = wish.arguments()
    await service_of(request).count_submit(caller)
    whose: dict[str, Any] = {"owner": caller.owner, "keys_without_owner": not caller.bound_to}
    planned = await _planned(request, partial(forecast.plan, **wished, **whose))
    return await calls_of(request).answer(lambda: forecast_of_job(planned))


@router.post("/jobs", response_model=SubmittedJob, status_code=201, summary="Submit a job")
async def submit_job(request: Request, wish: JobWish, caller: OwnSubmitter, once: Once = None) -> Response:
    """Records a job and parks its requests; workers fetch it. 200 if the same job was submitted before, 201 if it is new.

    The same wish of one owner within a minute is one job. After an error nothing is recorded, unless the sentence says so.
    """
    wished = _owned(wish.arguments(), caller)
    return await _submitted(request, caller, partial(submit, **wished), partial(submit_for, **wished), once, wished)


@router.post("/updates", response_model=SubmittedJob, status_code=201, summary="Submit an update")
async def submit_update(request: Request, wish: UpdateWish, caller: OwnSubmitter, once: Once = None) -> Response:
    """Submits the last sessions of these symbols, less what is stored and final. Where nothing is new it makes no call."""
    wished = _owned(wish.arguments(), caller)
    return await _submitted(request, caller, partial(update, **wished), partial(update_for, **wished), once, wished)


@router.get("/jobs", response_model=JobList, summary="The latest jobs")
async def list_jobs(
    request: Request,
    caller: OwnReader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    owner: str = "",
    tag: str = "",
    *,
    failed: bool = False,
    running: bool = True,
) -> Response:
    """The latest jobs that the caller may see, newest first, chosen by owner and tag; `failed`: only those with a failed
    request; `running`: behind the latest ones each older job that runs."""
    chosen: dict[str, Any] = {"owner": caller.bound_to or owner, "tag": tag, "failed": failed, "running": running}

    def found() -> JobList:
        jobs = job_list(listing(limit, **chosen))
        return {**jobs, "trouble": []} if caller.bound_to else jobs  # it is of everyone's keys

    return await calls_of(request).answer(found)


@router.get("/jobs/{job}", response_model=JobStatus, summary="The state of a job")
async def job_status(request: Request, job: str, caller: OwnReader) -> Response:
    """The state of a job, which is named by its id, the first 4 digits of it or more, or its name, of one's own jobs first."""
    return await calls_of(request).answer(lambda: status(named_job(caller, job).id))


@router.get("/jobs/{job}/failures", response_model=list[Failure], summary="Every failed request of a job")
async def job_failures(request: Request, job: str, caller: OwnReader) -> Response:
    """Every failed request of a job, by symbol; the state of a job has the first hundred."""
    return await calls_of(request).answer(lambda: [one.model_dump() for one in failures(named_job(caller, job).id)])


@router.post("/jobs/{job}/cancel", response_model=JobStatus, summary="Cancel a job")
async def cancel(request: Request, job: str, caller: OwnSubmitter) -> Response:
    """Makes no more calls for the job. What runs still ends; requests that other jobs share stay. Own jobs need `submit`,
    those of others `operate`."""
    return await calls_of(request).answer(lambda: steering.cancel(steered_job(caller, job)))


@router.post("/jobs/{job}/resume", response_model=FedJob, summary="Resume a job")
async def resume(request: Request, job: str, caller: OwnSubmitter) -> Response:
    """Parks at once what is left to do, also of a cancelled job; `requests`: how many were not parked before.

    Counts as a submit.
    """
    await service_of(request).count_submit(caller)
    return await calls_of(request).answer(lambda: fed_job(name := steered_job(caller, job), steering.resume(name)))


@router.post("/jobs/{job}/retry", response_model=FedJob, summary="Retry the failed requests of a job")
async def retry(request: Request, job: str, caller: OwnSubmitter) -> Response:
    """Makes the failed requests of the job again; `requests`: how many they are. Counts as a submit."""
    await service_of(request).count_submit(caller)
    return await calls_of(request).answer(lambda: fed_job(name := steered_job(caller, job), steering.retry(name)))


def _owned(wished: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """The arguments with the owner. Raises Refused where it is another one than the caller may name."""
    owner = caller.owner if wished["owner"] is None else wished["owner"]
    if owner != caller.owner and not caller.may("operate"):
        raise Refused(403, f"A job of the token {caller.name!r} is its own: to name another owner takes the scope operate.")
    # The name of a token is no owner of keys, unless a key names it.
    return {**wished, "owner": owner, "keys_without_owner": wished["owner"] is None and not caller.bound_to}


async def _submitted(
    request: Request, caller: Caller, once: Any, repeated: Any, key: str | None, wished: dict[str, Any]
) -> Response:
    """Submits once for each idempotency key. A client that got no response sends the same again."""
    await service_of(request).count_submit(caller)
    if key is None:
        done: Submitted = await _planned(request, once)
    else:
        # The job's id is derived from the key and its caller: two callers may use the same one.
        task_id = f"api:{json.dumps([caller.owner, key])}"
        job_id = id_for(task_id)
        known = await calls_of(request).quick(partial(_is_recorded, job_id, wished))
        await _planned(request, partial(repeated, task_id))
        found = await calls_of(request).quick(lambda: status(job_id))
        done = Submitted(job_id, found.requests.total, new=not known)
    where = {"Location": f"/api/v1/jobs/{done.job_id}"}
    return await calls_of(request).answer(lambda: submitted_job(done), status=201 if done.new else 200, headers=where)


async def _planned(request: Request, function: Callable[[], T]) -> T:
    """What `function` returns, which plans a wish. Raises BadRequestError for a wish of more than MOST_REQUESTS."""

    def bounded() -> T:
        with at_most(MOST_REQUESTS):
            return function()

    return await calls_of(request).planning(bounded)


def _is_recorded(job_id: str, wished: dict[str, Any]) -> bool:
    """Raises Refused where its wish was another one, StoreError, UnavailableError."""
    try:
        job = recorded().job(job_id)
    except NoTables:
        return False
    if job is not None and (differs := _other_words(job, wished)):
        raise Refused(
            422,
            f"This Idempotency-Key was sent with another wish before, which is job {job.id}: {joined(differs)} "
            f"{'differs' if len(differs) == 1 else 'differ'}. Nothing was submitted. Send a key of its own with each wish.",
        )
    return job is not None


def _other_words(job: Job, wished: dict[str, Any]) -> list[str]:
    """Which words of a wish are not those of a recorded job. Days may be relative, and lists of symbols may have changed."""
    spec, symbols = spec_of(job), wished["symbols"]
    pairs: dict[str, tuple[Any, Any]] = {
        "provider": (spec.provider, wished["provider"]),
        "name": (job.name, wished.get("name") or ""),
        "tags": (set(job.tags), set(wished.get("tags") or ())),
    }
    if not any(one.startswith("@") for one in symbols):
        pairs["symbols"] = ({one.casefold() for one in spec.symbols}, {one.strip().casefold() for one in symbols})
    return [name for name, (before, now) in pairs.items() if before != now]


def named_job(caller: Caller, job: str) -> Job:
    """Raises what `known_job` raises; UnknownJob too for one that the caller may not see."""
    if not caller.bound_to:
        return known_job(recorded(), job, asker=caller.owner)
    unknown = UnknownJob(f"{caller.bound_to} has no job {job[:64]!r}: GET /api/v1/jobs lists its jobs.")
    try:
        found = known_job(recorded(), job, asker=caller.owner)
    except BadRequestError:
        raise unknown from None  # its sentence would name jobs of others
    if not caller.sees(found.owner):
        raise unknown
    return found


def steered_job(caller: Caller, job: str) -> str:
    """The id of a job that the caller may steer. Raises Refused, and what `known_job` raises."""
    found = named_job(caller, job)
    if not caller.may("operate") and found.owner != caller.owner:
        raise Refused(
            403, f"Job {found.id} is not one of {caller.name!r}: to steer those of others, a token has the scope operate."
        )
    return found.id
