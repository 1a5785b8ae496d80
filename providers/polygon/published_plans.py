"""The limits of a key under Polygon's published plans. Settings override them; Polygon may change its plans."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from marketfetch.vendors.protocol import Plan

_SOURCE: Final = "https://massive.com/pricing"

PLANS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        "free": Plan(("5/minute",), _SOURCE, "2026-11"),
        # "Unlimited", with the advice to stay below 100 requests a second.
        "paid": Plan(("100/second",), _SOURCE, "2026-11"),
    }
)
