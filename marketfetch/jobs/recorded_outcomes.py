"""The recorded outcome of a request, for a task that waited for another's call or came after it: no second call is made."""

from __future__ import annotations

import json

from marketfetch import connections
from marketfetch.jobs.without_sessions import with_sessions
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.storage.store import StoreError


def outcome_json(row: LedgerRow) -> str:
    """The outcome as JSON; the gate passes it to the waiting tasks."""
    ended = {"outcome": row.outcome, "rows": row.rows, "rejects": row.rejects, "reason": row.reason}
    return json.dumps({**ended, "request": row.request_id})


def from_ledger(request: Request) -> LedgerRow | None:
    """The ledger row of a request that ended before the task came; None when it has not, or the database is unavailable.

    Of an empty first page whose next page has failed it is that failure: release 0.1 recorded a check (see Page) in this way.
    """
    following = f"{request.id}/1"
    try:
        found = connections.ledger().outcomes([request.id, following])
    except StoreError:
        # Fail open: a duplicate call is better than a task that waits for the database.
        return None
    row = found.get(request.id)
    if row and row.outcome == "empty" and row.next_cursor and following in found and found[following].outcome == "failed":
        return found[following]
    return row


def without_session(request: Request) -> LedgerRow | None:
    """The empty outcome of a request for days on which its market has no session, which needs no call; None of any other."""
    if with_sessions([request]):
        return None
    return LedgerRow(request.id, request.id, 0, request.provider, request.symbol, "empty")


def forget_failure(request: Request) -> None:
    """Deletes the ledger row of a failed request, so that a new task can record a new outcome."""
    try:
        connections.store().forget_if_failed(request.id)
    except StoreError:
        return  # the failure stays in the ledger, and the next task tries to delete it again
