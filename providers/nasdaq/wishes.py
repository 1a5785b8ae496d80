"""Splits a wish into requests to Nasdaq Data Link, by symbol only: the vendor pages a long range. https://docs.data.nasdaq.com"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, is_intraday
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.spellings import object_to

from .column_mapping import ColumnMapping
from .options import NasdaqOptions
from .symbol_forms import WIKI_ENDED, advice
from .tables import WIKI_PRICES, mapping_named
from .value_wishes import VALUES, value_wish

_DATASETS: Final = "datasets"


def plan(spec: JobSpec, options: NasdaqOptions) -> list[Request]:
    """Returns one request per dataset, and per datatable one for every `symbols_per_request` symbols. No range is split.

    "bars" means the dataset that a symbol names ("DB/CODE"), else the table WIKI/PRICES. Raises PlanError.
    """
    if spec.dataset.lower() == VALUES:
        for symbol in spec.symbols:
            value_wish(symbol)
        return [Request(provider="nasdaq", dataset=VALUES, symbol=symbol) for symbol in spec.symbols]
    if is_intraday(spec.timespan):
        raise PlanError(f"nasdaq has no bars of {spec.timespan} here: ask for 1d, 1w or 1mo, or ask another vendor")
    requests: list[Request] = []
    for dataset, symbols in _by_dataset(spec, options).items():
        for group in _groups(symbols, _symbols_per_request(dataset, options)):
            name = group[0] if dataset == _DATASETS else dataset
            mapping = mapping_named(name, options.tables)
            if mapping is not None and mapping.timespan != spec.timespan:
                raise PlanError(f"{name} has bars of {mapping.timespan}, not {spec.timespan}: ask for {mapping.timespan}")
            requests.append(
                Request(
                    provider="nasdaq",
                    dataset=dataset,
                    symbol=",".join(group),
                    timespan=spec.timespan,
                    adjustment=_adjustment_of(spec, name, mapping),
                    start=spec.start,
                    end=spec.end,
                )
            )
    return requests


def check_wish(spec: JobSpec, options: NasdaqOptions) -> None:
    """Raises PlanError for a range after the end of WIKI, and for symbols that are surely not in WIKI/PRICES."""
    if spec.dataset.lower() == VALUES:
        return
    by_dataset = _by_dataset(spec, options)
    of_wiki = [
        *by_dataset.get(WIKI_PRICES, ()),
        *(code for code in by_dataset.get(_DATASETS, ()) if code.upper().startswith("WIKI/")),
    ]
    object_to(said for symbol in by_dataset.get(WIKI_PRICES, ()) if (said := advice(symbol)))
    if of_wiki and spec.start > WIKI_ENDED:
        named = "The default table WIKI/PRICES" if spec.dataset.lower() == "bars" else "The database WIKI"
        raise PlanError(
            f"{named} ended on {WIKI_ENDED}, so it has nothing of {of_wiki[0]} from {spec.start} on: ask for a range that "
            f"begins by then (--start), name another table with --dataset VENDOR/TABLE, or ask another vendor."
        )


def brings(request: Request, options: NasdaqOptions) -> tuple[Adjustment, ...]:
    """Returns the adjustments that the columns of the request's table hold; of a table without a mapping the one asked for."""
    mapping = mapping_named(request.symbol if request.dataset == _DATASETS else request.dataset, options.tables)
    return tuple(mapping.prices()) if mapping else (request.adjustment,)


def _by_dataset(spec: JobSpec, options: NasdaqOptions) -> dict[str, list[str]]:
    """Groups symbols by dataset: "datasets" for time series, else a table's name."""
    found: dict[str, list[str]] = {}
    for symbol in spec.symbols:
        found.setdefault(_dataset_of(spec.dataset, symbol, options), []).append(symbol)
    return found


def _dataset_of(dataset: str, symbol: str, options: NasdaqOptions) -> str:
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
    meant = did_you_mean(word, ("bars", _DATASETS))
    meant += " " if meant else ""
    raise PlanError(f"nasdaq has no dataset {dataset!r}. {meant}Write bars, datasets, or a table as VENDOR/TABLE.")


def _symbols_per_request(dataset: str, options: NasdaqOptions) -> int:
    if dataset == _DATASETS:
        return 1
    mapping = mapping_named(dataset, options.tables)
    # A filter of several columns names one series.
    return 1 if mapping is not None and len(mapping.key) > 1 else options.symbols_per_request


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
