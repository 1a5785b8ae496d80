"""The web API as an ASGI app: its routes, its errors, and the guards around it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from marketfetch.exceptions import MarketfetchError
from marketfetch.storage.store_errors import StoreError
from marketfetch.web import (
    api_page,
    bar_routes,
    described_refusals,
    event_routes,
    job_routes,
    key_routes,
    message_routes,
    metrics_routes,
    problems,
    schedule_routes,
    series_routes,
    setting_routes,
    vendor_routes,
)
from marketfetch.web.guards import AccessRules, Guards
from marketfetch.web.known_parameters import known_parameters
from marketfetch.web.pages import every_page
from marketfetch.web.pages.page_refusals import of_guards, or_page
from marketfetch.web.web_service import Service

PREFIX: Final = "/api/v1"
_ABOUT: Final = """Market data at the full rate that your API keys allow, and not one call more.

Each route does what a command of the same name does, and returns the document that this prints with --json. A refusal is
`application/problem+json` (RFC 9457) with the sentence of the command: 401 and 403 for a token, 404 for what is unknown, 412
and 428 for a setting that was changed meanwhile, 422 for a wish that can't be served, 429 with Retry-After for a token that
submits too often, 503 with Retry-After while Redis or the database is away."""
_ROUTES: Final = (
    *(job_routes, event_routes, bar_routes, series_routes, key_routes, schedule_routes, message_routes, vendor_routes),
    setting_routes,
)
#: For the schema; what each route refuses is described below.
_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {503: {"model": problems.Problem}}


def make_api(rules: AccessRules, *, owner: str = "") -> FastAPI:
    """The API without its guards. `owner`: whose the jobs are that are submitted without a token."""
    api = FastAPI(
        title="marketfetch",
        version=_version(),
        description=_ABOUT,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        responses=_REFUSALS,
    )
    api.state.service = Service(rules, owner)
    for routes in _ROUTES:
        api.include_router(routes.router, prefix=PREFIX, dependencies=[Depends(known_parameters)])
    api.include_router(api_page.router)
    api.include_router(metrics_routes.router)
    for router in every_page.ROUTERS:
        api.include_router(router)
    for kind in (MarketfetchError, StoreError, RedisError, problems.Refused):
        api.add_exception_handler(kind, or_page(problems.on_error))
    api.add_exception_handler(HTTPException, or_page(problems.on_http_error))
    api.add_exception_handler(RequestValidationError, or_page(problems.on_invalid))
    described_refusals.describe(api)
    return api


def guarded(api: FastAPI, rules: AccessRules) -> ASGIApp:
    """What a server serves."""
    app: ASGIApp = api
    if rules.origins:
        app = CORSMiddleware(
            api,
            allow_origins=rules.origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag", "Location", "Retry-After"],
        )
    return Guards(app, rules, of_guards)


def _version() -> str:
    try:
        return version("marketfetch")
    except PackageNotFoundError:
        return "from its source"
