"""`GET /metrics`: the page that Prometheus reads. It stands outside the API's prefix, where Prometheus looks for it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from marketfetch.ops.metrics_page import MEDIA_TYPE
from marketfetch.web.access import Reader
from marketfetch.web.web_service import service_of

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics(request: Request, _caller: Reader) -> Response:
    """The metrics of the whole installation, at most some seconds old. Asks for a token as every other route does."""
    service = service_of(request)
    return Response(await service.calls.quick(service.metrics.text), media_type=MEDIA_TYPE)
