"""Every refusal is one document: `application/problem+json`, with the sentence that the command line prints.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi import HTTPException as FastApiError
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from typing_extensions import TypedDict

from marketfetch.documents.command_problem import TYPES
from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError, UnknownJob, UnknownName
from marketfetch.ops import redis_writes
from marketfetch.ops.changing_settings import StaleChange
from marketfetch.redaction import Redactor
from marketfetch.settings import get_settings
from marketfetch.storage.store_errors import StoreError
from marketfetch.validation_words import in_words

MEDIA_TYPE: Final = "application/problem+json"
#: What each status means here: the word of the type, and the title.
KINDS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad-request", "The request can't be read"),
    401: ("no-token", "A valid token is needed"),
    403: ("forbidden", "This request is not allowed"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This path has no such method"),
    408: ("too-slow", "The request took too long to arrive"),
    412: ("changed-meanwhile", "Someone else has changed it"),
    413: ("too-large", "The request is too large"),
    415: ("not-json", "The body is not JSON"),
    421: ("unknown-host", "This server does not have that name"),
    422: ("refused", "What was asked can't be done"),
    428: ("no-version", "The version that was seen is needed"),
    429: ("too-many", "Too many requests of this token"),
    500: ("fault", "This should not happen"),
    503: ("unavailable", "Not available now"),
}
#: After how many seconds a client may try again what is not available now.
RETRY_AFTER_S: Final = 5
_MOST_WRONG: Final = 10
#: Instead of the words of a parser of JSON or forms.
_UNREADABLE: Final = "The body can't be read: it is broken, or nested too deeply."
_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class WrongValue(TypedDict):
    """One thing that is wrong with a request: where it stands, and what is wrong."""

    where: str
    what: str


class Problem(TypedDict, total=False):
    """What happened, why, and what to do (`detail`), with the class of it (`type`). `errors`: each wrong value of a request."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongValue]


class Refused(FastApiError):
    """A request is refused with this status and sentence. FastAPI lets its own kind of error through while it reads a body."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[WrongValue] = ()
    ) -> None:
        again = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
        super().__init__(status, detail, headers={**again, **(headers or {})})
        self.errors = list(errors)


def refused(error: Exception) -> Refused:
    """The refusal that an error stands for: 404, 412, 422, 503; else 500, whose cause stands in the log alone."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, UnknownJob | UnknownName):
        return Refused(404, str(error))
    if isinstance(error, StaleChange):
        return Refused(412, str(error))
    if isinstance(error, BadRequestError):
        return Refused(422, str(error))
    if isinstance(error, UnavailableError | StoreError):
        return Refused(503, f"{error}" if str(error).endswith(".") else f"{error}.")
    if isinstance(error, RedisError):
        return Refused(503, redis_writes.told(error, ""))
    if isinstance(error, MarketfetchError):
        return Refused(422, str(error))
    return Refused(500, f"This should not happen ({type(error).__name__}). The server's log says more: please report it.")


def document(one: Refused) -> Problem:
    """The problem of a refusal, without any secret."""
    word, title = KINDS.get(one.status_code, ("refused", "This request is refused"))
    redactor = Redactor(get_settings().secrets())
    found: Problem = {"type": TYPES + word, "title": title, "status": one.status_code, "detail": redactor.text(one.detail)}
    if one.errors:
        found["errors"] = [{"where": redactor.text(e["where"]), "what": redactor.text(e["what"])} for e in one.errors]
    return found


def response(one: Refused) -> Response:
    return Response(json.dumps(document(one)), one.status_code, headers=one.headers, media_type=MEDIA_TYPE)


async def on_error(_request: Request, error: Exception) -> Response:
    """For errors of ours, as FastAPI's exception handler."""
    return response(refused(error))


async def on_http_error(request: Request, error: Exception) -> Response:
    """For Starlette's own refusals: an unknown path, a method that a path has not."""
    assert isinstance(error, HTTPException)
    unknown = f"There is nothing at {request.url.path[:200]}. GET /api/v1/openapi.json lists what there is."
    return response(of_http(request, error, unknown))


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def of_http(request: Request, error: HTTPException, unknown: str) -> Refused:
    """A refusal of Starlette's with a sentence; `unknown` is that of an unknown path."""
    if error.status_code == 405:
        # Starlette names the methods of one route, and a path may have a route for each method.
        allowed = ", ".join(one for one in _METHODS if _takes(request, one))
        sentence = f"{request.url.path[:200]} has no method {request.method}: it has {allowed}."
        return Refused(405, sentence, headers={"Allow": allowed})
    sentence = {404: unknown, 400: _UNREADABLE}.get(error.status_code, str(error.detail))
    return Refused(error.status_code, sentence, headers=error.headers)


async def on_invalid(_request: Request, error: Exception) -> Response:
    """For a body or a query that is not what a path takes."""
    return response(invalid(error))


def invalid(error: Exception) -> Refused:
    """What is wrong with a body or a query, a RequestValidationError."""
    assert isinstance(error, RequestValidationError)
    sentence, wrong = _said(error.errors())
    return Refused(422, sentence, errors=wrong)


def _said(errors: Sequence[Mapping[str, Any]]) -> tuple[str, list[WrongValue]]:
    wrong = list(_wrong(errors[:_MOST_WRONG]))
    more = f" And {len(errors) - _MOST_WRONG:,} more." if len(errors) > _MOST_WRONG else ""
    return "; ".join(f"{one['where']} {one['what']}" for one in wrong) + "." + more, wrong


def _wrong(errors: Iterable[Mapping[str, Any]]) -> Iterable[WrongValue]:
    for one in errors:
        place, *path = one.get("loc", ("request",))
        if one.get("type") == "json_invalid":
            yield {"where": "The body", "what": "is no JSON"}
        else:
            name = ".".join(str(part) for part in path) or str(place)
            yield {"where": name[:100], "what": in_words(one)}
