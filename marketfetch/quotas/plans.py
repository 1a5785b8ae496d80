"""What the vendors' published plans allow, each with its source and the day it was read. Settings override every number.

Vendors change their plans without notice: a plan here is a careful default, not a promise of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits of one key of a plan. `source` is where they were published, `read_on` when."""

    limits: tuple[str, ...]
    source: str
    read_on: str
    concurrency: int | None = None


_ALPHA_VANTAGE: Final = "https://www.alphavantage.co/premium/"
_POLYGON: Final = "https://massive.com/pricing"
_NASDAQ: Final = "https://docs.data.nasdaq.com/docs/rate-limits-1"
_READ: Final = "2026-11"

PLANS: Final[Mapping[str, Mapping[str, Plan]]] = MappingProxyType(
    {
        "alpha_vantage": {
            # The instant of the reset is not published: midnight in New York is what users report.
            "free": Plan(("1/second;strict", "25/day@America/New_York"), _ALPHA_VANTAGE, _READ),
            **{f"premium-{n}": Plan((f"{n}/minute",), _ALPHA_VANTAGE, _READ) for n in (75, 150, 300, 600, 1200)},
        },
        "polygon": {
            "free": Plan(("5/minute",), _POLYGON, _READ),
            # "Unlimited", with the advice to stay below 100 requests a second.
            "paid": Plan(("100/second",), _POLYGON, _READ),
        },
        "nasdaq": {
            "free": Plan(("300/10seconds", "2000/10minutes", "50000/day"), _NASDAQ, _READ, concurrency=1),
            "premium": Plan(("5000/10minutes", "720000/day"), _NASDAQ, _READ),
        },
    }
)
