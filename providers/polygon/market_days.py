"""When the planner may ask for the whole market of a day instead of many symbols.

https://massive.com/docs/rest/stocks/aggregates/daily-market-summary
"""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.vendors.protocol import MarketWay

from .calendars import EXTENDED_MINUTES
from .datasets import FLAT_FILES, GROUPED
from .options import PolygonOptions
from .symbol_forms import is_stock

#: The free plan has "end of day" data: a day's call is refused before that. The others are 15 minutes late at most
#: (https://massive.com/pricing).
_END_OF_DAY_PLAN: Final = "free"
_DELAYED_MINUTES: Final = 20


def market_ways(
    dataset: str, timespan: Timespan, adjustment: Adjustment, options: PolygonOptions, plan: str
) -> tuple[MarketWay, ...]:
    """Returns the dataset `grouped` for daily raw bars of stocks: what is adjusted changes with each split.

    Where there are credentials for files, a file is the way for sessions whose call by `grouped` is refused.
    """
    if (dataset, timespan, adjustment) != ("bars", "1d", "raw"):
        return ()
    at_the_end = EXTENDED_MINUTES + options.final_after_minutes
    after = at_the_end if plan == _END_OF_DAY_PLAN else _DELAYED_MINUTES
    grouped = MarketWay(GROUPED, serves=is_stock, after_close_minutes=after)
    published = EXTENDED_MINUTES + options.files_after_minutes
    file = MarketWay(FLAT_FILES, serves=is_stock, after_close_minutes=published)
    return (grouped, file) if options.file_keys else (grouped,)
