"""Where an archived reply came from: what a sandbox has invented must never be stored among real bars."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from marketfetch.vendors.protocol import VendorOptions

#: A sandbox listens on this machine, and no vendor does. A program that forwards calls to a vendor may too: see `matches`.
THIS_MACHINE: Final = "this machine"
ELSEWHERE: Final = "elsewhere"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def origin_of(options: VendorOptions) -> str:
    """Returns where these options send a vendor's calls."""
    urls = [str(getattr(options, name)) for name in type(options).model_fields if name.endswith("_url")]
    return THIS_MACHINE if any((urlsplit(one).hostname or "") in _LOOPBACK for one in urls) else ELSEWHERE


def matches(origin: str, options: VendorOptions) -> bool:
    """False for a reply of this machine where calls go to the vendor. Earlier releases noted no origin: ""."""
    return origin != THIS_MACHINE or origin_of(options) == THIS_MACHINE
