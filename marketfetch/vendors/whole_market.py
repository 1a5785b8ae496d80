"""Datasets whose one call brings every symbol of a market: what a wish for them names."""

from __future__ import annotations

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.vendors.dataset_names import dataset_named
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.protocol import Options, Vendor


def is_whole_market(vendor: Vendor[Options], dataset: str) -> bool:
    """True for a dataset that is asked for without symbols."""
    found = dataset_named(vendor, dataset)
    return found is not None and found.whole_market


def takes_whole_market(vendor: Vendor[Options], dataset: str) -> bool:
    """True for a dataset that may be asked for without symbols: of all of them."""
    found = dataset_named(vendor, dataset)
    return found is not None and (found.whole_market or found.by_range)


def check_whole_market(vendor: Vendor[Options], spec: JobSpec) -> None:
    """Raises PlanError for "*" where the dataset is asked for by symbol, and for a symbol where it is not."""
    if is_whole_market(vendor, spec.dataset):
        found = dataset_named(vendor, spec.dataset)
        if spec.symbols != (WHOLE_MARKET,) and found is not None and not found.has_bars:
            raise PlanError(
                f"{spec.dataset} comes as one list of all that {vendor.title} has: leave the symbols out (in Python, the "
                f"symbols are ['{WHOLE_MARKET}'])"
            )
        if spec.symbols != (WHOLE_MARKET,):
            raise PlanError(
                f"one call of {spec.dataset} brings every symbol of the day, and all of them are stored: leave the symbols out "
                f"(in Python, the symbols are ['{WHOLE_MARKET}']), or ask for {spec.symbols[0]} in the dataset bars"
            )
    elif WHOLE_MARKET in spec.symbols and takes_whole_market(vendor, spec.dataset):
        if len(spec.symbols) > 1:
            raise PlanError(f"{WHOLE_MARKET} stands for every symbol: leave the others out, or leave {WHOLE_MARKET} out")
    elif WHOLE_MARKET in spec.symbols:
        have = [one.name for one in vendor.datasets if one.whole_market or one.by_range]
        instead = f", or ask for the dataset {' or '.join(have)}" if have else ""
        raise PlanError(
            f"{WHOLE_MARKET} stands for a whole market, and {vendor.name} has no call for that in the dataset {spec.dataset}: "
            f"name the symbols{instead}"
        )
