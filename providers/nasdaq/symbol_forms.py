"""Nasdaq Data Link's symbol forms, and the time zone of a table's days.

https://docs.data.nasdaq.com/docs/time-series, https://docs.data.nasdaq.com/docs/tables-1
"""

from __future__ import annotations

from datetime import date
from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors import spellings
from marketfetch.vendors.protocol import SymbolForm
from marketfetch.vendors.times import NEW_YORK

from .calls import dataset_name
from .options import NasdaqOptions
from .tables import WIKI_PRICES, mapping_named
from .value_wishes import VALUES

SYMBOL_FORMS: Final = (
    SymbolForm("stock", ("AAPL", "MSFT"), dataset=WIKI_PRICES),
    SymbolForm("share class", ("BRK_B",), dataset=WIKI_PRICES),
    SymbolForm("series", ("MULTPL/SP500_PE_RATIO_MONTH",), dataset="datasets", timespan="1mo"),
    SymbolForm(
        "table of values",
        ("SHARADAR/SEP?ticker=AAPL&date.gte=2024-01-01", "datasets/MULTPL/SP500_PE_RATIO_MONTH"),
        dataset=VALUES,
    ),
)

#: The last day of the database WIKI, which is still served. https://data.nasdaq.com/databases/WIKIP/documentation
WIKI_ENDED: Final = date(2018, 3, 27)


def advice(symbol: str) -> str | None:
    """What to write instead of a symbol that is sure to be unknown to WIKI/PRICES; None for one that may be known.

    That table has stocks of the US by their tickers, which have no sign but the underscore of a class.
    """
    meant = spellings.read(symbol)
    if meant is None or not meant.form:
        return None
    if meant.kind == "class":
        wrong = meant.form != "_"
        right = f"{meant.first}_{meant.second}"
        return f"A share class has an underscore in {WIKI_PRICES}: write {right} instead of {symbol}." if wrong else None
    if meant.kind == "preferred":
        return f"{symbol} is a preferred stock, of which {WIKI_PRICES} has none: ask another vendor."
    return (
        f"{symbol} is no stock, and {WIKI_PRICES} has stocks of the US alone: write a time series as DATABASE/CODE, name "
        f"another table with --dataset VENDOR/TABLE, or ask another vendor."
    )


def zone(request: Request, options: NasdaqOptions) -> str:
    """Returns the zone of the table's mapping; New York for a table without one."""
    name = dataset_name(request, options) or (WIKI_PRICES if request.dataset.lower() == "bars" else request.dataset)
    mapping = mapping_named(name, options.tables)
    return mapping.zone if mapping else NEW_YORK
