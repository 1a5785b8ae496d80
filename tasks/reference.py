"""Reference: the message from fetch to store, a few readable words, never the rows."""

from __future__ import annotations

import json
from typing import Any, Literal, TypedDict

from marketfetch.vendors import errors
from marketfetch.vendors.errors import Fatal


class Reference(TypedDict):
    """`request` is the id of the record in the gate; with "held" and "over" an earlier attempt has recorded the numbers."""

    provider: str
    symbol: str
    request: str
    outcome: Literal["stored", "empty", "failed", "cancelled", "held", "over"]
    rows: int
    rejects: int


def reference(provider: str, symbol: str, request: str, *, outcome: Any, rows: int = 0, rejects: int = 0) -> Reference:
    """Builds a Reference."""
    return Reference(provider=provider, symbol=symbol, request=request, outcome=outcome, rows=rows, rejects=rejects)


def reference_of(provider: str, symbol: str, record: str, text: str) -> Reference:
    """The reference of a task whose outcome another task's call has brought. Raises `failure` where that call had failed.

    `text` is the outcome's JSON. `record` is the task's own, for an outcome of a release that did not name the request.
    """
    ended = json.loads(text)
    if ended["outcome"] == "failed":
        raise failure(ended["reason"], symbol=symbol)
    request = ended.get("request", record)
    return reference(provider, symbol, request, outcome=ended["outcome"], rows=ended["rows"], rejects=ended["rejects"])


def failure(reason: str, *, symbol: str) -> Fatal:
    """The error for a reason of the ledger, "SYMBOL: Class: ...": of that class, so that every waiter gets the same one.

    Fatal where the reason names no class, or one that Celery would retry.
    """
    named = reason.removeprefix(f"{symbol}: ").partition(":")[0]
    kind = getattr(errors, named, None)
    return (kind if isinstance(kind, type) and issubclass(kind, Fatal) else Fatal)(reason)


def symbol_in(arguments: str | None) -> str:
    """The symbol among a request's arguments (JSON), "" where there is none."""
    try:
        found = json.loads(arguments or "{}").get("symbol")
    except (ValueError, AttributeError):
        return ""
    return found if isinstance(found, str) else ""
