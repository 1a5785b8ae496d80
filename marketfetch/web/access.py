"""Which caller a request is of, and whether that one may do what a route does: a dependency of every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from marketfetch.ops.access_tokens import Scope
from marketfetch.web.callers import Caller
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import service_of

_TOKEN = HTTPBearer(auto_error=False, scheme_name="token", description="A token of `marketfetch token create`.")
_HOW = "Send it as `Authorization: Bearer TOKEN`; `marketfetch token create NAME` makes one."


def _needs(scope: Scope, *, own: bool = False) -> Any:
    """Admits a caller with this scope, or a wider one. 401 and 403 else. `own`: also one who is bound to an owner."""

    async def admitted(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_TOKEN)]) -> Caller:
        caller = await _caller(request, given)
        if not caller.may(scope):
            raise Refused(403, f"The token {caller.name!r} has the scope {caller.scope}, and this takes {scope}.")
        refuse_bound(caller, own=own)
        return caller

    dependency: Callable[..., Awaitable[Caller]] = admitted
    return Depends(dependency)


def refuse_bound(caller: Caller, *, own: bool) -> None:
    """Raises Refused for a caller who is bound to an owner, where a route does not hold back what others have."""
    if caller.bound_to and not own:
        raise Refused(403, f"The token {caller.name!r} is of one owner, and this concerns others: it has its jobs and bars.")


async def _caller(request: Request, given: HTTPAuthorizationCredentials | None) -> Caller:
    if request.state.from_elsewhere:
        raise Refused(403, "A page of another site may not read anything here: open this address by itself.")
    service = service_of(request)
    named = "authorization" in request.headers
    if not named and request.state.open:
        return Caller(service.owner, "admin")
    if not named:
        why = f": {request.state.behind}" if request.state.behind else ""
        sentence = f"This server takes no request without a token{why}. {_HOW}"
        raise Refused(401, sentence, headers={"WWW-Authenticate": "Bearer"})
    found = await service.tokens.caller(given.credentials) if given else None
    if found is None:
        sentence = f"This token is not known here, or it is revoked. {_HOW}"
        raise Refused(401, sentence, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return found


#: The callers that a route admits: those with this scope, or a wider one.
Reader = Annotated[Caller, _needs("read")]
Submitter = Annotated[Caller, _needs("submit")]
Operator = Annotated[Caller, _needs("operate")]
Administrator = Annotated[Caller, _needs("admin")]
#: The same for routes that show a caller who is bound to an owner nothing of others.
OwnReader = Annotated[Caller, _needs("read", own=True)]
OwnSubmitter = Annotated[Caller, _needs("submit", own=True)]
