"""One HTTP call = one permit. The fetch task of each vendor: may I, call, validate, keep, hand on to store.

start    is the grant still ours?                    quotas
send     the one call                                marketfetch/vendors/transport.py
read     reply -> Page, or an error of the tree      providers/<vendor>.py
finish   batch and next page kept in one step        quotas
return   a small reference; the chain stores it      tasks/store.py
"""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import uuid4

import structlog
from celery import Task, states
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.exceptions import MarketfetchError
from marketfetch.jobs import recorded_outcomes
from marketfetch.jobs.planning import single
from marketfetch.quotas import Start
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors.errors import BadRequest, Fatal, FetchError, SuspectEmpty, Unavailable
from marketfetch.vendors.wire import SendTooLate, steady_s

from .app import app
from .attempt import Run
from .reference import Reference, reference, reference_of
from .sending.parking import GRANT_HEADER
from .store import hand_on, send_to_store

log = structlog.get_logger("marketfetch.fetch")

_RETRIES = {
    "autoretry_for": (Unavailable, SuspectEmpty),
    "max_retries": get_settings().retries.most,
    "retry_backoff": get_settings().retries.backoff,
    "retry_backoff_max": get_settings().retries.backoff_max,
    # Ours, where the retry is parked: Celery's begins at no wait at all.
    "retry_jitter": False,
    # Told in our own log line; a traceback would say nothing more.
    "throws": (FetchError,),
}


@app.task(name="tasks.fetch.alpha_vantage", bind=True, **_RETRIES)
def alpha_vantage(self: Task, symbol: str, **query: Any) -> Reference:
    """One call to Alpha Vantage. `query`: start, end, and optionally timespan, dataset, adjustment, as in `submit`.

    Source: https://www.alphavantage.co/documentation/
    """
    return fetch(self, "alpha_vantage", symbol, query)


@app.task(name="tasks.fetch.polygon", bind=True, **_RETRIES)
def polygon(self: Task, symbol: str, **query: Any) -> Reference:
    """One call to Polygon (Massive). `query`: start, end, and optionally timespan, dataset, adjustment, as in `submit`.

    Source: https://massive.com/docs/rest
    """
    return fetch(self, "polygon", symbol, query)


@app.task(name="tasks.fetch.nasdaq", bind=True, **_RETRIES)
def nasdaq(self: Task, symbol: str, **query: Any) -> Reference:
    """One call to Nasdaq Data Link. `query`: start, end, and optionally timespan, dataset, adjustment, as in `submit`.

    Source: https://docs.data.nasdaq.com
    """
    return fetch(self, "nasdaq", symbol, query)


def fetch(task: Task, provider: str, symbol: str, query: dict[str, Any]) -> Reference:
    """The way of one request through a worker. Returns the reference that store_batch takes."""
    # What is no word is told as what it looks like, with everything that follows from it.
    symbol = symbol if isinstance(symbol, str) else repr(symbol)[:100]
    grant = task.request.get(GRANT_HEADER)
    if grant is None:
        park_again(task)
    try:
        return granted(task, provider, symbol, query, grant)
    except (RedisError, OperationalError) as error:
        # No failure of this request: the deadline that it has in Redis brings it back, so nobody is told that it failed.
        log.warning(
            "Redis is away, attempt dropped",
            provider=provider,
            symbol=symbol,
            request=grant["id"],
            error=str(error),
            next_step="goes on by itself when Redis is back and its deadline has passed",
        )
        raise Ignore from None


def granted(task: Task, provider: str, symbol: str, query: dict[str, Any], grant: dict[str, Any]) -> Reference:
    """The steps at the top of this page. Raises RedisError and kombu's OperationalError when Redis stays away."""
    gate, settings = connections.gate(provider), get_settings()
    before = ended_before(grant, provider, symbol, query)
    if before and before.outcome != "failed":
        # Its share of the limits goes back, nothing is called.
        known = recorded_outcomes.outcome_json(before)
        gate.settle(grant["id"], outcome=known)
        return hand_on(task, reference_of(provider, symbol, grant["id"], known))
    asked_at = steady_s()
    turn = gate.start(grant["id"], fence=grant["fence"], end_by_ms=int(settings.timings.end_by * 1000), child=uuid4().hex)
    if turn.verdict != "go":
        return not_ours_to_send(task, provider, symbol, grant["id"], turn)

    run = Run(task, gate, grant["id"], grant["fence"], turn, asked_at=asked_at)
    try:
        request = run.request = asked_for(grant, provider, symbol, query)
        if before:
            recorded_outcomes.forget_failure(request)
        page = run.call(request)
    except SendTooLate:
        run.requeue(unsent=True)
        raise Ignore from None
    except MarketfetchError as error:
        return run.failed(BadRequest(str(error)), provider, symbol)
    except FetchError as error:
        return run.handle_error(error, provider, symbol)
    except Exception as error:
        # Our own mistake: asking again would make it again, so the request ends here, with a trace in the log.
        log.exception("fetch failed on a bug", provider=provider, symbol=symbol, request=run.id)
        return run.failed(Fatal(f"marketfetch made a mistake ({type(error).__name__}), see the worker's log"), provider, symbol)
    return run.finished(request, page)


def asked_for(grant: dict[str, Any], provider: str, symbol: str, query: dict[str, Any]) -> Request:
    """A job's message holds the request; a user's holds a wish, planned when it was sent or here. Raises BadRequestError."""
    if "user" not in grant:
        return Request.model_validate({"provider": provider, "symbol": symbol, **query})
    if grant["user"]:
        return Request.model_validate({"provider": provider, **grant["user"]})
    return single(provider, symbol, **query)


def ended_before(grant: dict[str, Any], provider: str, symbol: str, query: dict[str, Any]) -> LedgerRow | None:
    """What the ledger knows already of what a user's task asks for; a job asks the ledger before it parks."""
    if "user" not in grant:
        return None
    try:
        return recorded_outcomes.from_ledger(asked_for(grant, provider, symbol, query))
    except MarketfetchError:
        return None  # said where the request would be made


def park_again(task: Task) -> NoReturn:
    """A stray: it came to the queue without a grant. It gets its place in the lane, with the same task id."""
    task.signature_from_request(task.request, countdown=0, retries=task.request.retries).apply_async()
    log.info("stray task parked", task=task.name, task_id=task.request.id)
    raise Ignore


def not_ours_to_send(task: Task, provider: str, symbol: str, record: str, turn: Start) -> Reference:
    """The reply is here, or another's call brought it, or the request is over: the chain goes on. Lost: nobody's message."""
    if turn.verdict == "answered":
        try:
            answer = reference_of(provider, symbol, record, turn.reason)
        except FetchError:
            send_to_store(reference(provider, symbol, record, outcome="failed"))
            raise
        # It names the request from here on, so its own record has done what it was for.
        connections.gate(provider).settle(record)
        return hand_on(task, answer)
    if turn.verdict == "held" and turn.reason:
        # It has failed, and its row is not in the ledger yet: whoever waits for the task is told the same again.
        send_to_store(reference(provider, symbol, record, outcome="failed"))
        raise Fatal(turn.reason if turn.reason.startswith(symbol) else f"{symbol}: {turn.reason}")
    if turn.verdict == "lost":
        log.info("grant was lost, nothing sent", provider=provider, symbol=symbol, request=record)
        raise Ignore
    if turn.verdict == "over" and task.AsyncResult(task.request.id).state == states.REVOKED:
        raise Ignore  # revoked while its message was on the way: REVOKED stands
    return hand_on(task, reference(provider, symbol, record, outcome=turn.verdict))
