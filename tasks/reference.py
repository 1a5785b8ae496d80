"""What travels from fetch to store: a few words that a person can read, never the rows."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Reference(TypedDict):
    """`request` is the id of the record in the gate; "held" and "over" say that an earlier attempt knows the numbers."""

    provider: str
    symbol: str
    request: str
    outcome: Literal["stored", "empty", "failed", "cancelled", "held", "over"]
    rows: int
    rejects: int


def reference(provider: str, symbol: str, request: str, *, outcome: Any, rows: int = 0, rejects: int = 0) -> Reference:
    """A reference; see Reference."""
    return Reference(provider=provider, symbol=symbol, request=request, outcome=outcome, rows=rows, rejects=rejects)
