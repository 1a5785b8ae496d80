"""The live events of the pages: those of the API, for a browser that has a cookie in place of a header."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from marketfetch.web import event_routes
from marketfetch.web.pages.visitors import OwnReading

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live(
    request: Request,
    caller: OwnReading,
    topics: Annotated[list[Literal["jobs", "keys"]] | None, Query(alias="topic")] = None,
    jobs: Annotated[list[str] | None, Query(alias="job", max_length=50)] = None,
    last_id: Annotated[str, Header(alias="Last-Event-ID", max_length=100)] = "",
) -> Response:
    """Says what has changed; the page then asks for its live part."""
    return await event_routes.events(request, caller, topics, jobs, last_id)
