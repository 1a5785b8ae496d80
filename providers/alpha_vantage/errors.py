"""Alpha Vantage's errors: most are status 200 with one sentence in JSON, and the order of the patterns below matters.

No message quotes the sentence: the one about the daily cap echoes the key. https://www.alphavantage.co/support/
"""

from __future__ import annotations

import re
from typing import Final

from marketfetch.vendors.errors import BadCredentials, BadRequest, FetchError, NoData, NotEntitled, Unavailable, UnknownSymbol
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, looks_like_json, parse_object, rate_limited

WHO: Final = "Alpha Vantage"
_SENTENCES: Final = ("Error Message", "Information", "Note")

_DAILY_CAP: Final = re.compile(r"detected your api key|api rate limit is \d+ requests per day", re.IGNORECASE)
_BURST: Final = re.compile(r"requests? per second|more sparingly|per-second burst", re.IGNORECASE)
_MINUTE: Final = re.compile(r"call frequency|calls per minute|requests per minute", re.IGNORECASE)
_PREMIUM: Final = re.compile(r"premium (endpoint|feature)|only available (to|for) premium", re.IGNORECASE)
_KEY: Final = re.compile(r"\*\*demo\*\*|demo api key|apikey|api key is (invalid|missing)", re.IGNORECASE)
_INVALID: Final = re.compile(r"invalid api call", re.IGNORECASE)


def check_status(reply: HttpReply, *, symbol: str) -> None:
    """Raises for an error status and for an unusable body; `error_in` reads the sentences inside a 200."""
    check_whole(reply, who=WHO)
    status = reply.status
    if status == 429:
        raise rate_limited(
            reply, f"{WHO} reported a rate limit (status 429) for {symbol}: slow down", scope="minute", else_ms=60_000
        )
    if status < 400 and status != 200:
        raise Unavailable(f"{WHO} responded to {symbol} with status {status}, which is no status of data", status=status)
    if status < 400:
        return
    if looks_like_json(reply):
        error = error_in(parse_object(reply, who=WHO), reply, symbol=symbol)
        if error is not None:
            raise error
    if status == 410:
        raise BadRequest(f"{WHO} has retired the function of {symbol} (status 410): choose another dataset", status=status)
    if status in (401, 403):
        raise BadCredentials(f"{WHO} rejected the API key (status {status}): check api_keys", status=status)
    raise BadRequest(f"{WHO} rejected the request for {symbol} (status {status}): check its parameters", status=status)


def error_in(body: dict[str, object], reply: HttpReply, *, symbol: str) -> FetchError | None:
    """Returns the error that a JSON object reports, None if the object is data."""
    if not body:
        return NoData(f"{WHO} has no data for {symbol}: the response is an empty object", status=reply.status)
    if isinstance(body.get("message"), str) and ("endpoint" in body or _PREMIUM.search(str(body["message"]))):
        return NotEntitled(
            f"{WHO} returned made up sample data for {symbol}, because the key's plan does not include this function: "
            f"no row was kept. Upgrade the plan, or choose another dataset",
            status=reply.status,
        )
    for name in _SENTENCES:
        if name in body:
            return _reported(name, str(body[name])[:2_000], reply, symbol=symbol)
    return None


def _reported(name: str, sentence: str, reply: HttpReply, *, symbol: str) -> FetchError:
    status = reply.status
    if _DAILY_CAP.search(sentence):
        return rate_limited(reply, f"{WHO} reported that this key has reached its daily limit ({symbol})", scope="day")
    if _BURST.search(sentence):
        return rate_limited(
            reply, f"{WHO} reported more than one call per second with this key ({symbol})", scope="second", else_ms=1_100
        )
    if name == "Note" or _MINUTE.search(sentence):
        return rate_limited(
            reply, f"{WHO} reported that this key has reached its limit per minute ({symbol})", scope="minute", else_ms=60_000
        )
    if _PREMIUM.search(sentence):
        return NotEntitled(
            f"{WHO}: the plan of this key does not include the requested data of {symbol}: upgrade the plan, request a "
            f"range within the last 100 points, or request raw bars",
            status=status,
        )
    if _KEY.search(sentence):
        return BadCredentials(f"{WHO} rejected the API key (missing, invalid, or the demo key): check api_keys", status=status)
    if _INVALID.search(sentence):
        return UnknownSymbol(
            f"{WHO} does not know the symbol {symbol}, or a parameter is wrong: it says the same for both. "
            f"Check the spelling (suffixes are its own, such as TSCO.LON)",
            status=status,
        )
    if name == "Error Message":
        return BadRequest(f"{WHO} rejected the request for {symbol} for an unknown reason: check its parameters", status=status)
    return Unavailable(f"{WHO} returned an unknown message instead of data for {symbol}", status=status)
