"""Storing: writes validated batches as rows and ledger rows; then the gate settles their requests.

A child that has fetched for a job stores the batch itself, if it has the turn to store: it has the batch in memory, and no
message is sent. While it stores, its siblings fetch on and keep their batches in the gate; the holder of the turn stores those
in one transaction, until none is left. So the batches of a busy pool are stored in waves, by one process at a time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from celery import Task
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.jobs import batches
from marketfetch.jobs.recorded_outcomes import outcome_json
from marketfetch.ops import alerts, counters, traces
from marketfetch.ops.alerts import Alert, Outage
from marketfetch.quotas import Gate
from marketfetch.quotas.values import StoreTurn
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.settings import get_settings
from marketfetch.storage.store import StoreError, StoreMismatch, StoreUnavailable
from marketfetch.vendors.wire import steady_s

from . import announcing
from .reference import Reference, reference, symbol_in
from .sending.parking import GRANT_HEADER

log = structlog.get_logger("marketfetch.store")

#: The queue of the store task; a worker that does not consume it leaves storing to those that do.
STORE_QUEUE: Final = "store"
#: The delay before a batch is redelivered while the database is unavailable: doubled each time, up to the second value.
_REDELIVERED_AFTER_MS: Final = 2_000
_REDELIVERED_AT_MOST_MS: Final = 15_000
#: A child holds the turn no longer: its worker may be stopping, and its next call waits.
_LONGEST_TURN_S: Final = 2.0
#: The turn of a process that has died is free again after so long, or after `timings.held_again` where that is shorter.
_TURN_LASTS_MS: Final = 2_000
_MOST_OF_A_WAVE: Final = 50
#: As they are kept in Redis.
_BYTES_OF_A_WAVE: Final = 1 << 20
#: A batch of this size gains nothing from a shared transaction.
_LARGE: Final = 1 << 18

#: Logged once a minute and process: every waiting batch meets the same outage.
_outage: Final = Outage("store")
_unstorable: Final = Alert("unstorable")
redis_outage: Final = Outage("store")


@dataclass(slots=True)
class Stored:
    """The rows of the batches that were given, by request id: a batch without one could not be stored. `left`: the turn has
    ended, and the store task of this reference goes on.
    """

    rows: dict[str, LedgerRow] = field(default_factory=dict)
    left: Reference | None = None


def stores_itself(task: Task) -> bool:
    """True for a job's request, in a worker that also stores. A user's own task has a chain, or a store task beside it."""
    grant = task.request.get(GRANT_HEADER)
    return "user" not in grant and not task.request.chain and STORE_QUEUE in task.app.amqp.queues.consume_from


def turn_of(request_id: str, *, size: int = 0) -> StoreTurn:
    """The turn that the process with this request asks for. A batch of a large `size` (bytes) is stored without one, too."""
    busy_ms = busy_for_ms()
    lasts_ms = min(_TURN_LASTS_MS, busy_ms)
    return StoreTurn(request_id, lasts_ms, busy_ms, _MOST_OF_A_WAVE, _BYTES_OF_A_WAVE, own=size >= _LARGE)


def leave(gate: Gate, request_id: str) -> bool:
    """Leaves a batch that this process has not stored to its own store task. False where it is over. Raises RedisError."""
    again_ms = busy_for_ms()
    return gate.release_claims([request_id], again_ms=again_ms, turn=turn_of(request_id), counted=True) > 0


def busy_for_ms() -> int:
    """For how long a claim on a batch is exclusive: equal to the delay until the batch is redelivered."""
    return int(get_settings().timings.held_again * 1000)


def store(gate: Gate, waiting: Mapping[str, Batch], *, turn: StoreTurn | None) -> Stored:
    """Stores these claimed batches, by request id, then with the `turn` what others have kept.

    The database or Redis may be away: what was not stored, or not settled, is redelivered by the gate.
    """
    found = Stored()
    try:
        _store(gate, waiting, turn, found)
    except RedisError as error:
        # A gate that has not settled a request redelivers its batch: a no-op where the rows are stored.
        redis_outage.goes_on("Redis", error)
    return found


def _store(gate: Gate, waiting: Mapping[str, Batch], turn: StoreTurn | None, found: Stored) -> None:
    ends_s = steady_s() + _LONGEST_TURN_S
    while True:
        began_ns = time.time_ns()
        try:
            rows = written(waiting) if waiting else {}
        except (StoreUnavailable, StoreMismatch) as error:
            _database_away(gate, list(waiting), turn, error)
            return
        found.rows = found.rows or {one: row for one, (row, _) in rows.items()}
        _count(gate, rows, began_ns)
        if rows and _outage.over():
            alerts.clear("database")
        if turn and steady_s() > ends_s:
            turn = replace(turn, most=0)
        following = gate.settle_together({one: outcome_json(row) for one, (row, _) in rows.items()}, turn=turn)
        redis_outage.over()
        _report(gate, rows)
        if not following:
            return
        if turn and not turn.most:
            (left,) = following
            found.left = reference(gate.pool, symbol_in(gate.arguments(left)) or left, left, outcome="held")
            return
        waiting = readable(following)


def written(waiting: Mapping[str, Batch]) -> dict[str, tuple[LedgerRow, bool]]:
    """Writes batches, by request id, in one transaction; returns the ledger row of each, and whether it is new.

    A batch that no database accepts is recorded as failed; one of which not even that can be stored is missing in what is
    returned. Raises StoreUnavailable, StoreMismatch.
    """
    if len(waiting) > 1:
        try:
            return dict(zip(waiting, _transaction(list(waiting.values())), strict=True))
        except (StoreUnavailable, StoreMismatch):
            raise
        except StoreError as error:
            log.info("batches were not stored together", error=str(error), next_step="each by itself")
    found = {}
    for request_id, batch in waiting.items():
        try:
            found[request_id] = _alone(batch)
        except (StoreUnavailable, StoreMismatch):
            raise
        except StoreError as error:
            # The fault is this request's, so other requests are fetched on.
            _unstorable.holds(f"Request {request_id} ({batch.ledger.symbol}) can't even be recorded as failed: {error}.")
    return found


def _alone(batch: Batch) -> tuple[LedgerRow, bool]:
    try:
        (found,) = _transaction([batch])
    except (StoreUnavailable, StoreMismatch):
        raise
    except StoreError as error:
        reason = f"{batch.ledger.symbol}: its rows can't be stored: {error}"
        failed = replace(batch.ledger, outcome="failed", reason=reason, rows=0, rejects=0, next_cursor=None)
        (found,) = _transaction([Batch(ledger=failed)])
    return found


def _transaction(some: list[Batch]) -> list[tuple[LedgerRow, bool]]:
    store = connections.store()
    try:
        new = store.store(some)
    except (StoreUnavailable, StoreMismatch):
        # A connection that SQLite has opened while the file was read-only stays read-only: the next attempt reconnects.
        store.close()
        raise
    return [(batch.ledger, is_new) for batch, is_new in zip(some, new, strict=True)]


def _database_away(gate: Gate, request_ids: list[str], turn: StoreTurn | None, error: StoreError) -> None:
    """Reports an outage to the gate, which stops admission, and returns the batches to it."""
    first, *others = request_ids
    gate.postpone(first, delay_ms=_REDELIVERED_AFTER_MS, most_ms=_REDELIVERED_AT_MOST_MS)
    gate.release_claims(others, again_ms=_REDELIVERED_AFTER_MS, turn=turn)
    alerts.report("database", f"{error}. What was fetched is kept, nothing more is fetched, and it goes on by itself.")
    _outage.goes_on("the database", error)


def _count(gate: Gate, rows: Mapping[str, tuple[LedgerRow, bool]], began_ns: int) -> None:
    """Adds what is new to the metrics and traces. Before the requests are settled: a trace has the name of their job."""
    for request_id, (row, new) in rows.items():
        if not new:
            continue
        counters.stored(row.provider, row.outcome, rows=row.rows, rejects=row.rejects)
        if traces.is_on():
            names = {"provider": row.provider, "request": row.request_id, "outcome": row.outcome}
            traces.ended("store", traces.subject_of(gate.pool, request_id), began_ns, {**names, "rows": row.rows})


def _report(gate: Gate, rows: Mapping[str, tuple[LedgerRow, bool]]) -> None:
    if not rows:
        return
    for row, new in rows.values():
        log.info(
            "stored" if new else "was stored before",
            provider=row.provider,
            symbol=row.symbol,
            page=row.page,
            outcome=row.outcome,
            rows=row.rows,
            rejects=row.rejects,
        )
    if len(rows) > 1:
        log.info("stored together", batches=len(rows), new=sum(new for _, new in rows.values()))
    announcing.after_storing(gate.pool, [row.root for row, _ in rows.values()])


def readable(kept: Mapping[str, bytes]) -> dict[str, Batch]:
    """The batches that this release can read. The claims on the others stay: their own store tasks report the reason."""
    found = {}
    for request_id, data in kept.items():
        try:
            found[request_id] = batches.decode(data)
        except (batches.UnreadableBatch, batches.NewerBatch, TypeError):
            log.info("batch is left to its own store task", request=request_id)
    return found
