"""The Polygon datasets: bars, and lists of records.

https://massive.com/docs/rest
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from marketfetch.schemas.timespans import TIMESPANS
from marketfetch.vendors.protocol import Dataset

#: The most base bars that a page covers (https://massive.com/docs/rest/stocks/aggregates/custom-bars, parameter `limit`); a
#: page of records is smaller.
MOST_ROWS: Final = 50_000

#: The dataset names of bars.
BARS: Final = ("bars", "aggs")
#: The bars of the whole stock market on one day: https://massive.com/docs/rest/stocks/aggregates/daily-market-summary
GROUPED: Final = "grouped"
#: The vendor's files of the whole stock market: https://massive.com/docs/flat-files/stocks/overview
FLAT_FILES: Final = "flat_files"
#: The most rows of a part of a file; the parts are cut by bytes, and a row has forty at least.
MOST_ROWS_OF_A_PART: Final = 500_000
#: The path of each dataset of records, whose pages have at most 1,000 rows.
#: https://massive.com/docs/rest/stocks/corporate-actions/splits
RECORD_PATHS: Final = MappingProxyType(
    {
        "splits": "/v3/reference/splits",
        "dividends": "/v3/reference/dividends",
        "symbols": "/v3/reference/tickers",
        "delisted": "/v3/reference/tickers",
        # https://massive.com/docs/rest/stocks/market-operations/market-holidays
        "holidays": "/v1/marketstatus/upcoming",
        # https://massive.com/docs/rest/stocks/market-operations/market-status
        "market_status": "/v1/marketstatus/now",
        # https://massive.com/docs/rest/stocks/tickers/all-tickers, parameter `search`
        "search": "/v3/reference/tickers",
    }
)
#: The vendor's field of the day by which a list may be asked for.
DAY_FIELDS: Final = MappingProxyType({"splits": "execution_date", "dividends": "ex_dividend_date"})
#: The latest price of a stock: https://massive.com/docs/rest/stocks/snapshots/single-ticker-snapshot
SNAPSHOTS: Final = "snapshots"
#: Symbols by a part of their name; and the status of every market.
SEARCH: Final = "search"
MARKET_STATUS: Final = "market_status"
#: The datasets that are one list, whatever is asked for.
WITHOUT_PARAMETERS: Final = ("holidays", MARKET_STATUS)
ROWS_PER_LIST_PAGE: Final = 1_000

DATASETS: Final = (
    Dataset("bars", "Aggregates (also called aggs)", timespans=TIMESPANS, adjustments=("split", "raw"), aliases=("aggs",)),
    Dataset(
        GROUPED,
        "The bars of all US stocks, a day a call",
        timespans=("1d",),
        adjustments=("raw", "split"),
        whole_market=True,
        rows=10_000,
    ),
    Dataset(
        FLAT_FILES,
        "Files with the bars of all US stocks, a session each",
        timespans=("1d", "1m"),
        adjustments=("raw",),
        whole_market=True,
        rows=10_000,
        from_files=True,
        most_rows=MOST_ROWS_OF_A_PART,
    ),
    Dataset("splits", "Stock splits", records="splits", by_range=True),
    Dataset("dividends", "Cash dividends", records="dividends", by_range=True),
    Dataset(SNAPSHOTS, "The latest price of a stock", records="snapshots"),
    Dataset("symbols", "US stocks that are listed", records="symbols", aliases=("tickers",), whole_market=True),
    Dataset("delisted", "US stocks that were listed", records="symbols", whole_market=True),
    Dataset(SEARCH, "Symbols by words of their names", records="symbols"),
    Dataset(MARKET_STATUS, "Which markets are open now", records="market_status", whole_market=True),
    Dataset("holidays", "Holidays and early closes that lie ahead", records="holidays", whole_market=True),
)
