"""What travels from fetch to store: a few words that a person can read, never the rows."""

from __future__ import annotations

import json
from typing import Any, Literal, TypedDict

from marketfetch.vendors.errors import Fatal


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


def reference_of(provider: str, symbol: str, record: str, text: str) -> Reference:
    """The reference of a task that was answered so: of the request whose rows it wants. Raises Fatal where the call had failed.

    `record` is the task's own, for an answer of a release that did not name the request.
    """
    told = json.loads(text)
    if told["outcome"] == "failed":
        raise Fatal(told["reason"])
    request = told.get("request", record)
    return reference(provider, symbol, request, outcome=told["outcome"], rows=told["rows"], rejects=told["rejects"])
