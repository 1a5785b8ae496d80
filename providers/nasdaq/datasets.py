"""The Nasdaq Data Link datasets that marketfetch reads. VENDOR/TABLE names any other datatable.

https://docs.data.nasdaq.com/docs/getting-started
"""

from __future__ import annotations

from typing import Final

from marketfetch.vendors.protocol import Dataset

from .tables import WIKI_PRICES

#: The most rows of a reply: a dataset comes whole, at longest two centuries of days; a page of a datatable has 10,000.
LONGEST_REPLY: Final = 100_000

DATASETS: Final = (
    Dataset(WIKI_PRICES, "US stocks until 2018-03-27 (bars)", timespans=("1d",), adjustments=("raw", "split_dividend")),
    Dataset(
        "datasets",
        "Time series: the symbol is DATABASE/CODE",
        timespans=("1d", "1w", "1mo"),
        adjustments=("raw",),
        aliases=("dataset",),
    ),
    Dataset("values", "Any table or time series as it is", records="value_rows"),
)
