"""The GET for a request to Nasdaq Data Link: a time series by its code, or a datatable with filters and cursor.

https://docs.data.nasdaq.com/docs/in-depth-usage-1
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.times import period_end, period_start

from .datasets import LONGEST_REPLY
from .options import NasdaqOptions
from .tables import WIKI_PRICES, mapping_named
from .value_wishes import VALUES, build_value_request

#: The most rows of a datatable's page. https://docs.data.nasdaq.com/docs/in-depth-usage-1
MOST_ROWS: Final = 10_000

#: Our own cursor: the table's metadata, for the doubtful columns that follow it.
METADATA: Final = "metadata:"

_ACCEPT: Final = MappingProxyType({"Accept": "application/json"})


def build_request(request: Request, options: NasdaqOptions) -> HttpRequest:
    """Builds `/datasets/DB/CODE/data.json`, or `/datatables/VENDOR/TABLE.json` with filters and, from page 1 on, the cursor."""
    if request.dataset.lower() == VALUES:
        return build_value_request(request, options, KeyPlace("header", "X-Api-Token"))
    if request.start is None or request.end is None:
        raise PlanError(
            f"Nasdaq Data Link would return the whole history of {request.symbol} without a range: give a start and an end"
        )
    start, end = period_start(request.start, request.timespan), period_end(request.end, request.timespan)
    key = KeyPlace("header", "X-Api-Token")
    name = dataset_name(request, options)
    if name is not None:
        params = [("order", "asc"), ("start_date", start.isoformat()), ("end_date", end.isoformat())]
        return HttpRequest(f"/datasets/{quote(name)}/data.json", tuple(params), key, headers=_ACCEPT)
    table = WIKI_PRICES if request.dataset.lower() == "bars" else request.dataset
    if request.cursor is not None and request.cursor.startswith(METADATA):
        return HttpRequest(f"/datatables/{quote(table)}/metadata.json", (), key, headers=_ACCEPT)
    mapping = mapping_named(table, options.tables)
    symbols, date = (mapping.key, mapping.date) if mapping else (("ticker",), "date")
    parts = request.symbol.split("+") if len(symbols) > 1 else [request.symbol]
    if len(symbols) > 1 and len(parts) != len(symbols):
        raise PlanError(f"{table} names a series by {' and '.join(symbols)}: write the symbol as {'+'.join(symbols)}")
    params = list(zip(symbols, parts, strict=False))
    params += [(f"{date}.gte", start.isoformat()), (f"{date}.lte", end.isoformat())]
    params.append(("qopts.per_page", str(rows_per_page(request, options))))
    if request.cursor is not None:
        params.append(("qopts.cursor_id", request.cursor))
    return HttpRequest(f"/datatables/{quote(table)}.json", tuple(params), key, headers=_ACCEPT)


def rows_per_page(request: Request, options: NasdaqOptions) -> int:
    """Returns the most rows of a page of a datatable, and those of the longest time series, which has no pages."""
    if dataset_name(request, options) is not None:
        return LONGEST_REPLY
    return min(options.page_limit or MOST_ROWS, MOST_ROWS)


def dataset_name(request: Request, options: NasdaqOptions) -> str | None:
    """Returns the name "DB/CODE" of a time series; None for a datatable."""
    word = request.dataset.lower()
    if word in ("bars", "datasets", "dataset"):
        return request.symbol if "/" in request.symbol else None
    mapping = mapping_named(request.dataset, options.tables)
    return request.dataset if mapping is not None and mapping.kind == "dataset" else None
