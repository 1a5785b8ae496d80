"""What the demo asks for, and the faults of the sandbox that make rejects and retries visible.

Wishes and faults are data of the sandbox (`sandbox/demo.json`): only the sandbox knows which vendors it simulates.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Wish:
    """One job of the demo: five years of daily bars. The ranges hold days for which there are recorded replies."""

    provider: str
    symbols: tuple[str, ...]
    start: date
    end: date
    dataset: str

    @classmethod
    def of(cls, found: dict[str, Any]) -> Wish:
        start, end = date.fromisoformat(found["start"]), date.fromisoformat(found["end"])
        return cls(found["provider"], tuple(found["symbols"]), start, end, found["dataset"])


_DEMO: Final[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "sandbox" / "demo.json").read_text())

#: The symbol that no simulated vendor knows: one request of the demo fails, and says why.
UNKNOWN: Final[str] = _DEMO["unknown"]
WISHES: Final = tuple(Wish.of(one) for one in _DEMO["wishes"])
#: As the sandbox's control endpoint takes them. Each applies to one call.
FAULTS: Final[tuple[dict[str, Any], ...]] = tuple(_DEMO["faults"])
#: Vendor and symbols of the next command that the demo prints.
EXAMPLE: Final[str] = _DEMO["example"]
ON_PURPOSE: Final = (
    f"On purpose, the sandbox knows no {UNKNOWN}, damages some rows, and once each returns 503, 429 and half a reply."
)
