"""The Alpha Vantage datasets. A function's name is a dataset too (TIME_SERIES_WEEKLY).

https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.timespans import TIMESPANS
from marketfetch.vendors.protocol import Dataset

#: The most rows of a reply: a month of minutes (44,640), or all days since 1900.
MOST_ROWS: Final = 50_000

DATASETS: Final = (
    Dataset(
        "bars", "Stocks (also called stocks)", timespans=TIMESPANS, adjustments=("raw", "split_dividend"), aliases=("stocks",)
    ),
    Dataset("fx", "Pairs of currencies", timespans=TIMESPANS, adjustments=("raw",)),
    Dataset("crypto", "Crypto currencies", timespans=TIMESPANS, adjustments=("raw",)),
    Dataset("snapshots", "The latest price", records="snapshots", aliases=("GLOBAL_QUOTE",)),
    Dataset("splits", "Stock splits", records="splits"),
    Dataset("symbols", "US stocks and ETFs that are listed", records="symbols", aliases=("LISTING_STATUS",), whole_market=True),
    Dataset("delisted", "US stocks and ETFs that were listed", records="symbols", whole_market=True),
    Dataset("search", "Symbols by words of their names", records="symbols", aliases=("SYMBOL_SEARCH",)),
    Dataset("market_status", "Which markets are open now", records="market_status", whole_market=True),
    Dataset("dividends", "Cash dividends", records="dividends"),
)
