"""Reads Polygon's snapshot of one stock: its latest price, the day so far, and the close before.

https://massive.com/docs/rest/stocks/snapshots/single-ticker-snapshot
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import QUOTES
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.record_reading import records_page
from marketfetch.vendors.reply_parsing import parse_object
from marketfetch.vendors.times import NEW_YORK, local_date

from .errors import WHO, error_in

_NAMES: Final = MappingProxyType(
    {
        "ticker": "symbol",
        "updated": "taken_at",
        "session": "day",
        "lastTrade.p": "price",
        "min.c": "price",
        "day.c": "price",
        "day.o": "open",
        "day.h": "high",
        "day.l": "low",
        "day.v": "volume",
        "prevDay.c": "previous_close",
    }
)
#: Where the price stands, the latest first; a plan without trades has no lastTrade.
_PRICES: Final = ("lastTrade.p", "min.c", "day.c")
#: 2100-01-01 in ns.
_LATEST_NS: Final = 4_102_444_800 * 10**9


def read_snapshot(request: Request, reply: HttpReply) -> Page:
    """Reads one snapshot as a record. Raises Unavailable and the errors of `error_in`."""
    body = parse_object(reply, who=WHO)
    reason = str(body.get("error") or body.get("message") or "")
    error = error_in(str(body.get("status", "")), reason, reply, symbol=request.symbol)
    if error is not None:
        raise error
    said = body.get("ticker")
    if not isinstance(said, dict):
        raise Unavailable(f"{WHO} returned a snapshot of an unknown shape for {request.symbol}", status=reply.status)
    if not request.is_unknown and str(said.get("ticker") or request.symbol) != request.symbol:
        raise Unavailable(f"{WHO} returned the snapshot of another ticker than {request.symbol}: no row was kept")
    return records_page(QUOTES, [_row(said)], lambda _: _NAMES, known={} if request.is_unknown else {"symbol": request.symbol})


def _row(said: Mapping[str, Any]) -> dict[str, object]:
    """The fields of a snapshot under their paths, its moment as a text, and the date of its session."""
    row: dict[str, object] = {"ticker": said.get("ticker"), "updated": said.get("updated")}
    for path in _NAMES:
        part, dot, name = path.partition(".")
        inside = said.get(part)
        if dot and isinstance(inside, dict):
            row[path] = inside.get(name)
    price = next((path for path in _PRICES if row.get(path) not in (None, 0)), _PRICES[0])
    for path in _PRICES:
        if path != price:
            row.pop(path, None)
    moment = row["updated"]
    if isinstance(moment, int) and not isinstance(moment, bool) and 0 < moment < _LATEST_NS:
        row["updated"] = f"{datetime.fromtimestamp(moment // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 10**9:09d}Z"
        row["session"] = local_date(moment // 10**6, NEW_YORK).isoformat()
    return row
