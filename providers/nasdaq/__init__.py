"""Nasdaq Data Link (ex-Quandl): datatables, paged by cursor, and the older time-series datasets, which are being retired.

https://docs.data.nasdaq.com/docs/getting-started
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import quote

from marketfetch.schemas.column_mapping import ColumnMapping
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, is_intraday
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.ranges import generation_of
from marketfetch.vendors.times import period_end, period_start

from .replies import dataset_name, read_reply
from .tables import WIKI_PRICES, mapping_named

__all__ = ["BASE_URL", "NAME", "build_request", "plan", "read_reply"]

NAME: Final = "nasdaq"
BASE_URL: Final = "https://data.nasdaq.com/api/v3"

#: The most rows of a datatable's page. https://docs.data.nasdaq.com/docs/in-depth-usage-1
MOST_ROWS: Final = 10_000

_DATASETS: Final = "datasets"
_ACCEPT: Final = MappingProxyType({"Accept": "application/json"})


def plan(spec: JobSpec, options: VendorOptions) -> list[Request]:
    """One request per dataset; per datatable one for every `symbols_per_request` symbols. Nothing is split: the vendor pages.

    "bars" is the dataset a symbol names ("DB/CODE"), else the table WIKI/PRICES. Raises PlanError.
    """
    if is_intraday(spec.timespan):
        raise PlanError(f"nasdaq has no bars of {spec.timespan} here: ask for 1d, 1w or 1mo, or ask another vendor")
    requests: list[Request] = []
    for dataset, symbols in _by_dataset(spec, options).items():
        for group in _groups(symbols, 1 if dataset == _DATASETS else options.symbols_per_request):
            mapping = mapping_named(group[0] if dataset == _DATASETS else dataset, options.tables)
            name = group[0] if dataset == _DATASETS else dataset
            if mapping is not None and mapping.timespan != spec.timespan:
                raise PlanError(f"{name} holds bars of {mapping.timespan}, not {spec.timespan}: ask for {mapping.timespan}")
            requests.append(
                Request(
                    provider="nasdaq",
                    dataset=dataset,
                    symbol=",".join(group),
                    timespan=spec.timespan,
                    adjustment=_adjustment_of(spec, name, mapping),
                    start=spec.start,
                    end=spec.end,
                    generation=generation_of(spec, spec.end),
                )
            )
    return requests


def build_request(request: Request, options: VendorOptions) -> HttpRequest:
    """`/datasets/DB/CODE/data.json` or `/datatables/VENDOR/TABLE.json` with filters and, from page 1 on, the cursor."""
    if request.start is None or request.end is None:
        raise PlanError("give a start and an end: without them the vendor would send everything it has")
    start, end = period_start(request.start, request.timespan), period_end(request.end, request.timespan)
    key = KeyPlace("header", "X-Api-Token")
    name = dataset_name(request, options)
    if name is not None:
        params = [("order", "asc"), ("start_date", start.isoformat()), ("end_date", end.isoformat())]
        return HttpRequest(f"/datasets/{quote(name)}/data.json", tuple(params), key, headers=_ACCEPT)
    table = WIKI_PRICES if request.dataset.lower() == "bars" else request.dataset
    mapping = mapping_named(table, options.tables)
    symbol, date = (mapping.symbol, mapping.date) if mapping else ("ticker", "date")
    params = [(symbol, request.symbol)] if symbol else []
    params += [(f"{date}.gte", start.isoformat()), (f"{date}.lte", end.isoformat())]
    params.append(("qopts.per_page", str(min(options.page_limit or MOST_ROWS, MOST_ROWS))))
    if request.cursor is not None:
        params.append(("qopts.cursor_id", request.cursor))
    return HttpRequest(f"/datatables/{quote(table)}.json", tuple(params), key, headers=_ACCEPT)


def _by_dataset(spec: JobSpec, options: VendorOptions) -> dict[str, list[str]]:
    """The symbols of every dataset: "datasets" for time series, else a table's name."""
    found: dict[str, list[str]] = {}
    for symbol in spec.symbols:
        found.setdefault(_dataset_of(spec.dataset, symbol, options), []).append(symbol)
    return found


def _dataset_of(dataset: str, symbol: str, options: VendorOptions) -> str:
    word = dataset.lower()
    if word in ("bars", _DATASETS, "dataset"):
        if "/" in symbol:
            return _DATASETS
        if word == "bars":
            return WIKI_PRICES
        raise PlanError(f"{symbol!r} is not a dataset's code: write it as DATABASE/CODE")
    if dataset.count("/") == 1 and all(dataset.split("/")):
        mapping = mapping_named(dataset, options.tables)
        kind: Literal["dataset", "table"] = mapping.kind if mapping else "table"
        if kind == "dataset":
            raise PlanError(f"{dataset} is a time series: ask for the dataset bars and the symbol {dataset}")
        return dataset.upper()
    close = get_close_matches(word, ("bars", _DATASETS), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise PlanError(f"nasdaq has no dataset {dataset!r}: {hint}Write bars, datasets, or a table as VENDOR/TABLE.")


def _groups(symbols: list[str], size: int) -> Iterator[list[str]]:
    for i in range(0, len(symbols), size):
        yield symbols[i : i + size]


def _adjustment_of(spec: JobSpec, name: str, mapping: ColumnMapping | None) -> Adjustment:
    served: tuple[Adjustment, ...] = tuple(mapping.prices()) if mapping else ("raw", "split_dividend")
    if spec.adjustment is None:
        return served[0]
    if spec.adjustment not in served:
        raise PlanError(f"{name} has no bars adjusted as {spec.adjustment}: ask for {' or '.join(served)}")
    return spec.adjustment
