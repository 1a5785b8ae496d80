"""store_batch: a validated batch becomes rows and a ledger row, in one transaction; then the gate forgets the request."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, TypedDict

import structlog
from celery import Task
from celery.exceptions import Ignore
from pydantic import ValidationError

from schemas.ledger import Batch, LedgerRow
from schemas.requests import Request
from storage.store import StoreError
from tasks import batches, connections, trouble
from tasks.app import app

log = structlog.get_logger("marketfetch.store")

STORE_TASK: Final = "tasks.store.store_batch"
#: How long a batch waits before it is offered again while the database is away.
_OFFERED_AGAIN_MS: Final = 5_000


class Reference(TypedDict):
    """What travels from fetch to store: a few words that a person can read, never the rows."""

    provider: str
    symbol: str
    request: str
    outcome: Literal["stored", "empty", "failed", "held", "over"]
    rows: int
    rejects: int


def reference(provider: str, symbol: str, request: str, *, outcome: Any, rows: int = 0, rejects: int = 0) -> Reference:
    """`request` is the id of the record in the gate; "held" and "over" say that an earlier attempt knows the numbers."""
    return Reference(provider=provider, symbol=symbol, request=request, outcome=outcome, rows=rows, rejects=rejects)


def hand_on(task: Task, ref: Reference) -> Reference:
    """Returns the reference for the chain; a task that was sent alone gets its store task here."""
    chain = task.request.chain or []
    if not any(one.get("task") == STORE_TASK for one in chain):
        send_to_store(ref)
    return ref


def send_to_store(ref: Reference) -> None:
    """Sends the store task beside the chain. Should this message be lost, the gate offers the batch again."""
    store_batch.apply_async((ref,), ignore_result=True)


@app.task(name=STORE_TASK, throws=(StoreError,))
def store_batch(ref: Reference) -> Reference:
    """Stores what fetch has kept. Safe to run twice: the ledger's row decides, the second time is a no-op."""
    gate = connections.gate(ref["provider"])
    data = gate.batch(ref["request"])
    batch = batches.decode(data) if data is not None else _without_reply(ref)
    if batch is None:
        return ref
    try:
        (new,) = connections.store().store([batch])
    except StoreError as error:
        gate.postpone(ref["request"], delay_ms=_OFFERED_AGAIN_MS)
        trouble.report("database", f"{error} The batch is kept and offered again every {_OFFERED_AGAIN_MS // 1000} s.")
        log.error(
            "database did not store",
            symbol=ref["symbol"],
            request=ref["request"],
            error=str(error),
            next_step=f"offered again in {_OFFERED_AGAIN_MS // 1000} s",
        )
        raise Ignore from None
    gate.settle(ref["request"])
    row = batch.ledger
    log.info(
        "stored" if new else "was stored before",
        provider=row.provider,
        symbol=row.symbol,
        page=row.page,
        outcome=row.outcome,
        rows=row.rows,
        rejects=row.rejects,
    )
    return reference(row.provider, row.symbol, row.request_id, outcome=row.outcome, rows=row.rows, rejects=row.rejects)


def _without_reply(ref: Reference) -> Batch | None:
    """A held request without a batch has killed its workers: it ends as failed. None: it is over already."""
    gate = connections.gate(ref["provider"])
    turn = gate.start(ref["request"], fence=-1)
    if turn.verdict != "held":
        return None
    try:
        request = Request(provider=ref["provider"], **json.loads(gate.arguments(ref["request"]) or "{}"))
        identity = (request.id, request.root, request.page)
    except (ValidationError, ValueError):
        identity = (ref["request"], ref["request"], 0)
    return Batch(
        ledger=LedgerRow(
            request_id=identity[0],
            root=identity[1],
            page=identity[2],
            provider=ref["provider"],
            symbol=ref["symbol"],
            outcome="failed",
            reason=f"{ref['symbol']}: {turn.reason or 'its reply was lost'}. Look at the worker's log around its last call.",
            key_label=turn.key_label,
            calls=turn.calls,
        )
    )
