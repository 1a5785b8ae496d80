"""store_batch: a validated batch becomes rows and a ledger row, in one transaction; then the gate forgets the request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

import structlog
from celery import Task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from pydantic import ValidationError
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.jobs import batches
from marketfetch.jobs.recorded_outcomes import answer
from marketfetch.ops import alerts
from marketfetch.ops.alerts import Alert, Outage
from marketfetch.quotas import Gate
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage.store import StoreError, StoreMismatch, StoreUnavailable

from .app import app
from .reference import Reference, reference

log = structlog.get_logger("marketfetch.store")

STORE_TASK: Final = "tasks.store.store_batch"
#: How long a batch waits before it is offered again while the database is away: doubled each time, up to the second.
_OFFERED_AGAIN_MS: Final = 2_000
_OFFERED_AT_LAST_MS: Final = 15_000
#: A batch whose every try was never heard of again is what kills them: a database that is away says so, and does not count.
_MOST_TRIES: Final = 5
#: One child may have been killed for another reason.
_SAFE_TRIES: Final = 1
#: More batches than this wait only after an outage, or beside a slow database.
_CROWD: Final = 20

#: Told once a minute and process: every batch that waits meets the same outage.
_outage: Final = Outage("store")
_unstorable: Final = Alert("unstorable")
_redis_outage: Final = Outage("store")
_newer: Final = Alert("newer batches")


def hand_on(task: Task, ref: Reference) -> Reference:
    """Returns the reference for the chain; a task whose next link does not store gets its store task here.

    Links of a user's own that stand between may fail, or drop the chain: what was fetched is stored all the same.
    """
    chain = task.request.chain or []  # the last one is next
    if not chain or chain[-1].get("task") != STORE_TASK:
        send_to_store(ref)
    return ref


def send_to_store(ref: Reference) -> None:
    """Sends the store task beside the chain. Should this message be lost, the gate offers the batch again."""
    store_batch.apply_async((ref,), ignore_result=True)


@app.task(name=STORE_TASK, throws=(StoreError,))
def store_batch(ref: Reference) -> Reference:
    """Stores what fetch has kept. Safe to run twice: the ledger's row decides, the second time is a no-op."""
    try:
        return stored(ref)
    except (RedisError, OperationalError) as error:
        # The batch has a deadline in Redis like everything else, so it is offered again.
        _redis_outage.goes_on("Redis", error)
        raise Ignore from None


def stored(ref: Reference) -> Reference:
    """The steps of `store_batch`. Raises RedisError and kombu's OperationalError when Redis is away."""
    gate = connections.gate(ref["provider"])
    batch = _batch_of(ref)
    if batch is None:
        return ref
    try:
        row, new = _written(batch)
    except (StoreUnavailable, StoreMismatch) as error:
        gate.postpone(ref["request"], delay_ms=_OFFERED_AGAIN_MS, most_ms=_OFFERED_AT_LAST_MS)
        alerts.report("database", f"{error}. What was fetched is kept, nothing more is fetched, and it goes on by itself.")
        _outage.goes_on("the database", error)
        raise Ignore from None
    except StoreError as error:
        # Not even its failure: that is this request's trouble, and no reason to fetch nothing more.
        _unstorable.holds(f"Request {ref['request']} ({ref['symbol']}) can't even be recorded as failed: {error}.")
        raise Ignore from None
    is_back = _outage.over()
    try:
        if is_back:
            alerts.clear("database")
        gate.settle(ref["request"], answer=answer(row))
        _redis_outage.over()
        _store_the_crowd(gate, ref["request"])
    except RedisError as error:
        # It is stored, so that is what is answered. The gate, if it was not told, offers the batch again: a no-op.
        _redis_outage.goes_on("Redis", error)
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


def _busy_ms() -> int:
    """For how long nobody else begins with a batch that somebody has begun to store: as long as until it is offered again."""
    return int(get_settings().timings.held_again * 1000)


def _store_the_crowd(gate: Gate, request_id: str) -> None:
    """After an outage many batches wait: each further task takes some of them along, in one transaction."""
    try:
        _store_together(gate, gate.crowd(request_id, above=_CROWD, most=_CROWD, busy_ms=_busy_ms()))
    except StoreError as error:
        log.info("batches were not stored together", error=str(error), next_step="each by its own task")


def store_what_is_held(provider: str) -> int:
    """Stores what a vendor's gate holds, without a message for each; how many. Raises StoreError, RedisError.

    For a Redis that is full. Of several processes that do so each takes what the others have not.
    """
    gate, stored = connections.gate(provider), 0
    ids = gate.held()
    for first in range(0, len(ids), _CROWD):
        some = ids[first : first + _CROWD]
        # Not what has killed more than a child: here it would be the worker itself.
        taken = zip(some, gate.take(some, busy_ms=_busy_ms(), most_tried=_SAFE_TRIES), strict=True)
        stored += _store_together(gate, {one: found.data for one, found in taken if found.data is not None})
    return stored


def _store_together(gate: Gate, waiting: dict[str, bytes]) -> int:
    """These batches, in one transaction; how many could be read. Raises StoreError, and then none is stored."""
    readable, unread = {}, []
    for one, data in waiting.items():
        try:
            readable[one] = batches.decode(data)
        except (batches.UnreadableBatch, batches.NewerBatch, TypeError):
            unread.append(one)  # its own task says so
    gate.put_back(unread, again_ms=_busy_ms())
    if not readable:
        return 0
    try:
        new = connections.store().store(list(readable.values()))
    except StoreError:
        gate.put_back(list(readable))
        raise
    for one, batch in readable.items():
        gate.settle(one, answer=answer(batch.ledger))
    log.info("stored together", batches=len(readable), new=sum(new))
    return len(readable)


def _batch_of(ref: Reference) -> Batch | None:
    """The batch that fetch has kept; one that says "failed" where there is none to read; None when the request is over.

    Raises Ignore where another try is under way, and where a newer release has made it: it stays held, and is offered again.
    """
    gate = connections.gate(ref["provider"])
    (taken,) = gate.take([ref["request"]], busy_ms=_busy_ms())
    if taken.tries < 0:
        # Should that one never come to its end, the gate offers the batch again.
        raise Ignore
    if taken.data is None:
        return _failed(ref, "")
    if taken.tries > _MOST_TRIES:
        gate.keep_raw(ref["request"], taken.data)
        return _failed(ref, f"whoever stored its batch died, {_MOST_TRIES} times")
    try:
        return batches.decode(taken.data)
    except batches.NewerBatch as error:
        _newer.holds(
            f"What a newer release of marketfetch has fetched is left to its workers, such as {ref['symbol']} of "
            f"{ref['provider']} ({error}). Upgrade the workers that are older."
        )
        gate.put_back([ref["request"]], again_ms=_busy_ms())
        raise Ignore from None
    except batches.UnreadableBatch as error:
        return _failed(ref, str(error))
    except Exception as error:
        # As above: it would be offered for ever, and be as unreadable each time.
        log.exception("batch can't be read", request=ref["request"], symbol=ref["symbol"], next_step="recorded as failed")
        return _failed(ref, f"batch can't be read: {type(error).__name__}: {error}")


def _written(batch: Batch) -> tuple[LedgerRow, bool]:
    """Stores it; answers with the ledger row and whether it is new. What no database takes is written off as failed."""
    store = connections.store()
    try:
        (new,) = store.store([batch])
    except (StoreUnavailable, StoreMismatch):
        # What SQLite has opened while it was read-only stays read-only for that connection: the next try opens it anew.
        store.close()
        raise
    except StoreError as error:
        reason = f"{batch.ledger.symbol}: its rows can't be stored: {error}"
        batch = Batch(ledger=replace(batch.ledger, outcome="failed", reason=reason, rows=0, rejects=0, next_cursor=None))
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
    if gate.raw(ref["request"]) is not None:
        kept = f"What came is kept for a week: marketfetch dead reply {ref['provider']} {ref['request']}"
    else:
        kept = "Look at the worker's log around its last call."
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
