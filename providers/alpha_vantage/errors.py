"""Alpha Vantage's errors: most are status 200 with one sentence in JSON, and the order of the patterns below matters.

No message quotes a sentence that is known: the one about the daily cap echoes the key. https://www.alphavantage.co/support/
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
from marketfetch.vendors.errors import (
    BadCredentials,
    BadRequest,
    FetchError,
    NoData,
    NotEntitled,
    RateLimited,
    Unavailable,
    UnknownSymbol,
)
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, quoted, rate_limited

WHO: Final = "Alpha Vantage"
_SENTENCES: Final = ("Error Message", "Information", "Note")
#: The keys under which data stands. https://www.alphavantage.co/documentation/
_DATA: Final = re.compile(r"Time Series|^Global Quote|^bestMatches$|^data$|^markets$|Exchange Rate$")

_DAILY_CAP: Final = re.compile(r"detected your api key|api rate limit is \d+ requests per day", re.IGNORECASE)
_BURST: Final = re.compile(r"requests? per second|per-second burst", re.IGNORECASE)
_SPARINGLY: Final = re.compile(r"more sparingly", re.IGNORECASE)
_MINUTE: Final = re.compile(r"call frequency|(calls|requests) per minute", re.IGNORECASE)
#: The last to be looked for: sentences about plans name rate limits too.
_THROTTLE: Final = re.compile(r"rate limit|too many (calls|requests)|slow down|throttl", re.IGNORECASE)
_PREMIUM: Final = re.compile(r"premium (endpoint|feature)|only available (to|for) premium", re.IGNORECASE)
#: What is said beside rows that are none.
_MADE_UP: Final = re.compile(r"this is a premium|\bartificial\b|sample data", re.IGNORECASE)
_INTERNAL: Final = re.compile(r"internal or external error|(internal|server) error|try again later", re.IGNORECASE)
#: The vendor's own verdict on a key: nothing less, as a key that is condemned waits for a person.
_KEY: Final = re.compile(
    r"\*\*demo\*\* api key|demo api key is|api ?key (is|was|you provided is) (invalid|missing|not valid)(?! (the|an?) )|"
    r"invalid api ?key",
    re.IGNORECASE,
)
_INVALID: Final = re.compile(r"invalid api call", re.IGNORECASE)
_WRONG: Final = re.compile(r"invalid inputs?\b|api function .{0,80}does not exist", re.IGNORECASE)


def check_status(reply: HttpReply, *, symbol: str) -> None:
    """Raises for an error status and for an unusable body; `error_in` reads the sentences inside a 200."""
    check_whole(reply, who=WHO)
    status = reply.status
    if status == 429:
        said_so = error_in(error_object(reply) or {}, reply, symbol=symbol)
        if isinstance(said_so, RateLimited):
            raise said_so
        raise rate_limited(
            reply, f"{WHO} reported a rate limit (status 429) for {symbol}: slow down", scope="minute", else_ms=60_000
        )
    if status < 400 and status != 200:
        raise Unavailable(f"{WHO} responded to {symbol} with status {status}, which is no status of data", status=status)
    if status < 400:
        return
    body = error_object(reply)
    error = error_in(body, reply, symbol=symbol) if body else None
    if error is not None and not _is_unknown(error):
        raise error
    said = _sentence(body or {})
    check_address(reply, who=WHO, symbol=symbol)
    if status == 410:
        raise BadRequest(f"{WHO} has retired the function of {symbol} (status 410): choose another dataset", status=status)
    if status in (401, 403):
        raise unknown_refusal(reply, who=WHO, symbol=symbol, said=said)
    why = quoted(said) if said else "check its parameters"
    raise BadRequest(f"{WHO} rejected the request for {symbol} (status {status}): {why}", status=status)


def error_in(body: dict[str, object], reply: HttpReply, *, symbol: str) -> FetchError | None:
    """Returns the error that a JSON object reports, None if the object is data: a greeting beside data is no error."""
    if not body:
        return NoData(f"{WHO} has no data for {symbol}: the response is an empty object", status=reply.status)
    if isinstance(body.get("message"), str) and ("endpoint" in body or _PREMIUM.search(str(body["message"]))):
        return _made_up(reply, symbol)
    has_data = any(_DATA.search(name) and isinstance(value, dict | list) and value for name, value in body.items())
    sentences = {name: str(body[name])[:2_000] for name in _SENTENCES if body.get(name)}
    if has_data and any(map(_MADE_UP.search, sentences.values())):
        return _made_up(reply, symbol)
    found = [
        _reported(sentence, reply, symbol=symbol)
        for name, sentence in sentences.items()
        if not has_data or name == "Error Message"
    ]
    return next((one for one in found if not _is_unknown(one)), found[0] if found else None)


def _is_unknown(error: FetchError) -> bool:
    return isinstance(error, Unavailable) and bool(error.unknown)


def _sentence(body: dict[str, object]) -> str:
    return next((str(body[name])[:2_000] for name in (*_SENTENCES, "detail", "message") if body.get(name)), "")


def _made_up(reply: HttpReply, symbol: str) -> NotEntitled:
    return NotEntitled(
        f"{WHO} returned made up sample data for {symbol}, because the key's plan does not include this function: "
        f"no row was kept. Upgrade the plan, or choose another dataset",
        status=reply.status,
    )


def _reported(sentence: str, reply: HttpReply, *, symbol: str) -> FetchError:
    """Classifies a sentence; the order of the patterns matters. Its URLs are no part of it."""
    whole, sentence = sentence, without_urls(sentence)
    status = reply.status
    if _DAILY_CAP.search(sentence):
        return rate_limited(reply, f"{WHO} reported that this key has reached its daily limit ({symbol})", scope="day")
    if _BURST.search(sentence):
        return rate_limited(
            reply, f"{WHO} reported more than one call per second with this key ({symbol})", scope="second", else_ms=1_100
        )
    if _SPARINGLY.search(sentence):
        # This form names no span, so the pause grows with each refusal in a row.
        return rate_limited(reply, f"{WHO} reported too many calls with this key ({symbol})", scope="second")
    if _INTERNAL.search(sentence):
        return Unavailable(f"{WHO} reported an error of its own for {symbol}: retry later", status=status)
    if _MINUTE.search(sentence):
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
    if _WRONG.search(sentence):
        return BadRequest(f"{WHO} rejected the request for {symbol}: {quoted(whole)}", status=status)
    if _THROTTLE.search(sentence):
        return rate_limited(reply, f"{WHO} reported a rate limit of this key ({symbol})", scope="minute")
    return unknown_sentence(reply, who=WHO, symbol=symbol, said=whole)
