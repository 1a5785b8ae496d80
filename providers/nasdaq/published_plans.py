"""The limits of a key under Nasdaq Data Link's published plans. Settings override them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from marketfetch.vendors.protocol import Plan

_SOURCE: Final = "https://docs.data.nasdaq.com/docs/rate-limits-1"

PLANS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        "free": Plan(("300/10seconds", "2000/10minutes", "50000/day"), _SOURCE, "2026-11", concurrency=1),
        "premium": Plan(("5000/10minutes", "720000/day"), _SOURCE, "2026-11"),
    }
)
