"""The reply of a simulated vendor, before a fault is applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The query of a call: each name with all its values, in the order they came.
Query = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. `symbol` is the served symbol; empty for refusals and errors of any status."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    symbol: str = ""
    gzip: bool = False

    @property
    def good(self) -> bool:
        """True for data, false for an error: Alpha Vantage sends errors with status 200."""
        return self.status == 200 and bool(self.symbol)

    @property
    def outcome(self) -> str:
        """The status as the log counts it: "200", "429", or "200 refused"."""
        return str(self.status) if self.good or self.status != 200 else "200 refused"


def json_reply(document: Any, *, status: int = 200, symbol: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A JSON body, written compactly."""
    return Reply(status, json.dumps(document, separators=(",", ":")).encode(), symbol=symbol, headers=headers)


def one(query: Query, name: str, default: str = "") -> str:
    """The last value of a parameter, as web servers take it."""
    values = query.get(name)
    return values[-1] if values else default
