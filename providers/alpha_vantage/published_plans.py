"""What Alpha Vantage's published plans allow a key. Settings override every number; the vendor may change its plans unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from marketfetch.vendors.protocol import Plan

_SOURCE: Final = "https://www.alphavantage.co/premium/"

PLANS: Final[Mapping[str, Plan]] = MappingProxyType(
    {
        # The instant of the reset is not published: midnight in New York is what users report.
        "free": Plan(("1/second;strict", "25/day@America/New_York"), _SOURCE, "2026-11"),
        **{f"premium-{n}": Plan((f"{n}/minute",), _SOURCE, "2026-11") for n in (75, 150, 300, 600, 1200)},
    }
)
