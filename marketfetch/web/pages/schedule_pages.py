"""The page of schedules: when each runs next, its latest job, and its buttons."""

from __future__ import annotations

from typing import Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.schedule_documents import schedules_document
from marketfetch.jobs import scheduling
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import Operating, Reading
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(include_in_schema=False)

_DONE: Final = {"pause": "{} is paused: no run of it starts.", "resume": "{} goes on."}


@router.get("/schedules")
async def schedules_page(request: Request, caller: Reading, done: str = "", name: str = "") -> Response:
    """The schedules of the settings, the next one first."""

    def found() -> dict[str, Any]:
        schedules = schedules_document(scheduling.schedules())["schedules"]
        schedules.sort(key=lambda one: (one["paused_since"] is not None, one["next"] is None, one["next"] or ""))
        known = any(one["name"] == name for one in schedules)
        return {"schedules": schedules, "notice": _DONE.get(done, "").format(name) if known else ""}

    return await shown(request, caller, "schedules.html", found)


@router.post("/schedules/{name}/{what}")
async def change(request: Request, caller: Operating, name: str, what: Literal["run", "pause", "resume"]) -> Response:
    """Runs a schedule now, which leads to the page of its job; or pauses or resumes it."""
    if what == "run":
        await service_of(request).count_submit(caller)
        job = await calls_of(request).quick(lambda: scheduling.run_now(name))
        return RedirectResponse(f"/jobs/{quote(job.job_id)}", 303)
    await calls_of(request).quick(lambda: (scheduling.pause if what == "pause" else scheduling.resume)(name))
    return RedirectResponse(f"/schedules?done={what}&name={quote(name)}", 303)
