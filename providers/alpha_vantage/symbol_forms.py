"""Alpha Vantage's symbol forms, and the time zone of each market's days.

https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.protocol import SymbolForm
from marketfetch.vendors.times import NEW_YORK, UTC_ZONE

from .functions import MARKETS, function_named
from .options import AlphaVantageOptions

SYMBOL_FORMS: Final = (
    SymbolForm("stock", ("IBM", "MSFT")),
    SymbolForm("share class", ("BRK-B",)),
    SymbolForm("stock outside the US", ("TSCO.LON", "SHOP.TRT")),
    SymbolForm("FX", ("EUR/USD",), dataset="fx"),
    SymbolForm("crypto", ("BTC/EUR",), dataset="crypto"),
)


def zone(request: Request, options: AlphaVantageOptions) -> str:
    """Returns the zone in settings; else New York for stocks, UTC for FX and crypto. A response may name another zone."""
    function = function_named(request.dataset)
    market = function.market if function else MARKETS[request.dataset.lower()]
    return options.zones.get(request.symbol) or (NEW_YORK if market == "stocks" else UTC_ZONE)
