"""Nasdaq Data Link's errors: a code such as QELx04, whose third letter is its class, in JSON or in a two-line CSV.

https://docs.data.nasdaq.com/docs/error-codes
"""

from __future__ import annotations

import re
from typing import Final

from marketfetch.vendors.error_bodies import (
    body_text,
    check_address,
    error_object,
    unknown_refusal,
    unknown_sentence,
    without_urls,
)
from marketfetch.vendors.errors import BadCredentials, BadRequest, FetchError, Gone, NotEntitled, Unavailable, UnknownSymbol
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, quoted, rate_limited

WHO: Final = "Nasdaq Data Link"

_CODE: Final = re.compile(r"^QE([A-Z])x(\d\d)$")
_AT_ONCE: Final = re.compile(r"at the same time|simultaneous|concurren", re.IGNORECASE)
_NEEDS_KEY: Final = re.compile(r"valid api key is required", re.IGNORECASE)
_DISABLED: Final = re.compile(r"disabled", re.IGNORECASE)

#: Codes that need more than their class. L = limit, A = authentication, P = permission, S = syntax, C = not found.
_DAY_LIMITS: Final = ("QELx01", "QELx02", "QELx03")
_TOO_MUCH_ASKED: Final = ("QELx06", "QELx07", "QELx08")
_ANONYMOUS: Final = ("QEPx01", "QEPx05")
_NOT_READY: Final = "QEAx07"
_NOT_READY_MS: Final = 30_000
_SPEED_OF_A_KEY: Final = "QEAx06"
_DEPRECATED: Final = "QECx06"
_WRONG_ADDRESS: Final = ("QECx01", "QECx05")
_BAD_CURSOR: Final = "QESx06"


def check_status(reply: HttpReply, *, symbol: str) -> None:
    """Raises for every response that reports an error, whatever its status: a 202 can report one."""
    if reply.status == 410:
        raise _gone(symbol, reply.status)
    check_whole(reply, who=WHO)
    code, message = error_code(reply)
    if code:
        raise _coded(code, message, reply, symbol=symbol)
    if reply.status != 200:
        raise _bare(reply, symbol=symbol)


def error_code(reply: HttpReply) -> tuple[str, str]:
    """Returns code and message of an error, ("", "") for other responses. An error in CSV has the header `code,message`."""
    if reply.body.lstrip().startswith(b"code,message"):
        code, _, message = body_text(reply).lstrip().partition("\n")[2].strip().partition(",")
        return code.strip() or "?", message.strip()
    if b"quandl_error" not in reply.body[:2_000]:
        return "", ""
    error = (error_object(reply) or {}).get("quandl_error")
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("code") or "?"), str(error.get("message") or "")


def _coded(code: str, message: str, reply: HttpReply, *, symbol: str) -> FetchError:
    status = reply.status
    if code == _NOT_READY:
        return Unavailable(
            f"{WHO} has not prepared {symbol} yet ({code}): retry in 30 s", status=status, retry_after_ms=_NOT_READY_MS
        )
    kind = match[1] if (match := _CODE.match(code)) else ""
    if kind == "L" or code == _SPEED_OF_A_KEY or status == 429:
        return _limit(code, message, reply, symbol=symbol)
    if kind == "A" or code in _ANONYMOUS or (kind == "P" and _NEEDS_KEY.search(without_urls(message))):
        return BadCredentials(f"{WHO} rejected the API key ({code}): check api_keys", status=status)
    if kind == "P":
        return NotEntitled(
            f"{WHO}: the subscriptions of this key do not include {symbol} ({code}): subscribe to the database", status=status
        )
    if kind == "C" and code == _DEPRECATED:
        return _gone(symbol, status)
    if kind == "C" and code not in _WRONG_ADDRESS:
        return UnknownSymbol(f"{WHO} does not know {symbol} ({code}): check the code, it may have a new name", status=status)
    if code == _BAD_CURSOR:
        return BadRequest(
            f"{WHO}: the cursor of this page of {symbol} has expired ({code}): retry from the first page", status=status
        )
    if kind in ("S", "C"):
        return BadRequest(f"{WHO} rejected the request for {symbol} ({code}): {quoted(message)}", status=status)
    if kind in ("M", "X"):
        return Unavailable(f"{WHO} reported an internal error for {symbol} ({code})", status=status)
    return _bare(reply, symbol=symbol, said=f"{code} {message}")


def _limit(code: str, message: str, reply: HttpReply, *, symbol: str) -> FetchError:
    status = reply.status
    if code in _TOO_MUCH_ASKED and status != 429:
        return BadRequest(f"{WHO}: the request for {symbol} is too large ({code}): choose a shorter range", status=status)
    if _AT_ONCE.search(message):
        return rate_limited(
            reply, f"{WHO} reported too many concurrent calls with this key ({symbol}, {code})", scope="concurrency"
        )
    if code in _DAY_LIMITS or _DISABLED.search(message):
        return rate_limited(reply, f"{WHO} reported that this key has reached its daily limit ({symbol}, {code})", scope="day")
    return rate_limited(reply, f"{WHO} reported that this key has reached its rate limit ({symbol}, {code})", scope="window")


def _bare(reply: HttpReply, *, symbol: str, said: str = "") -> FetchError:
    """Classifies an error without a known code by its status; `said` is an unknown code with its message."""
    status = reply.status
    if status == 429:
        return rate_limited(reply, f"{WHO} reported a rate limit (status 429) for {symbol}: slow down", scope="window")
    if status in (401, 403):
        return unknown_refusal(reply, who=WHO, symbol=symbol, said=said)
    check_address(reply, who=WHO, symbol=symbol)
    if status == 404:
        return UnknownSymbol(f"{WHO} does not know {symbol} (status 404): check the spelling", status=status)
    if status >= 400:
        return BadRequest(f"{WHO} rejected the request for {symbol} (status {status}): check its parameters", status=status)
    if said:
        return unknown_sentence(reply, who=WHO, symbol=symbol, said=said)
    return Unavailable(f"{WHO} responded with status {status} and no data for {symbol}", status=status)


def _gone(symbol: str, status: int) -> Gone:
    return Gone(f"{WHO} has retired {symbol}: choose another dataset", status=status)
