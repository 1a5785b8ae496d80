"""What could not be used: rows that failed a check, and messages that no worker could read or run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from marketfetch.documents.message_documents import (
    DeadMessage,
    DeadMessages,
    DeadMessageText,
    dead_message,
    dead_message_text,
    dead_messages,
)
from marketfetch.documents.reject_documents import Rejects, rejects_document
from marketfetch.jobs.refused_rows import refused_rows
from marketfetch.ops import dead_letters
from marketfetch.web.access import Operator, OwnReader, Reader
from marketfetch.web.job_routes import named_job
from marketfetch.web.web_service import calls_of

router = APIRouter(tags=["failures"])


@router.get("/rejects", response_model=Rejects, summary="Rows that failed a check")
async def rejects(
    request: Request,
    caller: OwnReader,
    of: Annotated[str, Query(description="A vendor, a job or a symbol; none: all.")] = "",
    reason: Annotated[str, Query(description="A part of the field and the reason, such as low is above.")] = "",
    limit: Annotated[int, Query(ge=0, le=10_000)] = 20,
) -> Response:
    """The rows that failed a check and are not stored: counts by reason, then the latest rows."""
    # An owner sees the rows of one of its jobs.
    return await calls_of(request).answer(
        lambda: rejects_document(
            refused_rows(named_job(caller, of).id if caller.bound_to else of, reason=reason, limit=limit, asker=caller.owner)
        )
    )


@router.get("/dead", response_model=DeadMessages, summary="Messages that no worker could run")
async def dead(request: Request, _caller: Reader) -> Response:
    """The messages that no worker could read or run, oldest first, each with the reason."""
    return await calls_of(request).answer(lambda: dead_messages(dead_letters.letters()))


@router.get("/dead/{message}", response_model=DeadMessageText, summary="One of them, with its text")
async def show_dead(request: Request, message: str, _caller: Reader) -> Response:
    """Where it came from, why it is here, and what it says, without secrets. 4 characters of the id are enough."""
    return await calls_of(request).answer(lambda: dead_message_text(dead_letters.letter(message)))


@router.post("/dead/{message}/retry", response_model=DeadMessage, summary="Send it to its queue again")
async def retry_dead(request: Request, message: str, _caller: Operator) -> Response:
    """It comes back here if a worker still can't process it."""
    return await calls_of(request).answer(lambda: dead_message(dead_letters.retry(message)))


@router.delete("/dead/{message}", response_model=DeadMessage, summary="Forget it for good")
async def drop_dead(request: Request, message: str, _caller: Operator) -> Response:
    """Removes it from the list; returns what it was."""
    return await calls_of(request).answer(lambda: dead_message(dead_letters.drop(message)))
