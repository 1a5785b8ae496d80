"""What Acme's replies say: `{"bars": [{"day": "2024-01-02", "open": 1.5, ...}]}`, or `{"error": "..."}` with a status.

https://acme.example/docs/replies
"""

from __future__ import annotations

from marketfetch.schemas.bars import PRICE_COLUMNS, BarSeries
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors.columns import asked_range, parse
from marketfetch.vendors.error_bodies import check_address, error_object, unknown_refusal
from marketfetch.vendors.errors import BadCredentials, BadRequest, FetchError, NoData, NotEntitled, Unavailable, UnknownSymbol
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole, parse_object, rate_limited
from marketfetch.vendors.times import NEW_YORK, bar_start_ms, parse_day

from .options import AcmeOptions

WHO = "Acme"


def read_reply(request: Request, reply: HttpReply, options: AcmeOptions) -> Page:
    """One series of daily bars. Raises the error tree of marketfetch.vendors.errors."""
    check_whole(reply, who=WHO)
    if reply.status == 429:
        raise rate_limited(reply, f"{WHO} reported a rate limit of this key for {request.symbol}", scope="window")
    if reply.status != 200:
        raise error_of(request, reply)
    rows = parse_object(reply, who=WHO).get("bars")
    if not isinstance(rows, list):
        raise Unavailable(f"{WHO} sent JSON without bars for {request.symbol}", status=200)
    if not rows:
        raise NoData(f"{WHO} has no bars for {request.symbol} in this range", status=200)
    rows = [row if isinstance(row, dict) else {} for row in rows]
    dates = [row.get("day") for row in rows]
    moments = [None if day is None else bar_start_ms(day, "1d", NEW_YORK) for day in map(parse_day, dates)]
    fields = {name: [row.get(name) for row in rows] for name in (*PRICE_COLUMNS, "volume")}
    parsed = parse(moments, dates, fields, rows=range(len(rows)), symbol=request.symbol)
    asked = asked_range(request, "1d", NEW_YORK)
    checked = parsed.checked(asked=asked, required=PRICE_COLUMNS, symbol=request.symbol)
    series = (BarSeries("acme", request.symbol, "1d", "raw", checked.bars),) if len(checked.bars) else ()
    return Page(series=series, rejects=checked.rejects, quirks=checked.quirks)


def error_of(request: Request, reply: HttpReply) -> FetchError:
    """The key and the plan are blamed in Acme's own words only: a proxy in front of it may send any status."""
    check_address(reply, who=WHO, symbol=request.symbol)
    body = error_object(reply)
    said = str((body or {}).get("error", ""))
    if reply.status == 401 and said == "unknown key":
        return BadCredentials(f"{WHO} rejected the API key: check api_keys", status=401)
    if reply.status == 403 and said == "not in your plan":
        return NotEntitled(f"{WHO}: the plan of this key does not include {request.symbol}", status=403)
    if reply.status in (401, 403):
        return unknown_refusal(reply, who=WHO, symbol=request.symbol, said=said)
    if body is None:
        return Unavailable(f"{WHO} sent an error that is no JSON for {request.symbol}", status=reply.status)
    if reply.status == 404:
        return UnknownSymbol(f"{WHO} does not know {request.symbol}", status=404)
    return BadRequest(f"{WHO} rejected the request for {request.symbol}", status=reply.status)
