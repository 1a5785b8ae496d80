"""store_batch: writes a validated batch as rows and a ledger row, in one transaction; then the gate settles the request."""

from __future__ import annotations

import json
from typing import Final

import structlog
from celery import Task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.jobs import batches
from marketfetch.ops.alerts import Alert
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.storage.store import StoreError

from . import storing
from .app import app
from .neighbours import NoPlace, a_place
from .outcomes import kept_reply
from .reference import Reference, reference

log = structlog.get_logger("marketfetch.store")

STORE_TASK: Final = "tasks.store.store_batch"
#: A batch that has crashed a worker this often fails. An unavailable database raises an error, and does not count.
_MOST_TRIES: Final = 5
#: A worker's main process stores no batch with more earlier crashes than this. A single crash may have another cause.
_SAFE_TRIES: Final = 1
#: Stored in one transaction, of what a full Redis holds.
_BACKLOG: Final = 20

_newer: Final = Alert("newer batches")


def hand_on(task: Task, ref: Reference) -> Reference:
    """Returns the reference for the chain; a task whose next link does not store gets its store task here.

    A user's own links between fetch and store may fail, or drop the chain: the batch is stored all the same.
    """
    chain = task.request.chain or []  # in reverse order: the last one runs next
    if not chain or chain[-1].get("task") != STORE_TASK:
        send_to_store(ref)
    return ref


def send_to_store(ref: Reference) -> None:
    """Sends the store task beside the chain. If this message is lost, the gate redelivers the batch.

    No child of the running task: a child without a result never ends for `AsyncResult.collect` and `children`.
    """
    store_batch.apply_async((ref,), ignore_result=True, add_to_parent=False)


# Not shared with the other apps of a process: their workers may have settings that name another database.
@app.task(name=STORE_TASK, throws=(StoreError,), shared=False)
def store_batch(ref: Reference) -> Reference:
    """Stores the batch of a fetch task. Idempotent: the ledger's row makes a second run a no-op, and so is the end of a job."""
    if "job" in ref:
        return ref  # of a task that stood for a job, whose requests are stored already
    try:
        with a_place(connections.gate(ref["provider"]), ref["request"]):
            return stored(ref)
    except NoPlace:
        raise Ignore from None  # the gate redelivers the batch
    except (RedisError, OperationalError) as error:
        # The batch has a deadline in Redis, so the gate redelivers it.
        storing.redis_outage.goes_on("Redis", error)
        raise Ignore from None


def stored(ref: Reference) -> Reference:
    """The steps of `store_batch`. Raises RedisError and kombu's OperationalError when Redis is away."""
    gate = connections.gate(ref["provider"])
    batch = _batch_of(ref)
    if batch is None:
        return ref
    found = storing.store(gate, {ref["request"]: batch}, turn=None if _is_awaited() else storing.turn_of(ref["request"]))
    if found.left:
        send_to_store(found.left)
    row = found.rows.get(ref["request"])
    if row is None:
        raise Ignore
    return reference(row.provider, row.symbol, row.request_id, outcome=row.outcome, rows=row.rows, rejects=row.rejects)


def _is_awaited() -> bool:
    """True in a user's chain or chord, whose next link waits for this task: it stores no batch but its own."""
    request = store_batch.request
    return bool(request.chain or request.callbacks or request.chord)


def store_held(provider: str) -> int:
    """Stores the batches that a vendor's gate holds, without messages; returns how many. Raises RedisError.

    A sweeper calls it when Redis is full. Several processes may: each stores the batches that it claims.
    """
    gate, stored = connections.gate(provider), 0
    ids = gate.held()
    for first in range(0, len(ids), _BACKLOG):
        some = ids[first : first + _BACKLOG]
        # Skip batches that crashed two children: this runs in the worker's main process.
        claims = zip(some, gate.claim(some, busy_ms=storing.busy_for_ms(), most_tried=_SAFE_TRIES), strict=True)
        waiting = storing.readable({one: claim.data for one, claim in claims if claim.data is not None})
        stored += len(storing.store(gate, waiting, turn=None).rows)
    return stored


def _batch_of(ref: Reference) -> Batch | None:
    """The batch that fetch has kept; a "failed" one where it can't be decoded; None when the request is over.

    Raises Ignore where another claim is in force, and for a batch of a newer release: it stays held, and is redelivered.
    """
    gate = connections.gate(ref["provider"])
    (claim,) = gate.claim([ref["request"]], busy_ms=storing.busy_for_ms())
    if claim.tries < 0:
        # If the other claim comes to no end, the gate redelivers the batch.
        raise Ignore
    if claim.data is None:
        return _failed(ref, "")
    if claim.tries > _MOST_TRIES:
        gate.keep_raw(ref["request"], claim.data)
        return _failed(ref, f"the worker that stored its batch crashed, {_MOST_TRIES} times")
    try:
        return batches.decode(claim.data)
    except batches.NewerBatch as error:
        _newer.holds(
            f"What a newer release of marketfetch has fetched is left to its workers, such as {ref['symbol']} of "
            f"{ref['provider']} ({error}). Upgrade the workers that are older."
        )
        gate.release_claims([ref["request"]], again_ms=storing.busy_for_ms())
        raise Ignore from None
    except batches.UnreadableBatch as error:
        return _failed(ref, str(error))
    except Exception as error:
        # The gate would redeliver it for ever, and it would fail in the same way each time.
        log.exception("batch can't be read", request=ref["request"], symbol=ref["symbol"], next_step="recorded as failed")
        return _failed(ref, f"batch can't be read: {type(error).__name__}: {error}")


def _failed(ref: Reference, why: str) -> Batch | None:
    """A "failed" batch for a held request without a readable one: its reply is lost, or it has crashed its workers."""
    gate = connections.gate(ref["provider"])
    turn = gate.start(ref["request"], fence=-1)
    if turn.verdict == "answered":
        # A task that waited for another task's call: its chain has come this far, so it has its outcome.
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
    if gate.raw(ref["request"]) is not None:
        kept = kept_reply(ref["provider"], ref["request"])
    else:
        kept = f"Look at the worker's log{' around its last call' if turn.calls else ''}."
    why = why.removeprefix(f"{ref['symbol']}: ")  # as not every reason has it
    return Batch(
        ledger=LedgerRow(
            request_id=request_id,
            root=root,
            page=page,
            provider=ref["provider"],
            symbol=ref["symbol"],
            outcome="failed",
            reason=f"{ref['symbol']}: {why}. {kept}",
            key_label=turn.key_label,
            calls=turn.calls,
        )
    )
