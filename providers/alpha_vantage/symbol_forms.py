"""Alpha Vantage's symbol forms, and the time zone of each market's days.

https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors import spellings
from marketfetch.vendors.protocol import SymbolForm
from marketfetch.vendors.times import NEW_YORK, UTC_ZONE

from .functions import MARKETS, Market, function_named
from .options import AlphaVantageOptions

SYMBOL_FORMS: Final = (
    SymbolForm("stock", ("IBM", "MSFT")),
    SymbolForm("share class", ("BRK-B",)),
    SymbolForm("stock outside the US", ("TSCO.LON", "SHOP.TRT", "M&M.BSE")),
    SymbolForm("FX", ("EUR/USD",), dataset="fx"),
    SymbolForm("crypto", ("BTC/EUR",), dataset="crypto"),
)


def zone(request: Request, options: AlphaVantageOptions) -> str:
    """Returns the zone in settings; else New York for stocks, UTC for FX and crypto. A response may name another zone."""
    function = function_named(request.dataset)
    market = function.market if function else MARKETS[request.dataset.lower()]
    return options.zones.get(request.symbol) or (NEW_YORK if market == "stocks" else UTC_ZONE)


def advice(symbol: str, market: Market) -> str | None:
    """What to write instead of a symbol that is sure to be unknown in this market, as a sentence; None where it may be known.

    A pair without a sign (EURUSD) may be known as a stock is. Behind a dot stands an exchange, of two letters or more: one
    letter is a share class, which the vendor's own list writes with a hyphen.
    """
    meant = spellings.read(symbol)
    if market != "stocks":
        if market == "crypto" and meant and meant.kind == "fx" and meant.first:
            return f"{symbol} has no crypto currency: ask for {meant.first}/{meant.second} with the dataset fx (--dataset fx)."
        return None
    if meant is None:
        if "/" in symbol:
            return f"{symbol} is no stock here: a pair of currencies is in the dataset fx (--dataset fx), or in crypto."
        return None
    if meant.kind == "preferred":
        return f"A preferred stock has hyphens here: write {meant.first}-P-{meant.second} instead of {symbol}."
    if meant.kind == "class" and meant.form != "-":
        return f"A share class has a hyphen here: write {meant.first}-{meant.second} instead of {symbol}."
    if meant.kind in ("fx", "crypto") and meant.form:
        pair = f"{meant.first}/{meant.second}" if meant.first else "it as EUR/USD"
        kind = "a pair of currencies" if meant.kind == "fx" else "a pair with a crypto currency"
        return f"{symbol} is {kind}, and no stock: ask for {pair} with the dataset {meant.kind} (--dataset {meant.kind})."
    kinds = {"index": "an index, and indices", "future": "a future, and futures", "option": "an option, and options"}
    if meant.kind in kinds:
        return f"{symbol} is {kinds[meant.kind]} are no dataset here: ask for a fund that follows it, or ask another vendor."
    return None
