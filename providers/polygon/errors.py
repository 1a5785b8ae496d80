"""Polygon's errors: the status classifies them; the reason is in `error` (400, 401, 429) or in `message` (403, 404).

https://massive.com/docs/rest/quickstart
"""

from __future__ import annotations

import json
import re
from typing import Final

from marketfetch.vendors.errors import BadCredentials, BadRequest, FetchError, Gone, NotEntitled, Unavailable, UnknownSymbol
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, looks_like_json, not_json, quoted, rate_limited

WHO: Final = "Polygon"

_KEY: Final = re.compile(r"api ?key", re.IGNORECASE)
_FREQUENCY: Final = re.compile(r"maximum requests|too many requests", re.IGNORECASE)
_TIMEFRAME: Final = re.compile(r"timeframe", re.IGNORECASE)


def check_status(reply: HttpReply, *, symbol: str) -> None:
    """Raises for every status but 200, and for an unusable body."""
    check_whole(reply, who=WHO)
    if reply.status == 200:
        return
    if reply.status in (410, 429):
        raise _error(reply, "", symbol=symbol)
    if not looks_like_json(reply):
        raise not_json(reply, who=WHO)
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise not_json(reply, who=WHO) from None
    reason = str(body.get("error") or body.get("message") or "") if isinstance(body, dict) else ""
    raise _error(reply, reason, symbol=symbol)


def error_in(status: str, reason: str, reply: HttpReply, *, symbol: str) -> FetchError | None:
    """Returns the error that a 200 reports; None for OK and for DELAYED, which is valid data of a plan without live prices."""
    if status in ("OK", "DELAYED"):
        return None
    if status == "NOT_AUTHORIZED":
        return _not_entitled(reply, reason, symbol=symbol)
    if status == "NOT_FOUND":
        return UnknownSymbol(f"{WHO} does not know {symbol}: check the spelling", status=reply.status)
    if _FREQUENCY.search(reason):
        return _minute_limit(reply, symbol)
    if _KEY.search(reason):
        return BadCredentials(f"{WHO} rejected the API key: check api_keys", status=reply.status)
    said = f"status {status}" if re.fullmatch(r"[A-Z_]{1,30}", status) else "an unknown status"
    return Unavailable(f"{WHO} responded with {said} instead of data for {symbol}", status=reply.status)


def _error(reply: HttpReply, reason: str, *, symbol: str) -> FetchError:
    status = reply.status
    if status == 429:
        return _minute_limit(reply, symbol)
    if status == 401:
        return BadCredentials(f"{WHO} rejected the API key (missing or unknown): check api_keys", status=status)
    if status == 403:
        return _not_entitled(reply, reason, symbol=symbol)
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
    said = quoted(reason) if reason and not _KEY.search(reason) else "check its parameters"
    return BadRequest(f"{WHO} rejected the request for {symbol} (status {status}): {said}", status=status)


def _minute_limit(reply: HttpReply, symbol: str) -> FetchError:
    message = f"{WHO} reported that this key has reached its limit per minute ({symbol})"
    return rate_limited(reply, message, scope="minute")


def _not_entitled(reply: HttpReply, reason: str, *, symbol: str) -> NotEntitled:
    if _TIMEFRAME.search(reason):
        return NotEntitled(
            f"{WHO}: the plan of this key does not cover the start of the range of {symbol}: ask for a later start "
            f"(the free plan has 2 years), or upgrade the plan",
            status=reply.status,
        )
    return NotEntitled(f"{WHO}: the plan of this key does not include {symbol}: upgrade the plan", status=reply.status)
