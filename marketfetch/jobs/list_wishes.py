"""Wishes for datasets that come as whole lists, such as splits: they have no range, no timespan and no adjustment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError, WrongValueError
from marketfetch.schemas.job_spec import WHOLE_END, WHOLE_START
from marketfetch.vendors.dataset_names import dataset_named, vendors_with


def of_whole_list(provider: str, wish: Mapping[str, Any]) -> dict[str, Any] | None:
    """The wish as it is recorded where a whole list is asked for, None where it has a range. Raises BadRequestError.

    A dataset that other vendors have and this one lacks is refused with their names; what "bars" are each vendor decides.
    """
    known, name = vendors.vendor(provider), wish.get("dataset", "bars")
    if not isinstance(name, str):
        return None  # refused with the other fields
    found = dataset_named(known, name)
    if found is None and name.lower() != "bars" and (others := vendors_with(name)):
        raise WrongValueError(
            f"{known.title} has no dataset {name!r}, so nothing was sent: "
            f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} it."
        )
    if found is None or not found.records:
        return None
    asked = {field: value for field, value in wish.items() if value is not None}
    if "adjustment" in asked:
        raise BadRequestError(f"The dataset {found.name} has no prices to adjust: leave out the adjustment.")
    if {"start", "end"} & asked.keys():
        if found.by_range:
            return None
        raise BadRequestError(f"{known.title} serves {found.name} as a whole list: leave out the start and the end.")
    return {**asked, "dataset": found.name, "start": WHOLE_START, "end": WHOLE_END}


def whole_list(provider: str, dataset: str) -> bool:
    """True for a dataset of an installed vendor that comes as a whole list."""
    found = dataset_named(vendors.vendor(provider), dataset)
    return bool(found and found.records)


def takes_range(provider: str, dataset: str) -> bool:
    """True for such a dataset of which the rows of a range of days can be asked for."""
    found = dataset_named(vendors.vendor(provider), dataset)
    return bool(found and found.records and found.by_range)
