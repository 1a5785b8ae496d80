"""Who looks at a page: the token of a cookie, which a script can't read and a page of another site can't send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import Depends, Request

from marketfetch.ops.access_tokens import Scope
from marketfetch.web.access import refuse_bound
from marketfetch.web.callers import Caller
from marketfetch.web.guards import host_of, is_loopback
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import service_of

COOKIE: Final = "marketfetch_token"


class SignInFirst(Refused):
    """The page needs a token; `ended`: the one of this browser is not valid any more."""

    def __init__(self, *, ended: bool) -> None:
        said = "The token of this browser is revoked or has expired" if ended else "This page needs a token"
        super().__init__(401, f"{said}: sign in at /sign-in.")
        self.ended = ended


class FromElsewhere(Refused):
    """A link of another site has led here: the visitor decides, before anything is read."""

    def __init__(self) -> None:
        super().__init__(403, "A link of another site has led here.")


async def visitor(request: Request) -> Caller:
    """The caller of a page. Raises SignInFirst, FromElsewhere."""
    if request.state.from_elsewhere:
        raise FromElsewhere
    service, token = service_of(request), request.cookies.get(COOKIE, "")
    caller = await service.tokens.caller(token) if token else None
    if caller is not None:
        return caller
    if request.state.open:
        return Caller(service.owner, "admin")
    raise SignInFirst(ended=bool(token))


def _needs(scope: Scope, *, own: bool = False) -> Any:
    async def admitted(caller: Annotated[Caller, Depends(visitor)]) -> Caller:
        if not caller.may(scope):
            raise Refused(403, f"The token {caller.name!r} has the scope {caller.scope}, and this takes {scope}.")
        refuse_bound(caller, own=own)
        return caller

    dependency: Callable[..., Awaitable[Caller]] = admitted
    return Depends(dependency)


#: The visitors that a page, or a button of it, admits: those with this scope, or a wider one.
Reading = Annotated[Caller, _needs("read")]
Submitting = Annotated[Caller, _needs("submit")]
Operating = Annotated[Caller, _needs("operate")]
Administering = Annotated[Caller, _needs("admin")]
#: The same for pages that show a visitor who is bound to an owner nothing of others.
OwnReading = Annotated[Caller, _needs("read", own=True)]
OwnSubmitting = Annotated[Caller, _needs("submit", own=True)]


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form. Of a name that is there twice, the last one. Raises Refused."""
    try:
        found = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise Refused(400, "This form can't be read: load the page again.") from None
    return {name: values[-1].strip() for name, values in found.items()}


def cookie_needs_tls(request: Request) -> bool:
    """False on this machine, where browsers keep a cookie without TLS too."""
    return not is_loopback(host_of(request.headers.get("host", "")))


def own_path(text: str) -> str:
    """A path of this server to go to; / for what leads elsewhere, since anyone can write it into an address."""
    parts = urlsplit(text)
    fine = text.startswith("/") and not text.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return text if fine and text.isprintable() else "/"


def sign_in_address(request: Request, *, ended: bool) -> str:
    """The page that asks for a token and then leads back."""
    here = request.url.path if request.method != "GET" else f"{request.url.path}?{request.url.query}".rstrip("?")
    return f"/sign-in?{'ended=1&' if ended else ''}to={quote(own_path(here), safe='')}"
