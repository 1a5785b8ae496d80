"""What Acme's replies say: `{"bars": [{"day": "2024-01-02", "open": 1.5, ...}]}`, or `{"error": "..."}` with a status.

https://acme.example/docs/replies
"""

from __future__ import annotations

from marketfetch.schemas.bars import PRICE_COLUMNS, BarSeries
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors.columns import asked_range, parse
from marketfetch.vendors.errors import BadCredentials, BadRequest, NoData, NotEntitled, Unavailable, UnknownSymbol
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
    body = parse_object(reply, who=WHO)
    if reply.status == 401:
        raise BadCredentials(f"{WHO} rejected the API key: check api_keys", status=401)
    if reply.status == 403:
        raise NotEntitled(f"{WHO}: the plan of this key does not include {request.symbol}", status=403)
    if reply.status == 404:
        raise UnknownSymbol(f"{WHO} does not know {request.symbol}", status=404)
    if reply.status != 200:
        raise BadRequest(f"{WHO} rejected the request for {request.symbol}", status=reply.status)
    rows = body.get("bars")
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
