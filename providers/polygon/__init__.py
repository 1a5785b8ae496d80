"""Polygon.io, since 2025-10 Massive: aggregates by range, paged by `next_url`.

A cursor is the path and query of a next_url, without host and key: it is only ever asked at the configured base URL.
https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

from datetime import date, timedelta
from difflib import get_close_matches
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, is_intraday
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.ranges import generation_of, split_by_days, split_by_months
from marketfetch.vendors.times import period_end, period_start

from .replies import is_stock_like, read_reply

__all__ = ["BASE_URL", "NAME", "build_request", "plan", "read_reply"]

NAME: Final = "polygon"
BASE_URL: Final = "https://api.massive.com"

#: The most base bars (minutes or days, not the asked bars) that one page covers. Same page as above, parameter `limit`.
MOST_BASE_BARS: Final = 50_000

_BARS: Final = ("bars", "aggs")
_RECORDS: Final = {
    "splits": "/v3/reference/splits",
    "dividends": "/v3/reference/dividends",
    "tickers": "/v3/reference/tickers",
}
#: Stocks trade 04:00 to 20:00 New York, five days of seven; the others may trade every minute.
_STOCK_MINUTES: Final = 960
_DAY_MINUTES: Final = 1_440
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


def plan(spec: JobSpec, options: VendorOptions) -> list[Request]:
    """Per symbol: one request for daily and longer bars, pieces of one or two months for intraday bars. Raises PlanError.

    A piece's base bars fit one page, so `next_url` is only needed where a market has more of them than it should.
    """
    if spec.dataset.lower() in _RECORDS:
        raise PlanError(f"polygon's {spec.dataset} are not bars: only bars can be fetched; read a saved reply instead")
    if spec.dataset.lower() not in _BARS:
        close = get_close_matches(spec.dataset.lower(), (*_BARS, *_RECORDS), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise PlanError(f"polygon has no dataset {spec.dataset!r}: {hint}Bars are the dataset bars.")
    return [
        Request(
            provider="polygon",
            dataset="bars",
            symbol=symbol,
            timespan=spec.timespan,
            adjustment=_adjustment_of(spec, symbol),
            start=start,
            end=end,
            generation=generation_of(spec, end),
        )
        for symbol in spec.symbols
        for start, end in _pieces(spec, symbol, _limit(options))
    ]


def build_request(request: Request, options: VendorOptions) -> HttpRequest:
    """The call for a first page, or for the page that the cursor names."""
    key = KeyPlace("header", "Authorization", "Bearer {key}")
    if request.cursor is not None:
        parts = urlsplit(request.cursor)
        return HttpRequest(path=parts.path, params=tuple(parse_qsl(parts.query, keep_blank_values=True)), key=key)
    dataset = request.dataset.lower()
    if dataset in _RECORDS:
        return HttpRequest(path=_RECORDS[dataset], params=(("ticker", request.symbol), ("limit", "1000")), key=key)
    if request.start is None or request.end is None:
        raise PlanError("polygon serves bars by range only: give a start and an end")
    start, end = period_start(request.start, request.timespan), request.end
    if request.timespan == "1w":
        # Polygon's weeks run from Sunday to Saturday: exactly those whose Mondays were asked for.
        start, end = start - timedelta(days=1), period_end(end, "1w") - timedelta(days=1)
    elif request.timespan == "1mo":
        end = period_end(end, "1mo")
    path = f"/v2/aggs/ticker/{quote(request.symbol, safe=':')}/range/{_RANGES[request.timespan]}/{start}/{end}"
    params = (
        ("adjusted", "false" if request.adjustment == "raw" and is_stock_like(request.symbol) else "true"),
        ("sort", "asc"),
        ("limit", str(_limit(options))),
    )
    return HttpRequest(path=path, params=params, key=key)


def _limit(options: VendorOptions) -> int:
    return min(options.page_limit or MOST_BASE_BARS, MOST_BASE_BARS)


def _pieces(spec: JobSpec, symbol: str, limit: int) -> list[tuple[date, date]]:
    if not is_intraday(spec.timespan):
        # 50,000 days are 137 years; with a small page_limit the pages follow each other by next_url.
        return [(spec.start, spec.end)]
    if is_stock_like(symbol):
        # So many days that even the worst choice of them has no more sessions than fit: whole weeks have five.
        weeks, rest = divmod(limit // _STOCK_MINUTES, 5)
        days = weeks * 7 + rest
    else:
        days = limit // _DAY_MINUTES
    if days >= 62:
        return list(split_by_months(spec.start, spec.end, months=2))
    if days >= 31:
        return list(split_by_months(spec.start, spec.end))
    return list(split_by_days(spec.start, spec.end, days=max(1, days)))


def _adjustment_of(spec: JobSpec, symbol: str) -> Adjustment:
    if spec.adjustment == "split_dividend":
        raise PlanError(
            "polygon adjusts for splits only: ask for the adjustment split or raw; "
            "alpha_vantage and nasdaq's WIKI/PRICES have split_dividend"
        )
    if is_stock_like(symbol):
        return spec.adjustment or "split"
    if spec.adjustment == "split":
        raise PlanError(f"{symbol} has no splits: leave the adjustment out, or ask for raw")
    return "raw"
