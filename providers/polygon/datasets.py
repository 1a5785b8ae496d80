"""What Polygon has that marketfetch reads: bars, which are fetched and stored, and records, which can only be read.

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

#: The names by which bars are asked for.
BARS: Final = ("bars", "aggs")
#: Where the records stand.
RECORD_PATHS: Final = MappingProxyType(
    {
        "splits": "/v3/reference/splits",
        "dividends": "/v3/reference/dividends",
        "tickers": "/v3/reference/tickers",
    }
)

DATASETS: Final = (
    Dataset("bars", "Aggregates (also called aggs)", timespans=TIMESPANS, adjustments=("split", "raw")),
    Dataset("splits", "Stock splits"),
    Dataset("dividends", "Cash dividends"),
    Dataset("tickers", "The list of tickers"),
)
