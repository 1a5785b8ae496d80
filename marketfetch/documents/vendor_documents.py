"""The documents of the installed vendors: the limits of their plans, their datasets and their symbols."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.vendors.protocol import Dataset, SymbolForm, Vendor


class VendorPlan(TypedDict):
    """A published plan: the limits of one key, from the page `source`, as it was read in the month `read_on`."""

    name: str
    limits: list[str]
    concurrency: int | None
    source: str
    read_on: str


class VendorSymbol(TypedDict):
    """A kind of symbol with examples in the vendor's own spelling."""

    kind: str
    examples: list[str]
    dataset: str
    timespan: str


class VendorDataset(TypedDict):
    """A dataset: bars of these timespans and adjustments, or records of the table `records`."""

    name: str
    title: str
    timespans: list[str]
    adjustments: list[str]
    records: str
    aliases: list[str]
    symbols: list[VendorSymbol]


class InstalledVendor(TypedDict):
    """A vendor, its documentation, and the variables that its own clients read a key from."""

    name: str
    title: str
    documentation: str
    key_variables: list[str]
    plans: list[VendorPlan]
    datasets: list[VendorDataset]
    symbols: list[VendorSymbol]


class DatasetOfVendor(VendorDataset):
    """A dataset with the name of its vendor."""

    vendor: str


class Datasets(TypedDict):
    """Datasets of the installed vendors."""

    datasets: list[DatasetOfVendor]


class Vendors(TypedDict):
    """The installed vendors."""

    vendors: list[InstalledVendor]


def vendors_document() -> Vendors:
    from marketfetch.vendors import names, vendor

    return {"vendors": [_vendor(vendor(name)) for name in names()]}


def datasets_document(found: Iterable[tuple[Vendor[Any], Dataset]]) -> Datasets:
    return {"datasets": [{"vendor": one.name, **dataset_document(one, dataset)} for one, dataset in found]}


def forms_of(one: Vendor[Any], dataset: Dataset) -> list[SymbolForm]:
    """The kinds of symbols of a dataset."""
    return [form for form in one.symbol_forms if form.dataset == dataset.name]


def _vendor(one: Vendor[Any]) -> InstalledVendor:
    return {
        "name": one.name,
        "title": one.title,
        "documentation": one.documentation,
        "key_variables": list(one.key_variables),
        "plans": [
            {
                "name": name,
                "limits": list(plan.limits),
                "concurrency": plan.concurrency,
                "source": plan.source,
                "read_on": plan.read_on,
            }
            for name, plan in one.plans.items()
        ],
        "datasets": [dataset_document(one, dataset) for dataset in one.datasets],
        "symbols": [_form(form) for form in one.symbol_forms],
    }


def dataset_document(one: Vendor[Any], dataset: Dataset) -> VendorDataset:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "timespans": list(dataset.timespans),
        "adjustments": list(dataset.adjustments),
        "records": dataset.records,
        "aliases": list(dataset.aliases),
        "symbols": [_form(form) for form in forms_of(one, dataset)],
    }


def _form(form: SymbolForm) -> VendorSymbol:
    return {"kind": form.kind, "examples": list(form.examples), "dataset": form.dataset, "timespan": form.timespan}
