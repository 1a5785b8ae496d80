"""The page of freshness: a calendar of what is stored, the series that are behind, and a button that asks for what lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.series_documents import freshness_document
from marketfetch.exceptions import BadRequestError
from marketfetch.frames.stored_bars import reading
from marketfetch.jobs.gap_repair import can_mend, repair
from marketfetch.ops import stored_share
from marketfetch.ops.lacking_lately import lately
from marketfetch.ops.missing_minutes import Stretch
from marketfetch.ops.missing_sessions import Gap
from marketfetch.phrases import counted, joined
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
        said = _said(n) if done == "repair" else ""
        try:
            with reading() as store:
                return {**_of(store), "notice": said}
        except BadRequestError:  # no database yet
            return {"fresh": 0, "stale": 0, "ended": 0, "series": [], "adjusted": [], "notes": [], "notice": said} | _nothing()

    return await shown(request, caller, "freshness.html", found, long=True)


@router.post("/freshness/repair")
async def repair_page(request: Request, caller: Operating, of: Literal["all", "behind"] = "all") -> Response:
    """Submits jobs for the missing sessions of the page that a call may bring, or for those of stale series alone."""
    await service_of(request).count_submit(caller)

    def repaired() -> int:
        with reading() as store:
            found = lately(store)
        chosen = found.missing if of == "all" else found.behind
        return len(repair([one for one in chosen if can_mend(one)], owner=caller.owner))

    return RedirectResponse(f"/freshness?done=repair&n={await calls_of(request).long(repaired)}", 303)


def _said(jobs: int) -> str:
    if not jobs:
        return "No call can bring what is missing, so no job was submitted."
    return f"{counted(jobs, 'job asks', 'jobs ask')} for what is missing: see the list of jobs."


def _of(store: Store) -> dict[str, Any]:
    found = lately(store)
    sessions = Counter[str]()
    for one in found.missing:
        sessions[one.why] += one.sessions if isinstance(one, Gap) else 0
    document = freshness_document(found.fresh)
    return {
        **document,
        "series": [{**one, "address": _address(one)} for one in document["series"][:_LISTED]],
        "groups": [heat_map.drawing(one) for one in found.groups if one.days],
        "missing": {why: number for why, number in sessions.items() if number},
        "mendable": _in_words(one for one in found.missing if can_mend(one)),
        "behind": _in_words(one for one in found.behind if can_mend(one)),
        "weeks": stored_share.WEEKS,
    }


def _nothing() -> dict[str, Any]:
    return {"groups": [], "missing": {}, "mendable": "", "behind": "", "weeks": stored_share.WEEKS}


def _in_words(missing: Iterable[Gap | Stretch]) -> str:
    """`12 sessions`, or `12 sessions and parts of 2 sessions`; "" for nothing."""
    sessions, parts = 0, set()
    for one in missing:
        if isinstance(one, Stretch):
            parts.add((one.provider, one.symbol, one.timespan, one.adjustment, one.day))
        else:
            sessions += one.sessions
    words = [counted(sessions, "session")] if sessions else []
    return joined([*words, *([f"parts of {counted(len(parts), 'session')}"] if parts else [])])


def _address(one: Any) -> str:
    words = urlencode({"timespan": one["timespan"], "adjustment": one["adjustment"]})
    return f"/bars/{quote(one['provider'])}/{quote(one['symbol'])}?{words}"
