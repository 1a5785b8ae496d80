"""Polygon's symbol forms, and the time zone of each kind's days.

https://massive.com/docs/rest/quickstart (ticker prefixes: O: options, I: indices, C: currencies, X: crypto)
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors import spellings
from marketfetch.vendors.protocol import SymbolForm
from marketfetch.vendors.times import NEW_YORK, UTC_ZONE

from .options import PolygonOptions

SYMBOL_FORMS: Final = (
    SymbolForm("stock", ("AAPL", "MSFT")),
    SymbolForm("share class", ("BRK.B",)),
    SymbolForm("index", ("I:NDX",)),
    SymbolForm("option", ("O:SPY251219C00650000",)),
    SymbolForm("FX", ("C:EURUSD",)),
    SymbolForm("crypto", ("X:BTCUSD",)),
    SymbolForm("whole market", ("*",), dataset="grouped"),
    SymbolForm("whole market", ("*",), dataset="flat_files"),
)


#: Widely known indices whose ticker here is not the one that others give them.
_INDICES: Final = MappingProxyType({"GSPC": "SPX", "IXIC": "COMP"})


def advice(symbol: str) -> str | None:
    """What to write instead of a symbol that is sure to be unknown here, as a sentence; None for a symbol that may be known.

    Tickers are case-sensitive: letters of a preferred stock are small (BACpL), and no ticker has small letters alone.
    """
    meant = spellings.read(symbol)
    kind, form = (meant.kind, meant.form) if meant else ("", "")
    pair = f"{meant.first}{meant.second}" if meant else ""
    if meant and kind == "class" and form != ".":
        return f"A share class has a dot here: write {meant.first}.{meant.second} instead of {symbol}."
    if meant and kind == "preferred":
        return f"A preferred stock has a small p here: write {meant.first}p{meant.second} instead of {symbol}."
    if kind == "fx" and form != "C:":
        return f"A pair of currencies has the prefix C: here: write C:{pair} instead of {symbol}."
    if kind == "crypto" and form != "X:":
        return f"A pair with a crypto currency has the prefix X: here: write X:{pair} instead of {symbol}."
    if meant and form == "^":
        return f"An index has the prefix I: here: write I:{_INDICES.get(meant.first, meant.first)} instead of {symbol}."
    if kind == "future":
        return f"{symbol} is a future, and futures are no dataset here: ask for a fund that follows it, or ask another vendor."
    return f"Tickers are case-sensitive here: write {symbol.upper()} instead of {symbol}." if symbol.islower() else None


def is_stock_like(symbol: str) -> bool:
    """True for stocks and options, which have splits; False for FX (C:), crypto (X:) and indices (I:)."""
    return symbol[:2] not in ("C:", "X:", "I:")


def is_stock(symbol: str) -> bool:
    """True for a ticker without a prefix: a stock, a fund, a warrant."""
    return symbol[1:2] != ":"


def zone_of(symbol: str) -> str:
    """FX and crypto days are UTC days; everything else trades in New York."""
    return UTC_ZONE if symbol[:2] in ("C:", "X:") else NEW_YORK


def zone(request: Request, options: PolygonOptions) -> str:  # noqa: ARG001 (every vendor's zone takes these two)
    """Returns the zone of a request's symbol."""
    return zone_of(request.symbol)
