"""Nasdaq Data Link's symbol forms, and the time zone of a table's days.

https://docs.data.nasdaq.com/docs/time-series, https://docs.data.nasdaq.com/docs/tables-1
"""

from __future__ import annotations

from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.protocol import SymbolForm
from marketfetch.vendors.times import NEW_YORK

from .calls import dataset_name
from .options import NasdaqOptions
from .tables import WIKI_PRICES, mapping_named

SYMBOL_FORMS: Final = (
    SymbolForm("stock", ("AAPL", "MSFT"), dataset=WIKI_PRICES),
    SymbolForm("share class", ("BRK_B",), dataset=WIKI_PRICES),
    SymbolForm("series", ("MULTPL/SP500_PE_RATIO_MONTH",), dataset="datasets", timespan="1mo"),
)


def zone(request: Request, options: NasdaqOptions) -> str:
    """Returns the zone of the table's mapping; New York for a table without one."""
    name = dataset_name(request, options) or (WIKI_PRICES if request.dataset.lower() == "bars" else request.dataset)
    mapping = mapping_named(name, options.tables)
    return mapping.zone if mapping else NEW_YORK
