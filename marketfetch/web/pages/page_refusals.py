"""A refusal as a page, where a browser asks for one; else the document of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from marketfetch.web import problems
from marketfetch.web.pages import html_pages
from marketfetch.web.pages.visitors import FromElsewhere, SignInFirst, sign_in_address
from marketfetch.web.problems import Refused

Handler = Callable[[Request, Exception], Awaitable[Response]]

#: What a browser asks again by itself: the page recovers without a script.
_AGAIN: Final = (503,)


def or_page(handler: Handler) -> Handler:
    """The handler of an error, with a page for a browser that asks for one."""

    async def handled(request: Request, error: Exception) -> Response:
        if not wants_page(request):
            return await handler(request, error)
        if isinstance(error, SignInFirst) and request.headers.get("hx-request") != "true":
            return RedirectResponse(sign_in_address(request, ended=error.ended), 303)
        if isinstance(error, FromElsewhere):
            return _page("from_elsewhere.html", request, error)
        return _page("refusal.html", request, _refused(request, error))

    return handled


def of_guards(scope: Scope, one: Refused) -> Response:
    """What the guards refuse, before a route is looked for."""
    request = Request(scope)
    return _page("refusal.html", request, one) if wants_page(request) else problems.response(one)


def wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def _refused(request: Request, error: Exception) -> Refused:
    if isinstance(error, RequestValidationError):
        return problems.invalid(error)
    if isinstance(error, HTTPException) and not isinstance(error, Refused):
        return problems.of_http(request, error, f"There is no page {request.url.path[:200]}.")
    return problems.refused(error)


def _page(template: str, request: Request, one: Refused) -> Response:
    found = {**problems.document(one), "again": one.status_code in _AGAIN and request.method == "GET"}
    html = html_pages.text(template, request, None, found)
    return Response(html, one.status_code, media_type="text/html", headers={**html_pages.HEADERS, **(one.headers or {})})
