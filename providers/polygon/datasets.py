"""The Polygon datasets that marketfetch reads: it fetches and stores bars, and only reads the records of a saved response.

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
#: The path of each dataset of records.
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
