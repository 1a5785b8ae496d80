"""Live events: what happens to jobs and keys, as they happen, in one stream of text.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from marketfetch.web.access import OwnReader
from marketfetch.web.job_routes import named_job
from marketfetch.web.live_view import TOPICS, Wanted
from marketfetch.web.streams import Stream
from marketfetch.web.web_service import service_of

router = APIRouter(tags=["events"])

#: A client that takes nothing for so long is cut; it comes back with Last-Event-ID, and gets what it missed.
_SEND_S: Final = 15.0
_STREAM: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "Events", "content": {"text/event-stream": {}}}}


@router.get("/events", response_class=Response, responses=_STREAM, summary="Live events of jobs and keys")
async def events(
    request: Request,
    caller: OwnReader,
    topics: Annotated[list[Literal["jobs", "keys"]] | None, Query(alias="topic", description="None: all.")] = None,
    jobs: Annotated[list[str] | None, Query(alias="job", max_length=50, description="Of these jobs alone.")] = None,
    last_id: Annotated[str, Header(alias="Last-Event-ID", max_length=100)] = "",
) -> Response:
    """An event stream (SSE): `job` with a line of the list of jobs, `key` with the state of a key, `service` with whether Redis
    and the database respond. First comes what is known now; with Last-Event-ID, as browsers send it when they come back, what
    has changed since. A state that lasts less than a second may be left out, the last one never is.
    """
    service = service_of(request)
    named = await service.calls.quick(lambda: frozenset(named_job(caller, one).id for one in jobs or ()))
    # Keys are of everyone.
    chosen = ("jobs",) if caller.bound_to else tuple(topics or TOPICS)
    wanted = Wanted(chosen, named, caller.token, caller.bound_to)
    parts = service.live.events(wanted, last_id)
    first = await anext(parts)  # one client too many is a refusal

    return Stream(first, parts, send_s=_SEND_S, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
