"""How a request ended, for a task that waited for somebody else's call, or came after it: no second call is made."""

from __future__ import annotations

import json

from marketfetch import connections
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.storage.store import StoreError


def answer(row: LedgerRow) -> str:
    """What the gate keeps for those who wait: JSON."""
    told = {"outcome": row.outcome, "rows": row.rows, "rejects": row.rejects, "reason": row.reason}
    return json.dumps({**told, "request": row.request_id})


def from_ledger(request: Request) -> LedgerRow | None:
    """How a task's request had ended before the task came; None when it is not over, or nobody can tell."""
    try:
        return connections.ledger().outcomes([request.id]).get(request.id)
    except StoreError:
        # One call more than needed does no harm; a task that waits for the database would.
        return None


def forget_failure(request: Request) -> None:
    """What has failed is asked again when a task is sent anew; its old failure makes room for what comes now."""
    try:
        connections.store().forget_if_failed(request.id)
    except StoreError:
        return  # then the failure stands, and the next one who asks tries again
