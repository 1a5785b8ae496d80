"""What can be fetched: the installed vendors, their plans, datasets and symbols. And whether the server is well."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from marketfetch.documents.vendor_documents import Vendors, vendors_document
from marketfetch.web.access import OwnReader
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(tags=["server"])


class Alive(TypedDict):
    """`ok` is true: a server whose Redis or database is away responds with 503."""

    ok: bool


@router.get("/vendors", response_model=Vendors, summary="The installed vendors")
async def vendors(request: Request, _caller: OwnReader) -> Response:
    """Each vendor with the limits of its published plans, its datasets and its symbols."""
    return await calls_of(request).answer(vendors_document)


@router.get("/health", response_model=Alive, summary="Whether Redis and the database respond")
async def health(request: Request) -> Alive:
    """Needs no token, for load balancers: 200, or 503. GET /jobs says more of what is away; this is looked at once a second."""
    if away := await service_of(request).health.away():
        raise Refused(503, f"{away[0].upper()}{away[1:]} does not respond: GET /api/v1/jobs says why.")
    return {"ok": True}
