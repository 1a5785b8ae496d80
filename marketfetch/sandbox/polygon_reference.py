"""Polygon's reference data: tickers, splits, dividends. https://polygon.io/docs/rest/stocks/tickers/all-tickers"""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

import numpy as np

from marketfetch.sandbox.market import Market
from marketfetch.sandbox.polygon_wire import HOST, error, polygon_reply, request_id, utc_text
from marketfetch.sandbox.reply import Query, Reply, json_reply
from marketfetch.sandbox.sessions import holidays
from marketfetch.sandbox.symbols import DELISTED, UNIVERSE, Symbol, ticker

_ROOT: Final = "/v3/reference/"
_HOLIDAYS: Final = "/v1/marketstatus/upcoming"
_STATUS: Final = "/v1/marketstatus/now"
_OPERATORS: Final = ("gte", "gt", "lte", "lt")


def answer(path: str, query: Query, *, market: Market) -> Reply:
    """One page of a list, or one ticker. What the sandbox does not have is a 404, as an unknown path is."""
    if path == _HOLIDAYS:
        return _holidays(market)
    if path == _STATUS:
        return _status(market)
    kind, _, name = path.removeprefix(_ROOT).partition("/")
    name = unquote(name)
    asked = _cursor_or(query)
    if path.startswith(_ROOT) and kind == "tickers" and name:
        symbol = ticker(name)
        if symbol is None:
            return error(404, "Ticker not found.", symbol=name)
        document = {"request_id": request_id(), "results": _about(symbol, market), "status": "OK"}
        return polygon_reply(document, symbol=name)
    if not path.startswith(_ROOT) or name or kind not in _LISTS:
        return error(404, "Data not found.")
    default, date_field, rows_of = _LISTS[kind]
    wanted = [asked["ticker"]] if asked.get("ticker") else list(UNIVERSE)
    symbols = [found for found in map(ticker, wanted) if found]
    rows = [row for symbol in symbols for row in rows_of(symbol, market)]
    if kind == "tickers":
        rows = _of_market(rows, asked)
    if words := asked.get("search", "").casefold():
        rows = [row for row in rows if words in f"{row['ticker']} {row.get('name', '')}".casefold()]
    rows = [row for row in rows if _meets(row, asked, "ticker") and _meets(row, asked, date_field)]
    order = asked.get("order", "asc" if kind == "tickers" else "desc")
    rows.sort(key=lambda row: (row[asked.get("sort", date_field)], row["ticker"]), reverse=order == "desc")
    try:
        limit, offset = min(int(asked.get("limit", default)), 1000), int(asked.get("offset", 0))
    except ValueError:
        return error(400, "The parameter 'limit' is not a number")
    page = rows[offset : offset + limit]
    answered: dict[str, Any] = {"results": page, "status": "OK", "request_id": request_id()}
    if kind == "tickers":
        answered["count"] = len(page)
    if offset + limit < len(rows):
        rest = urlencode(sorted((asked | {"offset": str(offset + limit)}).items()))
        answered["next_url"] = f"{HOST}{path}?cursor={base64.urlsafe_b64encode(rest.encode()).decode().rstrip('=')}"
    return polygon_reply(answered, symbol=asked.get("ticker", kind))


def _about(symbol: Symbol, market: Market) -> dict[str, Any]:
    market_name = {"stock": "stocks", "fx": "fx", "crypto": "crypto"}[symbol.kind]
    return {
        "ticker": symbol.name,
        "name": f"{symbol.name} (simulated)",
        "market": market_name,
        "locale": "us" if symbol.kind == "stock" else "global",
        "primary_exchange": "XNYS",
        "type": "CS",
        "active": True,
        "currency_name": "usd",
        "list_date": str(symbol.listed),
        "last_updated_utc": utc_text(market.today),
    }


def _splits(symbol: Symbol, market: Market) -> list[dict[str, Any]]:
    days = market.daily(symbol)
    at = np.flatnonzero(days.ratio != 1)
    return [
        {
            "id": _id("split", symbol, days.day[i]),
            "execution_date": str(days.day[i]),
            "split_from": 1,
            "split_to": float(days.ratio[i]),
            "ticker": symbol.name,
        }
        for i in at
    ]


def _dividends(symbol: Symbol, market: Market) -> list[dict[str, Any]]:
    days = market.daily(symbol)
    return [
        {
            "id": _id("dividend", symbol, days.day[i]),
            "cash_amount": float(days.cash[i]),
            "currency": "USD",
            "declaration_date": str(days.day[i] - 21),
            "record_date": str(days.day[i] + 1),
            "pay_date": str(days.day[i] + 30),
            "dividend_type": "CD",
            "ex_dividend_date": str(days.day[i]),
            "frequency": 4,
            "ticker": symbol.name,
        }
        for i in np.flatnonzero(days.cash > 0)
    ]


def _holidays(market: Market) -> Reply:
    """The next year's holidays of two exchanges, and the early close after Thanksgiving: a list with no object around it."""
    rows: list[dict[str, Any]] = []
    for day in (day for year in (market.today.year, market.today.year + 1) for day in holidays(year)):
        for exchange in ("NASDAQ", "NYSE"):
            rows.append({"date": str(day), "exchange": exchange, "name": "Holiday", "status": "closed"})
            if day.month == 11:
                after = day + timedelta(days=1)
                times = {"open": f"{after}T14:30:00.000Z", "close": f"{after}T18:00:00.000Z"}
                rows.append({"date": str(after), "exchange": exchange, "name": "Holiday", "status": "early-close", **times})
    ahead = [row for row in rows if str(market.today) <= row["date"] <= str(market.today + timedelta(days=365))]
    return json_reply(ahead, symbol="holidays")


def _status(market: Market) -> Reply:
    """The evening of the market's last day: extended hours have begun."""
    document = {
        "afterHours": True,
        "currencies": {"crypto": "open", "fx": "open"},
        "earlyHours": False,
        "exchanges": {"nasdaq": "extended-hours", "nyse": "extended-hours", "otc": "closed"},
        "indicesGroups": {"s_and_p": "closed", "nasdaq": "open"},
        "market": "extended-hours",
        "serverTime": f"{market.today}T17:37:37-05:00",
    }
    return json_reply(document, symbol="market status")


def _of_market(rows: list[dict[str, Any]], asked: dict[str, str]) -> list[dict[str, Any]]:
    """The tickers of a market, which are listed unless the question says otherwise."""
    if asked.get("active", "true") == "false":
        rows = [
            {
                **_ENDED,
                "ticker": one,
                "name": f"{one} (simulated)",
                "delisted_utc": f"{day}T00:00:00Z",
            }
            for one, day in DELISTED
            if asked.get("ticker") in (None, "", one)
        ]
    return [row for row in rows if asked.get("market") in (None, "", row["market"])]


def _id(kind: str, symbol: Symbol, day: object) -> str:
    """64 hex digits, the same for the same action."""
    return hashlib.sha256(f"{kind} {symbol.name} {day}".encode()).hexdigest()


def _tickers(symbol: Symbol, market: Market) -> list[dict[str, Any]]:
    return [{name: value for name, value in _about(symbol, market).items() if name != "list_date"}]


#: What the sandbox says of a stock that has ended.
_ENDED: Final = {
    "market": "stocks",
    "locale": "us",
    "primary_exchange": "XNYS",
    "type": "CS",
    "active": False,
    "currency_name": "usd",
    "last_updated_utc": "2024-01-02T00:00:00Z",
}

#: kind of list -> default limit, the field it is ordered and filtered by, its rows
_LISTS: Final = {
    "tickers": ("100", "ticker", _tickers),
    "splits": ("10", "execution_date", _splits),
    "dividends": ("10", "ex_dividend_date", _dividends),
}


def _meets(row: dict[str, Any], asked: dict[str, str], field: str) -> bool:
    value = str(row[field])
    tests = {"gte": value.__ge__, "gt": value.__gt__, "lte": value.__le__, "lt": value.__lt__}
    exact = asked.get(field)
    return exact in (None, "", value) and all(
        tests[operator](asked[f"{field}.{operator}"]) for operator in _OPERATORS if f"{field}.{operator}" in asked
    )


def _cursor_or(query: Query) -> dict[str, str]:
    """A cursor holds the whole question; what else stands in the query is laid over it."""
    asked = {name: values[-1] for name, values in query.items() if name not in ("cursor", "apiKey")}
    cursor = (query.get("cursor") or [""])[-1]
    try:
        held = dict(parse_qsl(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()))
    except ValueError:
        held = {}
    return held | asked
