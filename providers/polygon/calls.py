"""The GET for a request to Polygon: a first page by range, each further page by its cursor.

A cursor is the path and query of a `next_url`, without host and key: the call goes only to the configured base URL.
https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_plus, urlsplit

from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.times import period_end, period_start

from .datasets import (
    DAY_FIELDS,
    FLAT_FILES,
    GROUPED,
    MOST_ROWS,
    RECORD_PATHS,
    ROWS_PER_LIST_PAGE,
    SEARCH,
    SNAPSHOTS,
    WITHOUT_PARAMETERS,
)
from .flat_file_calls import of_a_file
from .options import PolygonOptions
from .symbol_forms import is_stock_like

#: The maximum of `limit`: base bars (minutes or days, not the requested bars) per page. Source: the URL above.
MOST_BASE_BARS: Final = MOST_ROWS

_RANGES: Final = {
    "1m": "1/minute",
    "5m": "5/minute",
    "15m": "15/minute",
    "30m": "30/minute",
    "1h": "1/hour",
    "1d": "1/day",
    "1w": "1/week",
    "1mo": "1/month",
}


def build_request(request: Request, options: PolygonOptions) -> HttpRequest:
    """Builds the call for the first page, or for the page of the cursor. Raises PlanError."""
    if request.dataset.lower() == FLAT_FILES:
        return of_a_file(request)
    key = KeyPlace("header", "Authorization", "Bearer {key}")
    if request.cursor is not None:
        parts = urlsplit(request.cursor)
        return HttpRequest(path=parts.path, params=tuple(parse_qsl(parts.query, keep_blank_values=True)), key=key)
    dataset = request.dataset.lower()
    if dataset in RECORD_PATHS:
        if dataset in WITHOUT_PARAMETERS:
            return HttpRequest(path=RECORD_PATHS[dataset], params=(), key=key)
        if dataset == SEARCH:
            words = (("search", unquote_plus(request.symbol)), ("active", "true"))
            return HttpRequest(path=RECORD_PATHS[dataset], params=(*words, ("limit", str(ROWS_PER_LIST_PAGE))), key=key)
        if dataset in DAY_FIELDS:
            return HttpRequest(path=RECORD_PATHS[dataset], params=_of_actions(request, DAY_FIELDS[dataset]), key=key)
        # https://massive.com/docs/rest/stocks/tickers/all-tickers
        active = "false" if dataset == "delisted" else "true"
        of_market = (("market", "stocks"), ("active", active), ("sort", "ticker"), ("order", "asc"))
        asked = of_market if request.symbol == WHOLE_MARKET else (("ticker", request.symbol),)
        return HttpRequest(path=RECORD_PATHS[dataset], params=(*asked, ("limit", str(ROWS_PER_LIST_PAGE))), key=key)
    if dataset == SNAPSHOTS:
        path = f"/v2/snapshot/locale/us/markets/stocks/tickers/{quote(request.symbol, safe=':')}"
        return HttpRequest(path=path, params=(), key=key)
    if dataset == GROUPED:
        return _of_a_day(request, options, key)
    if request.start is None or request.end is None:
        raise PlanError(f"polygon serves the bars of {request.symbol} by range only: give a start and an end")
    start, end = period_start(request.start, request.timespan), request.end
    if request.timespan == "1w":
        # Polygon's weeks run from Sunday to Saturday; the range covers exactly the weeks of the requested Mondays.
        start, end = start - timedelta(days=1), period_end(end, "1w") - timedelta(days=1)
    elif request.timespan == "1mo":
        end = period_end(end, "1mo")
    path = f"/v2/aggs/ticker/{quote(request.symbol, safe=':')}/range/{_RANGES[request.timespan]}/{start}/{end}"
    params = (
        ("adjusted", "false" if request.adjustment == "raw" and is_stock_like(request.symbol) else "true"),
        ("sort", "asc"),
        ("limit", str(rows_per_page(options))),
    )
    return HttpRequest(path=path, params=params, key=key)


def _of_actions(request: Request, day: str) -> tuple[tuple[str, str], ...]:
    """Splits or dividends of a ticker or of all, whole or by their day.

    https://massive.com/docs/rest/stocks/corporate-actions/splits (the suffixes .gte and .lte)
    """
    found = [] if request.symbol == WHOLE_MARKET else [("ticker", request.symbol)]
    if request.start is not None and request.end is not None:
        found += [(f"{day}.gte", str(request.start)), (f"{day}.lte", str(request.end))]
    if request.symbol == WHOLE_MARKET:
        found += [("sort", day), ("order", "asc")]
    return (*found, ("limit", str(ROWS_PER_LIST_PAGE)))


def _of_a_day(request: Request, options: PolygonOptions, key: KeyPlace) -> HttpRequest:
    """https://massive.com/docs/rest/stocks/aggregates/daily-market-summary"""
    if request.start is None or request.start != request.end:
        raise PlanError(f"polygon serves the whole market a day a call (asked for {request.start} to {request.end})")
    params = (
        ("adjusted", "true" if request.adjustment == "split" else "false"),
        ("include_otc", "true" if options.grouped_otc else "false"),
    )
    return HttpRequest(path=f"/v2/aggs/grouped/locale/us/market/stocks/{request.start}", params=params, key=key)


def rows_per_page(options: PolygonOptions) -> int:
    """Returns the base bars per page: the setting, at most Polygon's maximum."""
    return min(options.page_limit or MOST_BASE_BARS, MOST_BASE_BARS)
