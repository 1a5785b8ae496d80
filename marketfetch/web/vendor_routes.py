"""What can be fetched: the installed vendors, their plans, datasets and symbols. And whether the server is well."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Request, Response
from redis.exceptions import RedisError
from typing_extensions import TypedDict

from marketfetch import connections
from marketfetch.documents.vendor_documents import Vendors, vendors_document
from marketfetch.exceptions import MarketfetchError
from marketfetch.jobs.lookup import recorded
from marketfetch.storage.store import NoTables, StoreError
from marketfetch.web.access import Reader
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of

router = APIRouter(tags=["server"])


class Alive(TypedDict):
    """`ok` is true: a server whose Redis or database is away responds with 503."""

    ok: bool


@router.get("/vendors", response_model=Vendors, summary="The installed vendors")
async def vendors(request: Request, _caller: Reader) -> Response:
    """Each vendor with the limits of its published plans, its datasets and its symbols."""
    return await calls_of(request).answer(vendors_document)


@router.get("/health", response_model=Alive, summary="Whether Redis and the database respond")
async def health(request: Request) -> Response:
    """Needs no token, for load balancers: 200, or 503. What is away, and where it is, is said on this machine alone."""
    try:
        return await calls_of(request).answer(_alive)
    except (MarketfetchError, StoreError, RedisError) as error:
        if request.state.open:
            raise
        raise Refused(
            503, "Redis or the database does not respond: GET /api/v1/jobs with a token says what is away."
        ) from error


def _alive() -> Alive:
    connections.redis().ping()
    with suppress(NoTables):  # the first job makes them
        recorded().verify()
    return {"ok": True}
