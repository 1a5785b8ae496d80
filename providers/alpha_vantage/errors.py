"""Alpha Vantage's errors: nearly all are 200s with one sentence in JSON, and the order of the tests is what tells them apart.

The sentence is never quoted: the one of the daily cap echoes the key. https://www.alphavantage.co/support/
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
    """Raises for what the status and the first bytes tell; the sentences inside a 200 are `error_in`'s."""
    check_whole(reply, who=WHO)
    status = reply.status
    if status == 429:
        raise rate_limited(reply, f"{WHO} says that calls come too often", scope="minute", else_ms=60_000)
    if status < 400 and status != 200:
        raise Unavailable(f"{WHO} answered with status {status}, which it never does with data", status=status)
    if status < 400:
        return
    if looks_like_json(reply):
        error = error_in(parse_object(reply, who=WHO), reply, symbol=symbol)
        if error is not None:
            raise error
    if status == 410:
        raise BadRequest(f"{WHO} has retired this function (status 410)", status=status)
    if status in (401, 403):
        raise BadCredentials(f"{WHO} refuses the key (status {status}): check api_keys", status=status)
    raise BadRequest(f"{WHO} does not understand the call for {symbol} (status {status})", status=status)


def error_in(body: dict[str, object], reply: HttpReply, *, symbol: str) -> FetchError | None:
    """The error that a JSON object is, None if it is data."""
    if not body:
        return NoData(f"{WHO} has nothing for {symbol}: it answered with an empty object", status=reply.status)
    if isinstance(body.get("message"), str) and ("endpoint" in body or _PREMIUM.search(str(body["message"]))):
        return NotEntitled(
            f"{WHO} sent sample data that it made up, because the key's plan does not include this function: "
            f"none of it was kept. Upgrade the plan, or ask for another dataset",
            status=reply.status,
        )
    for name in _SENTENCES:
        if name in body:
            return _told(name, str(body[name])[:2_000], reply, symbol=symbol)
    return None


def _told(name: str, sentence: str, reply: HttpReply, *, symbol: str) -> FetchError:
    status = reply.status
    if _DAILY_CAP.search(sentence):
        return rate_limited(reply, f"{WHO} says that the day's calls of this key are used up", scope="day")
    if _BURST.search(sentence):
        return rate_limited(reply, f"{WHO} says that calls come faster than one a second", scope="second", else_ms=1_100)
    if name == "Note" or _MINUTE.search(sentence):
        return rate_limited(
            reply, f"{WHO} says that the minute's calls of this key are used up", scope="minute", else_ms=60_000
        )
    if _PREMIUM.search(sentence):
        return NotEntitled(
            f"{WHO}'s plan of this key does not include what was asked for {symbol}: upgrade the plan, ask for a range "
            f"within the last 100 points, or for raw bars",
            status=status,
        )
    if _KEY.search(sentence):
        return BadCredentials(
            f"{WHO} does not accept the key (missing, invalid, or the demo key): check api_keys", status=status
        )
    if _INVALID.search(sentence):
        return UnknownSymbol(
            f"{WHO} does not know the symbol {symbol}, or a parameter is wrong: it says the same for both. "
            f"Check the spelling (suffixes are its own, such as TSCO.LON)",
            status=status,
        )
    if name == "Error Message":
        return BadRequest(f"{WHO} does not understand the call for {symbol}, with a reason not known to us", status=status)
    return Unavailable(f"{WHO} sent a notice that is not known to us instead of data for {symbol}", status=status)
