"""Polygon's errors: the status classifies them; the reason is in `error` (400, 401, 429) or in `message` (403, 404).

https://massive.com/docs/rest/quickstart
"""

from __future__ import annotations

import re
from typing import Final

from marketfetch.vendors.error_bodies import (
    check_address,
    error_object,
    unknown_refusal,
    unknown_sentence,
    without_urls,
)
from marketfetch.vendors.errors import BadCredentials, BadRequest, FetchError, Gone, NotEntitled, Unavailable, UnknownSymbol
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, not_json, quoted, rate_limited

WHO: Final = "Polygon"
#: The statuses of data.
DATA_STATUSES: Final = ("OK", "DELAYED")

#: The vendor's own verdict on a key: nothing less, as a key that is condemned waits for a person.
_KEY: Final = re.compile(
    r"(unknown|invalid|expired|revoked) api ?key|api ?key (was not provided|is (invalid|unknown|missing|disabled|expired))",
    re.IGNORECASE,
)
_NAMES_KEY: Final = re.compile(r"api ?key", re.IGNORECASE)
_PLAN: Final = re.compile(r"not entitled|upgrade your plan|plan doesn't include", re.IGNORECASE)
_FREQUENCY: Final = re.compile(r"maximum requests|too many requests", re.IGNORECASE)
_TIMEFRAME: Final = re.compile(r"timeframe", re.IGNORECASE)


def check_status(reply: HttpReply, *, symbol: str) -> None:
    """Raises for every status but 200, and for an unusable body."""
    check_whole(reply, who=WHO)
    if reply.status == 200:
        return
    if reply.status in (410, 429):
        raise _error(reply, {}, symbol=symbol)
    body = error_object(reply)
    if body is None and reply.status not in (401, 403):
        check_address(reply, who=WHO, symbol=symbol)
        raise not_json(reply, who=WHO)
    raise _error(reply, body or {}, symbol=symbol)


def _reason(body: dict[str, object]) -> str:
    return str(body.get("error") or body.get("message") or "")[:2_000]


def error_in(status: str, reason: str, reply: HttpReply, *, symbol: str) -> FetchError | None:
    """Returns the error that a 200 reports; None for OK and for DELAYED, which is valid data of a plan without live prices."""
    if status in DATA_STATUSES:
        return None
    if status == "NOT_AUTHORIZED":
        return _not_entitled(reply, reason, symbol=symbol)
    if status == "NOT_FOUND":
        return UnknownSymbol(f"{WHO} does not know {symbol}: check the spelling", status=reply.status)
    if _FREQUENCY.search(reason):
        return _minute_limit(reply, symbol)
    if _KEY.search(without_urls(reason)):
        return _rejected_key(reply)
    if reason:
        return unknown_sentence(reply, who=WHO, symbol=symbol, said=reason)
    said = f"status {status}" if re.fullmatch(r"[A-Z_]{1,30}", status) else "an unknown status"
    return Unavailable(f"{WHO} responded with {said} instead of data for {symbol}", status=reply.status)


def _error(reply: HttpReply, body: dict[str, object], *, symbol: str) -> FetchError:
    status, reason = reply.status, _reason(body)
    if status == 429:
        return _minute_limit(reply, symbol)
    if status in (401, 403):
        said = without_urls(reason)
        if _KEY.search(said):
            return _rejected_key(reply)
        if body.get("status") == "NOT_AUTHORIZED" or _PLAN.search(said):
            return _not_entitled(reply, reason, symbol=symbol)
        return unknown_refusal(reply, who=WHO, symbol=symbol, said=reason)
    if status == 404:
        return UnknownSymbol(
            f"{WHO} does not know {symbol}: check the spelling; tickers are case-sensitive (AAPL, X:BTCUSD)", status=status
        )
    if status == 410:
        return Gone(f"{WHO} has retired the requested data of {symbol}: choose another dataset", status=status)
    if status == 413:
        return Unavailable(f"{WHO} rejected the request for {symbol} as too large for now (status 413)", status=status)
    if status < 400:
        return Unavailable(f"{WHO} responded to {symbol} with status {status}, which is no status of data", status=status)
    said = quoted(reason) if reason and not _NAMES_KEY.search(reason) else "check its parameters"
    return BadRequest(f"{WHO} rejected the request for {symbol} (status {status}): {said}", status=status)


def _minute_limit(reply: HttpReply, symbol: str) -> FetchError:
    message = f"{WHO} reported that this key has reached its limit per minute ({symbol})"
    return rate_limited(reply, message, scope="minute")


def _rejected_key(reply: HttpReply) -> BadCredentials:
    return BadCredentials(f"{WHO} rejected the API key (missing or unknown): check api_keys", status=reply.status)


def _not_entitled(reply: HttpReply, reason: str, *, symbol: str) -> NotEntitled:
    if _TIMEFRAME.search(reason):
        return NotEntitled(
            f"{WHO}: the plan of this key does not cover the start of the range of {symbol}: ask for a later start "
            f"(the free plan has 2 years), or upgrade the plan",
            status=reply.status,
        )
    return NotEntitled(f"{WHO}: the plan of this key does not include {symbol}: upgrade the plan", status=reply.status)
