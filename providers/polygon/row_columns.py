"""Which fields the rows of a reply of bars have: one that Polygon renames is noted, since a row may lack any but its prices.

https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np

from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.request import Request
from marketfetch.schemas.table_columns import TableColumns, columns_of_rows
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import parse_object

from .aggregates import FIELDS
from .datasets import GROUPED
from .errors import WHO

#: Of which market the rows are, by the beginning of the ticker.
_MARKETS: Final = MappingProxyType({"C:": "currencies", "X:": "crypto", "I:": "indices", "O:": "options"})
_PRICES: Final = ("o", "h", "l", "c")
#: Fields that are read elsewhere, or not at all.
_OTHERS: Final = ("t", "T", "otc")


def columns_in(request: Request, reply: HttpReply, bars: BarColumns) -> TableColumns | None:
    """The fields of the reply's rows, whose clean ones are `bars`; None for a saved reply, and where too few rows tell."""
    if request.start is None:
        return None
    market = _MARKETS.get(request.symbol[:2], "stocks")
    table = GROUPED if request.dataset.lower() == GROUPED else f"bars of {market}"
    # Indices have no volume; the average price and the trades may be absent anywhere.
    reads = _PRICES if market == "indices" else tuple(FIELDS)
    like = TableColumns(table, reads, reads, _PRICES if market == "indices" else (*_PRICES, "v"))
    if all(_has_any(bars, name) for name in reads):
        return like
    rows = parse_object(reply, who=WHO).get("results")
    return columns_of_rows(rows, like, others=_OTHERS) if isinstance(rows, list) else None


def _has_any(bars: BarColumns, name: str) -> bool:
    values = getattr(bars, FIELDS[name])
    return bool(len(values)) and not (np.isnan(values[0]) and np.isnan(values).all())
