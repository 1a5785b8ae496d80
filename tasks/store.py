"""store_batch: a validated batch becomes rows and a ledger row, in one transaction; then the gate forgets the request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

import structlog
from celery import Task
from celery.exceptions import Ignore
from pydantic import ValidationError
from redis.exceptions import RedisError

from schemas.ledger import Batch, LedgerRow
from schemas.requests import Request
from storage.store import StoreError, StoreMismatch, StoreUnavailable
from tasks import batches, connections, trouble
from tasks.answers import answer
from tasks.app import app
from tasks.reference import Reference, reference

log = structlog.get_logger("marketfetch.store")

STORE_TASK: Final = "tasks.store.store_batch"
#: How long a batch waits before it is offered again while the database is away: doubled each time, up to the second.
_OFFERED_AGAIN_MS: Final = 2_000
_OFFERED_AT_LAST_MS: Final = 15_000


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
    try:
        return _stored(ref)
    except RedisError as error:
        # No failure of this task: the gate offers the batch again, and whoever waits is told then.
        log.warning(
            "Redis is away, batch not stored yet",
            symbol=ref["symbol"],
            request=ref["request"],
            error=str(error),
            next_step="offered again when Redis is back",
        )
        raise Ignore from None


def _stored(ref: Reference) -> Reference:
    gate = connections.gate(ref["provider"])
    batch = _batch_of(ref)
    if batch is None:
        return ref
    try:
        row, new = _written(batch)
    except StoreError as error:
        delay_ms = gate.postpone(ref["request"], delay_ms=_OFFERED_AGAIN_MS, most_ms=_OFFERED_AT_LAST_MS)
        trouble.report("database", f"{error} What was fetched is kept, nothing more is fetched, and it goes on by itself.")
        log.error(
            "database did not store",
            symbol=ref["symbol"],
            request=ref["request"],
            error=str(error),
            next_step=f"offered again in {delay_ms // 1000} s",
        )
        raise Ignore from None
    try:
        gate.settle(ref["request"], answer=answer(row))
    except RedisError as error:
        # It is stored, so that is what is answered. The gate, if it was not told, offers the batch again: a no-op.
        log.warning("Redis is away, settles later", symbol=row.symbol, request=ref["request"], error=str(error))
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


def _batch_of(ref: Reference) -> Batch | None:
    """The batch that fetch has kept; one that says "failed" where there is none to read; None when the request is over."""
    data = connections.gate(ref["provider"]).batch(ref["request"])
    if data is None:
        return _failed(ref, "")
    try:
        return batches.decode(data)
    except batches.UnreadableBatch as error:
        return _failed(ref, str(error))


def _written(batch: Batch) -> tuple[LedgerRow, bool]:
    """Stores it; answers with the ledger row and whether it is new. What no database takes is written off as failed."""
    store = connections.store()
    try:
        (new,) = store.store([batch])
    except (StoreUnavailable, StoreMismatch):
        raise
    except StoreError as error:
        reason = f"{batch.ledger.symbol}: its rows can't be stored: {error}"
        batch = Batch(ledger=replace(batch.ledger, outcome="failed", reason=reason, rows=0, rejects=0))
        (new,) = store.store([batch])
    return batch.ledger, new


def _failed(ref: Reference, why: str) -> Batch | None:
    """A held request without a readable batch ends as failed: its reply is lost, or it has killed its workers."""
    gate = connections.gate(ref["provider"])
    turn = gate.start(ref["request"], fence=-1)
    if turn.verdict == "answered":
        # A task that waited for somebody else's call: its chain has come this far, so it has been told.
        gate.settle(ref["request"])
    if turn.verdict != "held":
        return None
    try:
        arguments = json.loads(gate.arguments(ref["request"]) or "{}")
        request = Request.model_validate({"provider": ref["provider"], **arguments})
        request_id, root, page = request.id, request.root, request.page
    except (ValidationError, ValueError):
        request_id, root, page = ref["request"], ref["request"], 0
    why = why or turn.reason or "its reply was lost"
    return Batch(
        ledger=LedgerRow(
            request_id=request_id,
            root=root,
            page=page,
            provider=ref["provider"],
            symbol=ref["symbol"],
            outcome="failed",
            reason=f"{ref['symbol']}: {why}. Look at the worker's log around its last call.",
            key_label=turn.key_label,
            calls=turn.calls,
        )
    )
