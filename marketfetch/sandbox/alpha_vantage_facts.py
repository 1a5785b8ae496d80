"""Alpha Vantage's smaller replies: quote, search, splits, dividends. https://www.alphavantage.co/documentation/"""

from __future__ import annotations

import numpy as np

from marketfetch.sandbox import recorded
from marketfetch.sandbox.accounts import Account
from marketfetch.sandbox.alpha_vantage_wire import PREMIUM, csv_reply, invalid, note
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.reply import Query, Reply, json_reply, one
from marketfetch.sandbox.symbols import DELISTED, UNIVERSE, stock


def answer(name: str, query: Query, *, market: Market, account: Account) -> Reply:
    """Replies to the functions that are not series; any other function is an invalid call."""
    if name in account.premium:
        return note("Information", PREMIUM)
    if name == "GLOBAL_QUOTE":
        return _quote(query, market)
    if name == "SYMBOL_SEARCH":
        return _search(query)
    if name == "MARKET_STATUS":
        return json_reply({"endpoint": "Global Market Open & Close Status", "markets": list(_MARKETS)}, symbol=name)
    if name in ("SPLITS", "DIVIDENDS"):
        return _actions(name, query, market)
    if name == "LISTING_STATUS":
        return _listings(query)
    return invalid(name)


#: Three of the vendor's dozen regions, outside of their sessions. https://www.alphavantage.co/documentation/#market-status
_MARKETS = tuple(
    dict(
        zip(
            ("market_type", "region", "primary_exchanges", "local_open", "local_close", "current_status", "notes"),
            values,
            strict=True,
        )
    )
    for values in (
        ("Equity", "United States", "NASDAQ, NYSE, AMEX, BATS", "09:30", "16:15", "closed", ""),
        ("Equity", "India", "NSE, BSE", "09:15", "15:30", "closed", ""),
        ("Equity", "Mainland China", "Shanghai, Shenzhen", "09:30", "15:00", "closed", "Trading break from 11:30 to 13:00."),
        ("Forex", "Global", "Global", "00:00", "23:59", "open", ""),
        ("Cryptocurrency", "Global", "Global", "00:00", "23:59", "open", ""),
    )
)


def _quote(query: Query, market: Market) -> Reply:
    asked, symbol = one(query, "symbol"), stock(one(query, "symbol"))
    days = market.daily(symbol) if symbol else None
    if days is None or len(days) < 2:
        return json_reply({"Global Quote": {}}, symbol=asked)
    close, before = float(days.close[-1]), float(days.close[-2])
    texts = [f"{float(column[-1]):.4f}" for column in (days.open, days.high, days.low, days.close)]
    change = (f"{before:.4f}", f"{close - before:.4f}", f"{(close / before - 1) * 100:.4f}%")
    values = (asked, *texts, f"{float(days.volume[-1]):.0f}", str(days.day[-1]), *change)
    if one(query, "datatype") == "csv":
        header = "symbol,open,high,low,price,volume,latestDay,previousClose,change,changePercent"
        return csv_reply(tuple(header.split(",")), [values], symbol=asked)
    names = [
        "symbol",
        "open",
        "high",
        "low",
        "price",
        "volume",
        "latest trading day",
        "previous close",
        "change",
        "change percent",
    ]
    quote = {f"{i:02d}. {field}": value for i, (field, value) in enumerate(zip(names, values, strict=True), start=1)}
    return json_reply({"Global Quote": quote}, symbol=asked)


def _search(query: Query) -> Reply:
    words = one(query, "keywords").upper()
    found = [name for name in UNIVERSE if words and (name.startswith(words) or words == "SIMULATED")]
    matches = [
        {
            "1. symbol": name,
            "2. name": f"{name} (simulated)",
            "3. type": "Equity",
            "4. region": "United States",
            "5. marketOpen": "09:30",
            "6. marketClose": "16:00",
            "7. timezone": "UTC-04",
            "8. currency": "USD",
            "9. matchScore": f"{len(words) / len(name):.4f}",
        }
        for name in found
    ]
    return json_reply({"bestMatches": matches}, symbol=words)


def _listings(query: Query) -> Reply:
    """CSV alone; https://www.alphavantage.co/documentation/#listing-status"""
    header = ("symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status")
    if one(query, "state", "active") == "delisted":
        rows = [(name, f"{name} (simulated)", "NYSE", "Stock", "1990-01-02", day, "Delisted") for name, day in DELISTED]
    else:
        listed = [found for found in map(stock, UNIVERSE) if found]
        rows = [(s.name, f"{s.name} (simulated)", "NYSE", "Stock", str(s.listed), "null", "Active") for s in listed]
    return csv_reply(header, sorted(rows), symbol="LISTING_STATUS")


def _actions(name: str, query: Query, market: Market) -> Reply:
    asked, symbol = one(query, "symbol"), stock(one(query, "symbol"))
    if symbol is None:
        return json_reply({}, symbol=asked)
    csv = one(query, "datatype") == "csv"
    if symbol.name == "IBM" and csv:
        body = recorded.text("splits_IBM.csv" if name == "SPLITS" else "dividends_IBM.csv")
        return Reply(200, body.encode(), "application/x-download", symbol=asked)
    days = market.daily(symbol)
    rows: list[tuple[str, ...]]
    if name == "SPLITS":
        header: tuple[str, ...] = ("effective_date", "split_factor")
        at = np.flatnonzero(days.ratio != 1)[::-1]
        rows = [(str(days.day[i]), f"{days.ratio[i]:.4f}") for i in at]
    else:
        header = ("ex_dividend_date", "declaration_date", "record_date", "payment_date", "amount")
        at = np.flatnonzero(days.cash > 0)[::-1]
        rows = [(str(days.day[i]), "None", "None", "None", f"{days.cash[i]:g}") for i in at]
    if csv:
        return csv_reply(header, rows, symbol=asked)
    return json_reply({"symbol": asked, "data": [dict(zip(header, row, strict=True)) for row in rows]}, symbol=asked)
