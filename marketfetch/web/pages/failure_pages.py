"""The page of failures: jobs with failed requests, rejected rows and dead messages, each with what to do next."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.documents.job_documents import job_line
from marketfetch.documents.message_documents import dead_message_text, dead_messages
from marketfetch.documents.reject_documents import rejects_document
from marketfetch.exceptions import BadRequestError
from marketfetch.frames.stored_bars import reading
from marketfetch.jobs.gap_repair import repair
from marketfetch.jobs.job_list import listing
from marketfetch.jobs.job_status import status
from marketfetch.jobs.refused_rows import refused_rows
from marketfetch.ops import dead_letters
from marketfetch.ops.missing_sessions import Chosen, find
from marketfetch.phrases import counted
from marketfetch.schemas.check_advice import asks_again
from marketfetch.web.callers import Caller
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.job_pages import form_for, next_of
from marketfetch.web.pages.visitors import Operating, Reading, fields
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(include_in_schema=False)

_MOST_JOBS: Final = 10
_MOST_REASONS: Final = 5
_MOST_ROWS: Final = 50
_MOST_ASKED: Final = 1_000
_DONE: Final = {"retry": "The message is back in its queue.", "drop": "The message is dropped."}


@router.get("/failures")
async def failures_page(
    request: Request, caller: Reading, of: str = "", reason: str = "", done: str = "", dead: str = "", n: int = 0
) -> Response:
    """What went wrong, and the next step. `of` a vendor, job or symbol chooses rejects; `dead` names a message to show."""

    def found() -> dict[str, Any]:
        return {
            "jobs": _failed_jobs(caller),
            **_rejected(of, reason),
            "messages": dead_messages(dead_letters.letters())["messages"],
            "shown": dead_message_text(dead_letters.letter(dead)) if dead else None,
            "notice": _asked(n) if done == "ask" else _DONE.get(done, ""),
        }

    return await shown(request, caller, "failures.html", found)


@router.post("/failures/rejects/ask")
async def ask_again(request: Request, caller: Operating) -> Response:
    """Submits jobs for the sessions that have no bar for a rejected row, of the series with rows of this reason."""
    given = await fields(request)
    await service_of(request).count_submit(caller)

    def submitted() -> int:
        rows = refused_rows(given.get("of", ""), reason=given.get("reason", ""), limit=_MOST_ASKED).rows
        series = {(one.provider, one.symbol) for one in rows}
        with reading() as store:
            missing = find(store, Chosen()).missing
        lacking = [one for one in missing if one.why == "rejected" and (one.provider, one.symbol) in series]
        return len(repair(lacking, owner=caller.owner))

    return RedirectResponse(f"/failures?done=ask&n={await calls_of(request).long(submitted)}", 303)


@router.post("/failures/dead/{message}/{what}")
async def dead_message(request: Request, _caller: Operating, message: str, what: Literal["retry", "drop"]) -> Response:
    """Sends a dead message to its queue again, or forgets it."""
    await calls_of(request).quick(lambda: (dead_letters.retry if what == "retry" else dead_letters.drop)(message))
    return RedirectResponse(f"/failures?done={quote(what)}#dead", 303)


def _asked(jobs: int) -> str:
    if not jobs:
        return "No session of these series lacks a bar for a rejected row, so no job was submitted."
    return f"{counted(jobs, 'job asks', 'jobs ask')} for the sessions that these series lack for rejected rows."


def _links(of: str, one: dict[str, Any]) -> dict[str, Any]:
    """Where the rows of a reason are shown, and whether asking again may help."""
    words = f"{one['field']}: {one['reason']}"
    return {
        "words": words,
        "rows_at": f"/failures?{urlencode({'of': of, 'reason': words})}#rows",
        "again": asks_again(one["reason"]),
    }


def _failed_jobs(caller: Caller) -> list[dict[str, Any]]:
    found = []
    for one in listing(_MOST_JOBS, failed=True).jobs:
        state = status(one.job_id)
        reasons = Counter(failure.reason for failure in state.failures).most_common(_MOST_REASONS)
        own = caller.may("operate") or (caller.may("submit") and one.owner == caller.owner)
        line = job_line(one)
        todo = next_of(state) | {"form": form_for(state, line)}
        found.append({**line, "reasons": [list(pair) for pair in reasons], "next": todo, "own": own})
    return found


def _rejected(of: str, reason: str) -> dict[str, Any]:
    """The rejects, or the sentence for a word that names none."""
    chosen = {"of": of, "reason": reason}
    try:
        document = rejects_document(refused_rows(of, reason=reason, limit=_MOST_ROWS))
    except BadRequestError as error:
        none = {"of": "", "rejected": 0, "kept": 0, "reasons": [], "rows": []}
        return {"rejects": none, "chosen": chosen, "unknown": str(error) if of else ""}
    reasons = [{**one, **_links(of, one)} for one in document["reasons"]]
    return {"rejects": {**document, "reasons": reasons}, "chosen": chosen, "unknown": ""}
