"""Polygon's daily bars of the whole stock market. https://polygon.io/docs/rest/stocks/aggregates/daily-market-summary

A day without a session, or one that lies ahead, has no `results` at all.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np

from marketfetch.sandbox.accounts import Account
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.polygon_wire import error, out_of_plan, polygon_reply, request_id
from marketfetch.sandbox.reply import Query, Reply, one
from marketfetch.sandbox.sessions import midnight_ms
from marketfetch.sandbox.symbols import UNIVERSE, ticker

#: `t` is the close of the session, as in the documentation's example.
_CLOSE_MS: Final = 16 * 3_600_000
_WHAT: Final = "grouped"


def answer(day_text: str, query: Query, *, market: Market, account: Account) -> Reply:
    """The bars of every stock of the sandbox on one day."""
    try:
        day = date.fromisoformat(day_text)
    except ValueError:
        return error(400, "Could not parse the time parameter: 'date'. Use YYYY-MM-DD or Unix MS Timestamps", symbol=_WHAT)
    if too_old := out_of_plan(day, market=market, account=account, symbol=_WHAT):
        return too_old
    adjusted = one(query, "adjusted") != "false"
    rows = [row for name in UNIVERSE if (row := _row(name, day, market, adjusted=adjusted))]
    document: dict[str, Any] = {"queryCount": len(rows), "resultsCount": len(rows), "adjusted": adjusted}
    if rows:
        document["results"] = rows
    document |= {"status": "DELAYED" if account.delayed else "OK", "request_id": request_id(), "count": len(rows)}
    return polygon_reply(document, symbol=_WHAT)


def _row(name: str, day: date, market: Market, *, adjusted: bool) -> dict[str, Any] | None:
    symbol = ticker(name)
    found = market.daily(symbol).between(day, day) if symbol else None
    if symbol is None or found is None or not len(found):
        return None
    factor = float(found.split[0]) if adjusted else 1.0
    prices = {
        short: round(float(column[0]) / factor, symbol.digits)
        for short, column in {"vw": found.vwap, "o": found.open, "c": found.close, "h": found.high, "l": found.low}.items()
    }
    start = int(midnight_ms(np.array([day], dtype="datetime64[D]"), "stock")[0])
    volume = round(float(found.volume[0]) * factor, 4)
    return {"T": name, "v": volume, **prices, "t": start + _CLOSE_MS, "n": int(found.trades[0])}
