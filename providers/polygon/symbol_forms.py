"""Polygon's symbol forms, and the time zone of each kind's days.

https://massive.com/docs/rest/quickstart (ticker prefixes: O: options, I: indices, C: currencies, X: crypto)
"""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.request import Request
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
)


def is_stock_like(symbol: str) -> bool:
    """True for stocks and options, which have splits; False for FX (C:), crypto (X:) and indices (I:)."""
    return symbol[:2] not in ("C:", "X:", "I:")


def zone_of(symbol: str) -> str:
    """FX and crypto days are UTC days; everything else trades in New York."""
    return UTC_ZONE if symbol[:2] in ("C:", "X:") else NEW_YORK


def zone(request: Request, options: PolygonOptions) -> str:  # noqa: ARG001 (every vendor's zone takes these two)
    """Returns the zone of a request's symbol."""
    return zone_of(request.symbol)
