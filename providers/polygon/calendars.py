"""Which calendar the bars of a symbol follow, and when they are final."""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES

from .datasets import FLAT_FILES
from .options import PolygonOptions

#: Stocks trade until four hours after the close: 20:00, or 17:00 on a half day. Trades of these hours are in intraday bars, and
#: may be in a day's volume.
EXTENDED_MINUTES: Final = 240
#: They trade from 04:00 on.
_EARLY_MINUTES: Final = 330


def finality(request: Request, options: PolygonOptions) -> Finality:
    """Returns the calendar of a request's symbol: currencies' week, every day for crypto, else New York's sessions."""
    after = options.files_after_minutes if request.dataset.lower() == FLAT_FILES else options.final_after_minutes
    if request.symbol[:2] == "X:":
        return Finality(calendar=EVERY_DAY, delay_minutes=after)
    if request.symbol[:2] == "C:":
        return Finality(calendar=WEEK_OF_CURRENCIES, delay_minutes=after)
    return Finality(calendar="XNYS", extended_minutes=EXTENDED_MINUTES, early_minutes=_EARLY_MINUTES, delay_minutes=after)
