"""Schedules of the settings: when each is due, a run of one, its pause."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from marketfetch.documents.job_documents import SubmittedJob, submitted_job
from marketfetch.documents.schedule_documents import Schedules, schedules_document
from marketfetch.jobs import scheduling
from marketfetch.web.access import Operator, Reader
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(tags=["schedules"])


@router.get("/schedules", response_model=Schedules, summary="The schedules of the settings")
async def schedules(request: Request, _caller: Reader) -> Response:
    """What each asks for, when it is due next, and the job of its latest run. Moments are UTC."""
    return await calls_of(request).answer(_all)


@router.post("/schedules/{name}/run", response_model=SubmittedJob, status_code=201, summary="Run a schedule now")
async def run(request: Request, name: str, caller: Operator) -> Response:
    """Submits a run, whether it is due or paused. Counts as a submit."""
    await service_of(request).count_submit(caller)
    return await calls_of(request).answer(lambda: submitted_job(scheduling.run_now(name)), status=201)


@router.post("/schedules/{name}/pause", response_model=Schedules, summary="Pause a schedule")
async def pause(request: Request, name: str, _caller: Operator) -> Response:
    """Starts no run of it until it is resumed. A run that goes is not stopped."""
    await calls_of(request).quick(lambda: scheduling.pause(name))
    return await calls_of(request).answer(_all)


@router.post("/schedules/{name}/resume", response_model=Schedules, summary="Resume a schedule")
async def resume(request: Request, name: str, _caller: Operator) -> Response:
    """Starts its runs again: the one that was due last, if it was missed, within a minute."""
    await calls_of(request).quick(lambda: scheduling.resume(name))
    return await calls_of(request).answer(_all)


def _all() -> Schedules:
    return schedules_document(scheduling.schedules())
