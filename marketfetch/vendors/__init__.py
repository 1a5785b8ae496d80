"""The registry of installed vendors: any package can add one by an entry point `marketfetch.vendors`.

The names come from the packages' metadata; `vendor` imports a vendor's code at its first use.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from marketfetch.exceptions import UnavailableError
from marketfetch.schemas.job_spec import PROVIDER_NAME
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.protocol import Vendor

GROUP: Final = "marketfetch.vendors"


class UnknownVendor(KeyError):
    """No installed vendor has this name; the message lists the installed ones."""

    def __str__(self) -> str:
        return str(self.args[0])


class BrokenVendor(UnavailableError):
    """A package's entry point names an unusable vendor; the message has the package and the reason."""


def names() -> tuple[str, ...]:
    """Returns the names of the installed vendors, sorted. Imports no vendor. Raises BrokenVendor."""
    return tuple(_installed())


@lru_cache(maxsize=64)
def vendor(name: str) -> Vendor[Any]:
    """Returns the vendor called `name`. Raises UnknownVendor with a did-you-mean, and BrokenVendor."""
    found = _installed().get(name)
    if found is None:
        raise UnknownVendor(unknown(name))
    try:
        loaded = found.load()
    except Exception as error:
        raise BrokenVendor(f"{_origin(found)} can't be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(loaded, Vendor):
        raise BrokenVendor(f"{_origin(found)} is not a marketfetch.vendors.protocol.Vendor: see docs/add-a-vendor.md")
    if loaded.name != name:
        raise BrokenVendor(f"{_origin(found)} calls itself {loaded.name!r}: give both the same name")
    return loaded


def unknown(name: str) -> str:
    """Returns the message for a name that no installed vendor has."""
    meant = did_you_mean(name.lower().replace("-", "_"), names(), as_written="{!r}", cutoff=0.5)
    return f"There is no vendor {name!r}. {meant}{' ' if meant else ''}The vendors are {', '.join(names())}."


def example(preferred: tuple[str, ...] = ()) -> Vendor[Any]:
    """Returns a vendor for examples in messages: of the `preferred` ones or of all, the one with the most symbol forms."""
    return max(map(vendor, preferred or names()), key=lambda one: len(one.symbol_forms))


@lru_cache(maxsize=1)
def _installed() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for one in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        if not re.fullmatch(PROVIDER_NAME, one.name):
            raise BrokenVendor(f"{_origin(one)} has no usable name: write lower-case letters, digits and underscores")
        # A checkout on the path next to an installed copy lists the same vendor twice.
        if found.setdefault(one.name, one).value != one.value:
            raise BrokenVendor(f"two packages bring the vendor {one.name!r} ({found[one.name].value}, {one.value}): remove one")
    if not found:
        raise BrokenVendor("no vendor is installed: install marketfetch again, `pip install -e .` in a checkout")
    return found


def _origin(one: EntryPoint) -> str:
    package = one.dist.name if one.dist else "an unknown package"
    return f"the vendor {one.name!r} of the package {package} ({one.value})"
