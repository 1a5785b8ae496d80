"""The page that submits a job: what it would cost is shown before anything is sent."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch import vendors
from marketfetch.documents.forecast_words import lines
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import forecast
from marketfetch.jobs.submission import submit
from marketfetch.jobs.wish_size import at_most
from marketfetch.schemas.timespans import TIMESPANS
from marketfetch.web.bodies import symbols_of
from marketfetch.web.call_threads import cleaned
from marketfetch.web.callers import Caller
from marketfetch.web.job_routes import MOST_REQUESTS
from marketfetch.web.pages import html_pages
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import OwnSubmitting, fields
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(include_in_schema=False)

#: The fields of the form with what stands in an empty one.
_USUAL: Final = {
    "provider": "",
    "symbols": "",
    "dataset": "bars",
    "timespan": "1d",
    "adjustment": "",
    "start": "-1y",
    "end": "today",
    "name": "",
}
_ADJUSTMENTS: Final = ("raw", "split", "split_dividend")


@router.get("/submit")
async def submit_page(request: Request, caller: OwnSubmitting) -> Response:
    """The form; an address may fill it in, and sends nothing."""
    given = {one: request.query_params.get(one, usual) for one, usual in _USUAL.items()}
    return await shown(request, caller, "submit.html", lambda: _form(given))


@router.post("/submit")
async def submit_job(request: Request, caller: OwnSubmitting) -> Response:
    """Shows what the wish would cost, with a button that submits it; that button leads to the page of the job."""
    sent = await fields(request)
    given = {one: sent.get(one, usual) for one, usual in _USUAL.items()}
    await service_of(request).count_submit(caller)
    try:
        wish = _wish(given, caller)
        if sent.get("what") == "submit":
            job = await calls_of(request).planning(partial(_bounded, partial(submit, **wish, name=given["name"])))
            return RedirectResponse(f"/jobs/{quote(job.job_id)}", 303)
        found = await calls_of(request).planning(partial(_bounded, partial(forecast.plan, **wish)))
        more: dict[str, Any] = {"sentences": [*lines(found), *found.trouble], "ready": bool(found.requests)}
    except (BadRequestError, Refused) as error:
        more = {"refusal": str(error.detail if isinstance(error, Refused) else error)}
    html = html_pages.text("submit.html", request, caller, cleaned({**_form(given), **more}))
    status = 422 if "refusal" in more else 200
    return Response(html, status, media_type="text/html", headers=html_pages.HEADERS)


def _bounded(function: Any) -> Any:
    """Raises BadRequestError for a wish of more requests than a page may plan."""
    with at_most(MOST_REQUESTS):
        return function()


def _wish(given: dict[str, str], caller: Caller) -> dict[str, Any]:
    """The arguments of `plan` and of `submit`. Raises Refused for a universe that there is not."""
    symbols = symbols_of([given["symbols"]]) if given["symbols"] else []
    return {
        "provider": given["provider"],
        "symbols": symbols,
        "dataset": given["dataset"] or "bars",
        "timespan": given["timespan"] or "1d",
        "adjustment": given["adjustment"] or None,
        "start": given["start"] or None,
        "end": given["end"] or None,
        "owner": caller.owner,
        "keys_without_owner": not caller.bound_to,
    }


def _form(given: dict[str, str]) -> dict[str, Any]:
    return {
        "given": given,
        "vendors": list(vendors.names()),
        "timespans": list(TIMESPANS),
        "adjustments": list(_ADJUSTMENTS),
        "sentences": [],
        "ready": False,
        "refusal": "",
    }
