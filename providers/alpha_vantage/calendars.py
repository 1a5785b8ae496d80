"""Which calendar the bars of a symbol follow, and when they are final."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.times import NEW_YORK
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES

from .functions import MARKETS, function_named
from .options import AlphaVantageOptions

#: The exchange of a suffix: London, Toronto and its venture exchange, Xetra.
_EXCHANGES: Final = MappingProxyType({"LON": "XLON", "TRT": "XTSE", "TRV": "XTSE", "DEX": "XETR"})
#: A shorter suffix is a share class of a US stock (BRK.B).
_SHORTEST_SUFFIX: Final = 2
#: US stocks trade until four hours after the close: 20:00, or 17:00 on a half day. Intraday bars have these hours.
_EXTENDED_MINUTES: Final = 240
#: They trade from 04:00 on.
_EARLY_MINUTES: Final = 330


def finality(request: Request, options: AlphaVantageOptions) -> Finality:
    """Returns the calendar of a request's symbol: currencies' week, every day for crypto, a stock's exchange by its suffix."""
    function, after = function_named(request.dataset), options.final_after_minutes
    market = function.market if function else MARKETS[request.dataset.lower()]
    if market != "stocks":
        return Finality(calendar=EVERY_DAY if market == "crypto" else WEEK_OF_CURRENCIES, delay_minutes=after)
    suffix = request.symbol.upper().rpartition(".")[2] if "." in request.symbol else ""
    if len(suffix) < _SHORTEST_SUFFIX:
        return Finality(calendar="XNYS", extended_minutes=_EXTENDED_MINUTES, early_minutes=_EARLY_MINUTES, delay_minutes=after)
    if suffix in _EXCHANGES:
        return Finality(calendar=_EXCHANGES[suffix], delay_minutes=after)
    # An exchange without a calendar here. Its session of a date has closed by midnight in New York, wherever it is.
    return Finality(calendar=EVERY_DAY, zone=NEW_YORK, delay_minutes=after, sessions_known=False)
