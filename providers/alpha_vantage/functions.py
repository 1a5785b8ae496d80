"""Alpha Vantage's functions as a table, and the dataset names that select them.

https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from marketfetch.schemas.timespans import Timespan
from marketfetch.suggestions import did_you_mean

Market = Literal["stocks", "fx", "crypto"]
Kind = Literal["bars", "snapshots", "splits", "dividends", "symbols", "search", "market_status"]


@dataclass(frozen=True, slots=True)
class Function:
    """One `function=`. `timespan` None: intraday, the request sets `interval`. `adjusted`: has an adjusted close."""

    name: str
    market: Market = "stocks"
    timespan: Timespan | None = "1d"
    adjusted: bool = False
    kind: Kind = "bars"


_ALL: Final = (
    Function("TIME_SERIES_INTRADAY", timespan=None),
    Function("TIME_SERIES_DAILY"),
    Function("TIME_SERIES_DAILY_ADJUSTED", adjusted=True),
    Function("TIME_SERIES_WEEKLY", timespan="1w"),
    Function("TIME_SERIES_WEEKLY_ADJUSTED", timespan="1w", adjusted=True),
    Function("TIME_SERIES_MONTHLY", timespan="1mo"),
    Function("TIME_SERIES_MONTHLY_ADJUSTED", timespan="1mo", adjusted=True),
    Function("FX_INTRADAY", market="fx", timespan=None),
    Function("FX_DAILY", market="fx"),
    Function("FX_WEEKLY", market="fx", timespan="1w"),
    Function("FX_MONTHLY", market="fx", timespan="1mo"),
    Function("CRYPTO_INTRADAY", market="crypto", timespan=None),
    Function("DIGITAL_CURRENCY_DAILY", market="crypto"),
    Function("DIGITAL_CURRENCY_WEEKLY", market="crypto", timespan="1w"),
    Function("DIGITAL_CURRENCY_MONTHLY", market="crypto", timespan="1mo"),
    Function("GLOBAL_QUOTE", kind="snapshots"),
    Function("SPLITS", kind="splits"),
    Function("DIVIDENDS", kind="dividends"),
    Function("LISTING_STATUS", kind="symbols"),
    Function("SYMBOL_SEARCH", kind="search"),
    Function("MARKET_STATUS", kind="market_status"),
)
#: The kinds that are lists of records, and the dataset's names.
LISTS: Final = ("snapshots", "splits", "dividends", "symbols", "delisted", "search", "market_status")
FUNCTIONS: Final = MappingProxyType({function.name: function for function in _ALL})

#: Datasets whose function follows from the timespan and the adjustment.
MARKETS: Final = MappingProxyType[str, Market]({"bars": "stocks", "stocks": "stocks", "fx": "fx", "crypto": "crypto"})

_OTHER_NAMES: Final = MappingProxyType(
    {
        "symbols": "LISTING_STATUS",
        "delisted": "LISTING_STATUS",
        "snapshots": "GLOBAL_QUOTE",
        "search": "SYMBOL_SEARCH",
    }
)

INTERVALS: Final = MappingProxyType[str, str]({"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min"})
TIMESPAN_OF_INTERVAL: Final = MappingProxyType[str, Timespan](
    {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h"}
)

#: The quote currencies of a pair that is written without a separator; the longest come first.
_QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "CNY", "BTC", "ETH")


def function_named(dataset: str) -> Function | None:
    """Returns the function that a dataset names, in any case, TIME_SERIES_ optional; None for a market. Raises KeyError."""
    if dataset.lower() in MARKETS:
        return None
    if dataset.lower() in _OTHER_NAMES:
        return FUNCTIONS[_OTHER_NAMES[dataset.lower()]]
    name = dataset.upper().replace("-", "_").replace(" ", "_")
    for form in (name, f"TIME_SERIES_{name}", f"DIGITAL_CURRENCY_{name.removeprefix('CRYPTO_')}"):
        if form in FUNCTIONS:
            return FUNCTIONS[form]
    names = [*MARKETS, *FUNCTIONS]
    meant = did_you_mean(name, FUNCTIONS) or did_you_mean(dataset.lower(), MARKETS)
    raise KeyError(f"Alpha Vantage has no dataset {dataset!r}. {meant}{' ' if meant else ''}There are {', '.join(names)}.")


def function_for(market: Market, timespan: Timespan, *, adjusted: bool) -> Function:
    """Returns the function that serves these bars. `adjusted` matters for stocks' daily and longer bars. Raises KeyError."""
    want = None if timespan in INTERVALS else timespan
    for function in _ALL:
        if function.kind != "bars" or function.market != market or function.timespan != want:
            continue
        if function.adjusted == (adjusted and market == "stocks" and want is not None):
            return function
    raise KeyError(f"Alpha Vantage has no {market} bars of {timespan}")


def split_pair(symbol: str) -> tuple[str, str] | None:
    """The two currencies of EURUSD, EUR/USD, EUR-USD, C:EURUSD or X:BTCUSD; None if the symbol is ambiguous."""
    name = symbol.upper()
    if name[:2] in ("C:", "X:"):
        name = name[2:]
    for separator in "/-_.:":
        base, found, quote = name.partition(separator)
        if found:
            return (base, quote) if base.isalnum() and quote.isalnum() else None
    if len(name) == 6 and name.isalpha() and not name.endswith(("USDT", "USDC")):
        return name[:3], name[3:]
    for quote in _QUOTES:
        if name.endswith(quote) and name[: -len(quote)].isalnum():
            return name[: -len(quote)], quote
    return None
