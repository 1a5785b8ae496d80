"""The page of freshness: a calendar of what is stored, the series that are behind, and a button that asks for what lacks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.series_documents import freshness_document
from marketfetch.exceptions import BadRequestError
from marketfetch.frames.stored_bars import reading
from marketfetch.jobs.gap_repair import can_mend, repair
from marketfetch.ops import stored_share
from marketfetch.ops.missing_sessions import Chosen, Found, Gap, find
from marketfetch.ops.staleness import freshness
from marketfetch.storage.store import Store
from marketfetch.web.pages import heat_map
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import Operating, Reading
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(include_in_schema=False)

_LISTED: Final = 100


@router.get("/freshness")
async def freshness_page(request: Request, caller: Reading, done: str = "", n: int = 0) -> Response:
    """What is stored of each day, and what is behind."""

    def found() -> dict[str, Any]:
        said = f"{n:,} jobs ask for what is missing: see the list of jobs." if done == "repair" else ""
        try:
            with reading() as store:
                return {**_of(store), "notice": said}
        except BadRequestError:  # no database yet
            return {"fresh": 0, "stale": 0, "ended": 0, "series": [], "adjusted": [], "notes": [], "notice": said} | _nothing()

    return await shown(request, caller, "freshness.html", found, long=True)


@router.post("/freshness/repair")
async def repair_page(request: Request, caller: Operating) -> Response:
    """Submits jobs for the missing sessions of the page's weeks that a call may bring, and for nothing else."""
    await service_of(request).count_submit(caller)

    def repaired() -> int:
        with reading() as store:
            missing = _missing(store).missing
        return len(repair([one for one in missing if can_mend(one)], owner=caller.owner))

    return RedirectResponse(f"/freshness?done=repair&n={await calls_of(request).long(repaired)}", 303)


def _of(store: Store) -> dict[str, Any]:
    fresh = freshness(store)
    groups = stored_share.shares(store, [one for one in fresh.stale if one.over])
    missing = _missing(store)
    sessions = Counter[str]()
    for one in missing.missing:
        sessions[one.why] += one.sessions if isinstance(one, Gap) else 1
    document = freshness_document(fresh)
    return {
        **document,
        "series": [{**one, "address": _address(one)} for one in document["series"][:_LISTED]],
        "groups": [heat_map.drawing(one) for one in groups if one.days],
        "missing": dict(sessions),
        "mendable": sum(one.sessions if isinstance(one, Gap) else 1 for one in missing.missing if can_mend(one)),
        "weeks": stored_share.WEEKS,
    }


def _nothing() -> dict[str, Any]:
    return {"groups": [], "missing": {}, "mendable": 0, "weeks": stored_share.WEEKS}


def _missing(store: Store) -> Found:
    return find(store, Chosen(start=_begin()))


def _begin() -> date:
    return datetime.now(UTC).date() - timedelta(weeks=stored_share.WEEKS)


def _address(one: Any) -> str:
    words = urlencode({"timespan": one["timespan"], "adjustment": one["adjustment"]})
    return f"/bars/{quote(one['provider'])}/{quote(one['symbol'])}?{words}"
