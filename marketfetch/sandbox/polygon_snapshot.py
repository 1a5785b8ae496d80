"""Polygon's snapshot of one stock. https://polygon.io/docs/rest/stocks/snapshots/single-ticker-snapshot

The market's last session is over and whole, so the snapshot is that of its close.
"""

from __future__ import annotations

from typing import Any, Final

from marketfetch.sandbox.market import Daily, Market
from marketfetch.sandbox.polygon_wire import error, polygon_reply, request_id
from marketfetch.sandbox.reply import Reply
from marketfetch.sandbox.sessions import midnight_ms
from marketfetch.sandbox.symbols import ticker

#: After the close, in ms from midnight in New York.
_UPDATED_MS: Final = 16 * 3_600_000 + 1_234


def answer(name: str, *, market: Market) -> Reply:
    """The latest session of a ticker; 404 for an unknown one."""
    symbol = ticker(name)
    days = market.daily(symbol) if symbol and symbol.kind == "stock" else None
    if symbol is None or days is None or len(days) < 2:
        return error(404, "NotFound", symbol=name)
    updated_ns = (int(midnight_ms(days.day[-1:], "stock")[0]) + _UPDATED_MS) * 1_000_000 + 56_789
    last, before = float(days.close[-1]), float(days.close[-2])
    document = {
        "request_id": request_id(),
        "status": "OK",
        "ticker": {
            "day": _bar(days, -1),
            "lastTrade": {"c": [14], "i": "1", "p": last, "s": 100, "t": updated_ns, "x": 4},
            "prevDay": _bar(days, -2),
            "ticker": name,
            "todaysChange": round(last - before, 4),
            "todaysChangePerc": round(100 * (last / before - 1), 4),
            "updated": updated_ns,
        },
    }
    return polygon_reply(document, symbol=name)


def _bar(days: Daily, at: int) -> dict[str, Any]:
    columns = {"c": days.close, "h": days.high, "l": days.low, "o": days.open, "v": days.volume, "vw": days.vwap}
    return {name: float(column[at]) for name, column in columns.items()}
