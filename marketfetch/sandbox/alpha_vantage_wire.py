"""Alpha Vantage's bars over HTTP: one endpoint, `function` selects. https://www.alphavantage.co/documentation/

All numbers are strings, newest first; errors come in a body with status 200.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from marketfetch.sandbox import recorded
from marketfetch.sandbox.accounts import Account
from marketfetch.sandbox.intraday import MINUTE_MS, minutes
from marketfetch.sandbox.market import Daily, Market
from marketfetch.sandbox.reply import Query, Reply, json_reply, one
from marketfetch.sandbox.resampling import Bars, group
from marketfetch.sandbox.sessions import DAY_MS, opening_ms
from marketfetch.sandbox.symbols import Symbol, pair, stock

COMPACT: Final = 100
INTERVALS: Final = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}

PREMIUM: Final = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
    "https://www.alphavantage.co/premium/ to instantly unlock all premium endpoints"
)
PREMIUM_SIZE: Final = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the {name} endpoint. "
    "You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to instantly unlock all premium "
    "features"
)
NO_KEY: Final = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
DAY_CAP: Final = (
    "We have detected your API key as {key} and our standard API rate limit is {count} requests per day. Please "
    "subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily rate "
    "limits."
)
BURST: Final = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request "
    "per second). You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to lift the "
    "free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all premium "
    "endpoints"
)
MINUTE: Final = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is {count} calls per minute and 500 calls per "
    "day. Please visit https://www.alphavantage.co/premium/ if you would like to target a higher API call frequency."
)


@dataclass(frozen=True, slots=True)
class Function:
    """One function's reply format: JSON's information line and data key, and the names of a row's numbers."""

    information: str
    key: str
    fields: tuple[str, ...]
    kind: str
    period: str
    csv: tuple[str, ...] = ()


_OHLC: Final = ("open", "high", "low", "close")
_OHLCV: Final = (*_OHLC, "volume")
_ADJUSTED: Final = (*_OHLC, "adjusted close", "volume", "dividend amount")
_DAILY_ADJUSTED: Final = (*_ADJUSTED, "split coefficient")
_DAILY_ADJUSTED_CSV: Final = (*_OHLC, "adjusted_close", "volume", "dividend_amount", "split_coefficient")

FUNCTIONS: Final[dict[str, Function]] = {
    "TIME_SERIES_INTRADAY": Function("Intraday ({interval})", "Time Series ({interval})", _OHLCV, "stock", "minute"),
    "TIME_SERIES_DAILY": Function("Daily Prices", "Time Series (Daily)", _OHLCV, "stock", "day"),
    "TIME_SERIES_DAILY_ADJUSTED": Function(
        "Daily Time Series with Splits and Dividend Events",
        "Time Series (Daily)",
        _DAILY_ADJUSTED,
        "stock",
        "day",
        _DAILY_ADJUSTED_CSV,
    ),
    "TIME_SERIES_WEEKLY": Function("Weekly Prices", "Weekly Time Series", _OHLCV, "stock", "week"),
    "TIME_SERIES_WEEKLY_ADJUSTED": Function(
        "Weekly Adjusted Prices and Volumes", "Weekly Adjusted Time Series", _ADJUSTED, "stock", "week"
    ),
    "TIME_SERIES_MONTHLY": Function("Monthly Prices", "Monthly Time Series", _OHLCV, "stock", "month"),
    "TIME_SERIES_MONTHLY_ADJUSTED": Function(
        "Monthly Adjusted Prices and Volumes", "Monthly Adjusted Time Series", _ADJUSTED, "stock", "month"
    ),
    "FX_INTRADAY": Function("FX Intraday ({interval}) Time Series", "Time Series FX ({interval})", _OHLC, "fx", "minute"),
    "FX_DAILY": Function("Forex Daily Prices", "Time Series FX (Daily)", _OHLC, "fx", "day"),
    "FX_WEEKLY": Function("Forex Weekly Prices", "Time Series FX (Weekly)", _OHLC, "fx", "week"),
    "FX_MONTHLY": Function("Forex Monthly Prices", "Time Series FX (Monthly)", _OHLC, "fx", "month"),
    "CRYPTO_INTRADAY": Function(
        "Crypto Intraday ({interval}) Time Series", "Time Series Crypto ({interval})", _OHLCV, "crypto", "minute"
    ),
    "DIGITAL_CURRENCY_DAILY": Function(
        "Daily Prices and Volumes for Digital Currency",
        "Time Series (Digital Currency Daily)",
        _OHLCV,
        "crypto",
        "day",
    ),
    "DIGITAL_CURRENCY_WEEKLY": Function(
        "Weekly Prices and Volumes for Digital Currency",
        "Time Series (Digital Currency Weekly)",
        _OHLCV,
        "crypto",
        "week",
    ),
    "DIGITAL_CURRENCY_MONTHLY": Function(
        "Monthly Prices and Volumes for Digital Currency",
        "Time Series (Digital Currency Monthly)",
        _OHLCV,
        "crypto",
        "month",
    ),
}

#: A row: when, then its numbers as text in the order of the function's fields.
Row = tuple[str, tuple[str, ...]]


def answer(query: Query, *, market: Market, account: Account) -> Reply:
    """The reply to `GET /query` for a function of FUNCTIONS; key and limits apart."""
    name = one(query, "function").upper()
    function = FUNCTIONS[name]
    full = one(query, "outputsize", "compact") == "full"
    if name in account.premium:
        return note("Information", PREMIUM)
    if full and "outputsize=full" in account.premium and name == "TIME_SERIES_DAILY":
        return note("Information", PREMIUM_SIZE.format(name=name))
    symbol = _symbol(function, query)
    interval = one(query, "interval")
    if symbol is None or (function.period == "minute" and interval not in INTERVALS):
        return invalid(name)
    if function.period == "minute":
        try:
            rows = _minute_rows(function, query, symbol, market, interval=interval, full=full)
        except ValueError:
            return invalid(name)
    else:
        rows = _day_rows(name, function, symbol, market.daily(symbol))
        if function.period == "day" and function.kind != "crypto" and not full:
            rows = rows[-COMPACT:]
    rows = rows[::-1]
    label = "/".join(filter(None, (one(query, name) for name in ("symbol", "market", "from_symbol", "to_symbol"))))
    if one(query, "datatype", "json") == "csv":
        return csv_reply(
            ("timestamp", *(function.csv or function.fields)), [(at, *numbers) for at, numbers in rows], symbol=label
        )
    names = [f"{i}. {field}" for i, field in enumerate(function.fields, start=1)]
    series = {at: dict(zip(names, numbers, strict=True)) for at, numbers in rows}
    meta = _meta(function, query, refreshed=rows[0][0] if rows else "", full=full)
    return json_reply({"Meta Data": meta, function.key.format(interval=interval): series}, symbol=label)


def note(field: str, words: str, *, symbol: str = "") -> Reply:
    """An error in the vendor's way: status 200."""
    return json_reply({field: words}, symbol=symbol)


def invalid(name: str) -> Reply:
    """Unknown symbol and bad parameter share one text."""
    words = (
        f"Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {name}."
    )
    return note("Error Message", words)


def csv_reply(header: tuple[str, ...], rows: list[tuple[str, ...]], *, symbol: str) -> Reply:
    """A CSV reply; lines end with CRLF, as on the wire."""
    body = "".join(",".join(row) + "\r\n" for row in (header, *rows))
    headers = (("Content-Disposition", "attachment; filename=data.csv"), ("Allow", "GET, HEAD, OPTIONS"))
    return Reply(200, body.encode(), "application/x-download", headers, symbol)


def _symbol(function: Function, query: Query) -> Symbol | None:
    if function.kind == "stock":
        return stock(one(query, "symbol"))
    if function.kind == "fx":
        found = pair(one(query, "from_symbol"), one(query, "to_symbol"))
        return found if found and found.kind == "fx" else None
    found = pair(one(query, "symbol"), one(query, "market"))
    return found if found and found.kind == "crypto" else None


def _day_rows(name: str, function: Function, symbol: Symbol, days: Daily) -> list[Row]:
    """Days, or the weeks and months they make, oldest first. A week or month is dated by its last session so far."""
    dates = [str(day) for day in days.day]
    bars = Bars(
        days.day.astype(np.int64) * DAY_MS,
        *(days.open, days.high, days.low, days.close, days.volume, days.vwap, days.trades, days.split, days.dividend),
    )
    cash, ratio = days.cash, days.ratio
    if function.period != "day":
        # 1970-01-05 was a Monday.
        number = days.day.astype(np.int64)
        key = (number - 4) // 7 if function.period == "week" else days.day.astype("datetime64[M]").astype(np.int64)
        edges = np.concatenate(([0], np.flatnonzero(np.diff(key)) + 1)) if len(days) else np.zeros(0, dtype=np.int64)
        last = np.append(edges[1:], len(days)) - 1 if len(days) else edges
        bars = group(bars, key, bars.ts)
        dates = [dates[i] for i in last]
        cash = np.add.reduceat(cash, edges) if len(days) else cash
        ratio = ratio[last]
    adjusted = bars.close / bars.split * bars.dividend
    texts: dict[str, list[str]] = {
        "open": _prices(bars.open, symbol),
        "high": _prices(bars.high, symbol),
        "low": _prices(bars.low, symbol),
        "close": _prices(bars.close, symbol),
        "volume": _volumes(bars.volume, symbol),
        "adjusted close": [f"{value:.4f}" for value in adjusted.tolist()],
        "dividend amount": [f"{value:.4f}" for value in cash.tolist()],
        "split coefficient": [f"{value:.4f}" for value in ratio.tolist()],
    }
    rows = list(zip(dates, zip(*(texts[field] for field in function.fields), strict=True), strict=True))
    if name == "TIME_SERIES_WEEKLY_ADJUSTED":
        known = recorded.weekly_adjusted(symbol.name)
        rows = [(at, known.get(at, numbers)) for at, numbers in rows]
    return rows


def _minute_rows(function: Function, query: Query, symbol: Symbol, market: Market, *, interval: str, full: bool) -> list[Row]:
    """With `month` that month, else the trailing 30 days; the latest 100 of them unless full. Times are local wall time."""
    if month := one(query, "month"):
        first = date.fromisoformat(f"{month}-01")
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    else:
        first, last = market.today - timedelta(days=30 if full else 7), market.today
    bars = minutes(market, symbol, first=first, last=last)
    width = INTERVALS[interval] * MINUTE_MS
    bars = group(bars, bars.ts // width, bars.ts // width * width)
    factor = np.ones(len(bars))
    if function.kind == "stock" and one(query, "adjusted", "true") != "false":
        factor = bars.split / bars.dividend
    days = market.daily(symbol).between(first, last).day
    local = bars.ts
    if len(days):
        # The wall clock's distance from UTC is a day's own: sessions do not touch the hour at which clocks change.
        beginnings = opening_ms(days, symbol.kind)
        at = np.searchsorted(beginnings, bars.ts, "right") - 1
        local = bars.ts - beginnings[at] + days[at].astype(np.int64) * DAY_MS
    whens = [str(when).replace("T", " ") for when in local.astype("datetime64[ms]").astype("datetime64[s]")]
    columns = [_prices(column / factor, symbol) for column in (bars.open, bars.high, bars.low, bars.close)]
    if "volume" in function.fields:
        columns.append(_volumes(bars.volume, symbol))
    rows = dict(zip(whens, zip(*columns, strict=True), strict=True))
    if interval == "5min" and one(query, "extended_hours", "true") != "false":
        known = recorded.five_minutes().get(symbol.name, {})
        inside = {at: row for at, row in known.items() if str(first) <= at[:10] <= str(last)}
        rows |= {at: (*(f"{price:.4f}" for price in row[:4]), f"{row[4]:.0f}") for at, row in inside.items()}
    found = sorted(rows.items())
    return found if full or one(query, "outputsize") == "full" else found[-COMPACT:]


def _prices(column: Any, symbol: Symbol) -> list[str]:
    digits = 8 if symbol.kind == "crypto" else symbol.digits
    return [f"{value:.{digits}f}" for value in column.tolist()]


def _volumes(column: Any, symbol: Symbol) -> list[str]:
    return [f"{value:.8f}" if symbol.kind == "crypto" else f"{value:.0f}" for value in column.tolist()]


def _meta(function: Function, query: Query, *, refreshed: str, full: bool) -> dict[str, str]:
    information = function.information.format(interval=one(query, "interval"))
    size = "Full size" if full else "Compact"
    if function.kind == "stock":
        if function.fields is _OHLCV:
            information += (
                " open, high, low, close prices and volume"
                if function.period == "minute"
                else " (open, high, low, close) and Volumes"
            )
        values = [("Information", information), ("Symbol", one(query, "symbol")), ("Last Refreshed", refreshed)]
        zone = ("Time Zone", "US/Eastern")
    elif function.kind == "fx":
        information += " (open, high, low, close)"
        values = [
            ("Information", information),
            ("From Symbol", one(query, "from_symbol")),
            ("To Symbol", one(query, "to_symbol")),
        ]
        values.append(("Last Refreshed", refreshed))
        zone = ("Time Zone", "UTC")
    else:
        values = [
            ("Information", information),
            ("Digital Currency Code", one(query, "symbol")),
            ("Digital Currency Name", one(query, "symbol")),
        ]
        values += [("Market Code", one(query, "market")), ("Market Name", one(query, "market")), ("Last Refreshed", refreshed)]
        zone = ("Time Zone", "UTC")
    if function.period == "minute":
        values.append(("Interval", one(query, "interval")))
    if function.period in ("minute", "day") and function.kind != "crypto":
        # Foreign exchange by day is the one that names its size before its refresh.
        at = 3 if (function.kind, function.period) == ("fx", "day") else len(values)
        values.insert(at, ("Output Size", size))
    values.append(zone)
    return {f"{i}. {name}": value for i, (name, value) in enumerate(values, start=1)}
