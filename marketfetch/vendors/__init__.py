"""What a vendor is, and which vendors are installed: every package may bring one by an entry point `marketfetch.vendors`.

The names are read from the packages' metadata; a vendor's code is loaded when it is first asked for.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from marketfetch.vendors.protocol import Vendor

GROUP: Final = "marketfetch.vendors"


class UnknownVendor(KeyError):
    """No vendor has this name; the message says which exist."""

    def __str__(self) -> str:
        return str(self.args[0])


def names() -> tuple[str, ...]:
    """The names of the installed vendors, sorted. Loads no vendor."""
    return tuple(sorted(_installed()))


@lru_cache(maxsize=64)
def vendor(name: str) -> Vendor:
    """The vendor called `name`. Raises UnknownVendor with a did-you-mean."""
    found = _installed().get(name)
    if found is None:
        close = get_close_matches(name.lower().replace("-", "_"), names(), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownVendor(f"there is no vendor {name!r}: {hint}The vendors are {', '.join(names())}.")
    return cast("Vendor", found.load())


@lru_cache(maxsize=1)
def _installed() -> dict[str, EntryPoint]:
    return {one.name: one for one in entry_points(group=GROUP)}
