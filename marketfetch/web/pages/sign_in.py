"""Signing in: a token becomes a cookie of this browser."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from marketfetch.web.pages import html_pages
from marketfetch.web.pages.visitors import COOKIE, cookie_needs_tls, fields, own_path
from marketfetch.web.web_service import service_of

router = APIRouter(include_in_schema=False)

_ENDED: Final = "The token of this browser is revoked or has expired: sign in with another one."
_UNKNOWN: Final = "This token is not known here, or it is revoked. `marketfetch token create NAME` makes one."
_NOT_KEPT: Final = (
    "Your browser has not kept the sign-in: on another machine than this one it does so over https alone. Put a proxy with TLS "
    "in front of this server, or allow cookies for it."
)


@router.get("/sign-in")
async def sign_in_page(request: Request, to: str = "/", ended: str = "", kept: str = "") -> Response:
    """Asks for a token; with `kept`, looks whether the browser has kept the cookie that it was just given."""
    if kept and COOKIE in request.cookies:
        return RedirectResponse(own_path(to), 303)
    return _asked(request, own_path(to), _ENDED if ended else _NOT_KEPT if kept else "")


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Checks the token. It is in the body, never in an address, which logs and histories keep."""
    given = await fields(request)
    token, to = given.get("token", ""), own_path(given.get("to", "/"))
    if not token or await service_of(request).tokens.caller(token) is None:
        return _asked(request, to, _UNKNOWN, status=403)
    response = RedirectResponse(f"/sign-in?kept=1&to={quote(to, safe='')}", 303)
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=cookie_needs_tls(request))
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forgets the cookie. The token stays valid: `marketfetch token revoke` ends it."""
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=cookie_needs_tls(request))
    return response


def _asked(request: Request, to: str, sentence: str, *, status: int = 200) -> Response:
    html = html_pages.text("sign_in.html", request, None, {"to": to, "sentence": sentence})
    return Response(html, status, media_type="text/html", headers=html_pages.HEADERS)
