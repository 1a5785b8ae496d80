"""Reads Polygon's status of the markets: the stock market as a whole, exchanges, currencies, and groups of indices.

https://massive.com/docs/rest/stocks/market-operations/market-status
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import MARKETS
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.record_reading import records_page
from marketfetch.vendors.reply_parsing import parse_object
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS
from .errors import WHO, error_in

#: The objects of the reply, each with a status by market; the status of the stock market as a whole is a text.
GROUPS: Final = ("exchanges", "currencies", "indicesGroups")
_WHOLE: Final = "market"
_NAMES: Final = {name: name for name in ("kind", "market", "status", "serverTime")} | {"serverTime": "taken_at"}


def read_market_status(request: Request, reply: HttpReply) -> Page:
    """Reads the status of each market as a record. Raises Unavailable and the errors of `error_in`."""
    body = parse_object(reply, who=WHO)
    if _WHOLE not in body:
        # The reply has no `status` of its own unless it is an error.
        reason = str(body.get("error") or body.get("message") or "")
        raise error_in(str(body.get("status", "")), reason, reply, symbol=request.symbol) or Unavailable(
            f"{WHO} returned a market status of an unknown shape", status=reply.status
        )
    moment = _in_utc(body.get("serverTime"))
    rows: list[object] = [{"kind": _WHOLE, "market": "stocks", "status": body[_WHOLE], "serverTime": moment}]
    for group in GROUPS:
        markets = body.get(group)
        for market, status in markets.items() if isinstance(markets, dict) else ():
            rows.append({"kind": group, "market": market, "status": status, "serverTime": moment})
    check_rows(len(rows), most_rows=MOST_ROWS, who=WHO)
    return records_page(MARKETS, rows, lambda _: _NAMES)


def _in_utc(moment: Any) -> Any:
    """The server's time, which has an offset, in UTC; another value as it is, for the reject that names it."""
    try:
        found = datetime.fromisoformat(moment)
        return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z" if found.tzinfo else moment
    except (TypeError, ValueError, OverflowError):
        return moment
