"""The pages of jobs: the list, one of them, and what may be done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.job_documents import job_line
from marketfetch.documents.outcome import next_step, sentences, unknown_symbols, waits
from marketfetch.jobs import steering
from marketfetch.jobs.job_list import Listing, listing
from marketfetch.jobs.job_status import spec_or_reason, status
from marketfetch.jobs.job_values import JobStatus
from marketfetch.jobs.lookup import recorded
from marketfetch.storage.store import Job
from marketfetch.web.callers import Caller
from marketfetch.web.job_routes import named_job, steered_job
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import OwnReading, OwnSubmitting
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(include_in_schema=False)

_LISTED: Final = 100
_MOST_REASONS: Final = 20
_MOST_SYMBOLS: Final = 12
#: What is said on the page behind a button, by a word in its address: no other text gets onto the page that way.
_DONE: Final = {
    "resume": "{n} requests are parked that were not before.",
    "retry": "{n} failed requests are made again.",
    "cancel": "The job is cancelled. What runs still ends.",
}


@router.get("/")
async def jobs_page(request: Request, caller: OwnReading, owner: str = "", tag: str = "", only: str = "") -> Response:
    """The latest jobs, and each older one that runs."""

    def found() -> dict[str, Any]:
        jobs = listing(_LISTED, owner=caller.bound_to or owner, tag=tag, failed=only == "failed", running=True)
        shown_of = of_listing(jobs) | ({"trouble": []} if caller.bound_to else {})
        return {**shown_of, "chosen": {"owner": owner, "tag": tag, "only": only}}

    return await shown(request, caller, "jobs.html", found)


@router.get("/jobs/{job}")
async def job_page(request: Request, caller: OwnReading, job: str, done: str = "", n: int = 0) -> Response:
    """How one job stands, why requests failed, and what to do next."""

    def found() -> dict[str, Any]:
        known = named_job(caller, job)
        return {**of_job(known, status(known.id), caller), "notice": _DONE[done].format(n=f"{n:,}") if done in _DONE else ""}

    return await shown(request, caller, "job.html", found)


@router.post("/jobs/{job}/{what}")
async def steer(request: Request, caller: OwnSubmitting, job: str, what: Literal["cancel", "resume", "retry"]) -> Response:
    """Cancels, resumes or retries a job, and leads back to its page."""
    if what in ("resume", "retry"):
        await service_of(request).count_submit(caller)

    def steered() -> tuple[str, int]:
        job_id = steered_job(caller, job)
        if what == "cancel":
            steering.cancel(job_id)
            return job_id, 0
        return job_id, steering.resume(job_id) if what == "resume" else steering.retry(job_id)

    job_id, number = await calls_of(request).quick(steered)
    return RedirectResponse(f"/jobs/{quote(job_id)}?done={quote(what)}&n={number}", 303)


def of_listing(found: Listing) -> dict[str, Any]:
    lines = [job_line(one) for one in found.jobs]
    calls = {one.provider: one.next_call for one in found.jobs if one.next_call}
    running = [one for one in lines if one["state"] == "running"]
    return {
        "jobs": lines,
        "trouble": [*found.trouble, *(one["trouble"] for one in lines if one.get("trouble"))],
        "waiting": [f"{provider}: {waits(call)}" for provider, call in calls.items()],
        "running": len(running),
        "parked": sum(one["requests"]["parked"] for one in running),
        "failed": sum(one["state"] == "failed" for one in lines),
    }


def of_job(job: Job, state: JobStatus, caller: Caller) -> dict[str, Any]:
    spec, _ = spec_or_reason(job)
    wish = None
    if spec is not None:
        wish = {
            "symbols": list(spec.symbols[:_MOST_SYMBOLS]),
            "more": max(0, len(spec.symbols) - _MOST_SYMBOLS),
            "dataset": spec.dataset,
            "timespan": "" if spec.is_whole else spec.timespan,
            "adjustment": spec.adjustment,
            "start": None if spec.is_whole else spec.start.isoformat(),
            "end": None if spec.is_whole else spec.end.isoformat(),
        }
    reasons = Counter(one.reason for one in state.failures)
    symbols: dict[str, list[str]] = {}
    for one in state.failures:
        symbols.setdefault(one.reason, []).append(one.symbol)
    return {
        "job": state.model_dump(mode="json"),
        "wish": wish,
        "sentences": sentences(state),
        "waits": waits(state.next_call) if state.next_call else "",
        "reasons": [
            {"reason": reason, "number": number, "symbols": sorted(set(symbols[reason]))[:_MOST_SYMBOLS]}
            for reason, number in reasons.most_common(_MOST_REASONS)
        ],
        "next": next_of(state) | ({"form": form_for(state, wish)} if wish else {}),
        "own": caller.may("operate") or (caller.may("submit") and job.owner == caller.owner),
    }


def next_of(state: JobStatus) -> dict[str, str]:
    """What a user may do next: the sentence of the command line, and the button that does the same; "" for no button."""
    sentence = next_step(state)
    button = next((one for one in ("resume", "retry") if sentence.startswith(f"`marketfetch {one} ")), "")
    return {"sentence": sentence, "button": button, "form": ""}


def form_for(state: JobStatus, wish: Mapping[str, Any]) -> str:
    """The address of the form that submits a job again, of the symbols that the vendor does not know; "" for no such symbol."""
    unknown = unknown_symbols(state) if state.state == "failed" else []
    if not unknown:
        return ""
    given = {name: wish[name] or "" for name in ("dataset", "timespan", "adjustment", "start", "end")}
    return "/submit?" + urlencode({"provider": state.provider, "symbols": " ".join(unknown), **given, "name": state.name})


def job_of(job_id: str) -> Job | None:
    """Raises StoreError, UnavailableError."""
    return recorded().job(job_id)
