"""The limits of a key under Alpha Vantage's published plans. Settings override them; the vendor may change its plans."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from marketfetch.vendors.protocol import Plan

_SOURCE: Final = "https://www.alphavantage.co/premium/"

PLANS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        # The vendor does not publish when the day begins; users report midnight in New York.
        "free": Plan(("1/second;strict", "25/day@America/New_York"), _SOURCE, "2026-11"),
        **{f"premium-{n}": Plan((f"{n}/minute",), _SOURCE, "2026-11") for n in (75, 150, 300, 600, 1200)},
    }
)
