"""Alpha Vantage's symbol forms, and the time zone and the calendar of each market's days.

https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.protocol import SymbolForm
from marketfetch.vendors.times import NEW_YORK, UTC_ZONE
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES

from .functions import MARKETS, Market, function_named
from .options import AlphaVantageOptions

SYMBOL_FORMS: Final = (
    SymbolForm("stock", ("IBM", "MSFT")),
    SymbolForm("share class", ("BRK-B",)),
    SymbolForm("stock outside the US", ("TSCO.LON", "SHOP.TRT")),
    SymbolForm("FX", ("EUR/USD",), dataset="fx"),
    SymbolForm("crypto", ("BTC/EUR",), dataset="crypto"),
)

#: The exchange of a suffix: London, Toronto and its venture exchange, Xetra.
_EXCHANGES: Final = MappingProxyType({"LON": "XLON", "TRT": "XTSE", "TRV": "XTSE", "DEX": "XETR"})
#: A shorter suffix is a share class of a US stock (BRK.B).
_SHORTEST_SUFFIX: Final = 2
#: US stocks trade until four hours after the close: 20:00, or 17:00 on a half day. Intraday bars have these hours.
_EXTENDED_MINUTES: Final = 240


def zone(request: Request, options: AlphaVantageOptions) -> str:
    """Returns the zone in settings; else New York for stocks, UTC for FX and crypto. A response may name another zone."""
    return options.zones.get(request.symbol) or (NEW_YORK if _market_of(request) == "stocks" else UTC_ZONE)


def finality(request: Request, options: AlphaVantageOptions) -> Finality:
    """Returns the calendar of a request's symbol: currencies' week, every day for crypto, a stock's exchange by its suffix."""
    market, after = _market_of(request), options.final_after_minutes
    if market != "stocks":
        return Finality(calendar=EVERY_DAY if market == "crypto" else WEEK_OF_CURRENCIES, delay_minutes=after)
    suffix = request.symbol.upper().rpartition(".")[2] if "." in request.symbol else ""
    if len(suffix) < _SHORTEST_SUFFIX:
        return Finality(calendar="XNYS", extended_minutes=_EXTENDED_MINUTES, delay_minutes=after)
    if suffix in _EXCHANGES:
        return Finality(calendar=_EXCHANGES[suffix], delay_minutes=after)
    # An exchange without a calendar here. Its session of a date has closed by midnight in New York, wherever it is.
    return Finality(calendar=EVERY_DAY, zone=NEW_YORK, delay_minutes=after)


def _market_of(request: Request) -> Market:
    function = function_named(request.dataset)
    return function.market if function else MARKETS[request.dataset.lower()]
