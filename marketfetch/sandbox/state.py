"""The state of a running sandbox."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from marketfetch.sandbox.bare_calls import BareCalls
from marketfetch.sandbox.faults import Faults
from marketfetch.sandbox.service import Service


@dataclass(slots=True)
class State:
    """`delay_in_ms` and `delay_out_ms` are uniform ranges; `damaged` lists every row that was spoilt."""

    service: Service
    faults: Faults
    draw: random.Random
    delay_in_ms: tuple[float, float] = (0.0, 0.0)
    delay_out_ms: tuple[float, float] = (0.0, 0.0)
    damaged: list[dict[str, Any]] = field(default_factory=list)
    bare_calls: BareCalls = field(default_factory=BareCalls)
