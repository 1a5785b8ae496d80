"""The section [providers.nasdaq] of the settings: the base URL, and the columns of further tables."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions

from .column_mapping import ColumnMapping


class NasdaqOptions(VendorOptions):
    """https://docs.data.nasdaq.com/docs/getting-started

    `symbols_per_request` is the number of symbols in one call of a datatable. `tables` maps the columns of datasets
    ("DB/CODE") and datatables ("VENDOR/TABLE") that have no built-in mapping. `final_after_minutes` keeps the default of a day:
    an assumption, since every table has a publisher of its own. A table that is published later needs more.
    """

    base_url: str = Field(default="https://data.nasdaq.com/api/v3", pattern=BASE_URL)
    symbols_per_request: int = Field(default=1, ge=1, le=100)
    tables: dict[str, ColumnMapping] = Field(default_factory=dict)
    #: The key of a datatable that states none, for the dataset values: columns, or "*" where a row is its own key.
    value_keys: dict[str, tuple[str, ...]] = Field(default_factory=dict)
