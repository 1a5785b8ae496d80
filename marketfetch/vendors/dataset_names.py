"""Which vendor has which dataset: one vocabulary (splits, dividends, ...) beside the vendors' own spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.request import Request
from marketfetch.vendors import names, vendor
from marketfetch.vendors.protocol import Dataset, Vendor

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page  # imports numpy, which a process that only plans does not need


def dataset_named(known: Vendor[Any], name: str) -> Dataset | None:
    """The vendor's dataset of this name, in any case, or of one of its other names; None where it lists none of it."""
    word = name.lower()
    return next((one for one in known.datasets if word in (one.name.lower(), *(other.lower() for other in one.aliases))), None)


def records_of(request: Request | None, page: Page) -> Records | None:
    """The records of a request's page; without a row also those of an empty list, None for bars."""
    found = dataset_named(vendor(request.provider), request.dataset) if request else None
    if not found or not found.records:
        return page.records if len(page.records) else None
    ranged = (request.start.isoformat(), request.end.isoformat()) if request and request.start and request.end else None
    return Records(found.records, page.records.rows, found.name, page.records.columns, ranged)


def vendors_with(name: str) -> list[str]:
    """The names of the installed vendors from which this dataset can be fetched. Loads all of them."""
    found = ((one, dataset_named(vendor(one), name)) for one in names())
    return [one for one, dataset in found if dataset and (dataset.has_bars or dataset.records)]
