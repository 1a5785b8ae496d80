"""How a delivery ends that brings no outcome: in a child, in the worker's main process, or before any child has it.

Whatever raises between a grant and its outcome is reported to the gate. The gate counts it, returns the grant, and fails the
request after the last one: so no slot and no quota stays held.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

import structlog
from celery import states
from celery.signals import task_postrun
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.quotas import Gate
from marketfetch.settings import get_settings
from marketfetch.vendors.harmless import harmless_text

from .reference import reference, symbol_in
from .sending.parking import FETCH_PREFIX, GRANT_HEADER
from .store import send_to_store

log = structlog.get_logger("marketfetch.fetch")

#: So many deliveries of a request may raise before its call is sent; then the request fails.
MOST_RAISED: Final = 5
#: In the running task's grant: our body has begun, and reports what raises in it.
BEGUN: Final = "begun"
#: Also there: our body has returned its reference.
RETURNED: Final = "returned"
_MOST_OF_A_SENTENCE: Final = 300


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of the request: the verdict of raised.lua, and how many of its deliveries have raised.

    `over`: no other delivery follows, and the store task records the request's outcome.
    """

    verdict: str
    times: int
    over: bool


def why(error: BaseException) -> str:
    """An exception in a reason: its class and its sentence, redacted and not too long."""
    return f"{type(error).__name__}: {harmless_text(str(error), get_settings().secrets(), _MOST_OF_A_SENTENCE)}"


def end(gate: Gate, record: str, *, fence: int, reason: str, most: int = MOST_RAISED) -> End:
    """Reports a delivery that has raised before its `start`. A request that is over goes to the store task.

    The request fails with its symbol and `reason`; a reply that is here already is stored all the same. Raises RedisError.
    """
    symbol = symbol_in(gate.arguments(record)) or record
    held_again_ms = int(get_settings().timings.held_again * 1000)
    sentence = f"{symbol}: {reason}"
    turn = gate.raised(record, fence=fence, reason=sentence, most=most, held_again_ms=held_again_ms, call="before")
    last = turn.times >= most or (turn.verdict == "held" and bool(turn.reason))
    over = turn.verdict == "failed" or (turn.verdict in ("held", "answered") and last)
    if over:
        send_to_store(reference(gate.pool, symbol, record, outcome="failed" if turn.reason else "held"))
    return End(turn.verdict, turn.times, over)


@task_postrun.connect
def _around_our_body(sender: Any = None, task_id: str = "", retval: Any = None, state: str | None = None, **_: Any) -> None:
    """Ends a delivery that our body has not ended: what runs around it has raised, or has never called it.

    Celery sends this signal at every end of a task, still inside the task.
    """
    name = getattr(sender, "name", "")
    grant = sender.request.get(GRANT_HEADER) if name.startswith(FETCH_PREFIX) else None
    if not isinstance(grant, dict) or "job" in grant or (BEGUN in grant and (RETURNED not in grant or state == states.SUCCESS)):
        return
    provider, record = name.removeprefix(FETCH_PREFIX), grant["id"]
    error = retval if isinstance(retval, BaseException) else sys.exc_info()[1]
    if isinstance(error, RedisError | OperationalError) or (error and not isinstance(error, Exception)):
        return  # the grant returns at its deadline: Redis is away, or this process ends, which its worker reports
    what = why(error) if error else "it ended without our call"
    log.error("fetch failed around its call", provider=provider, task_id=task_id, request=record, error=what)
    try:
        if RETURNED in grant:
            # Celery does not run the rest of the chain of a task that has failed.
            send_to_store(reference(provider, record, record, outcome="held"))
            return
        # Who waits for a failed task has its error, and a further delivery would call the errbacks again.
        most = 1 if state == states.FAILURE and "user" in grant else MOST_RAISED
        reason = f"what runs around its task raised an exception ({what}), see the worker's log"
        end(connections.gate(provider), record, fence=grant["fence"], reason=reason, most=most)
    except (RedisError, OperationalError) as away:
        log.warning("Redis is away", request=record, error=str(away), next_step="redelivered when its deadline has passed")
