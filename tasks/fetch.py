"""One HTTP call = one permit. The fetch task of each vendor: may I, call, validate, keep, hand on to store.

start    is the grant still ours?                    quotas
send     the one call                                providers/transport.py
read     reply -> Page, or an error of the tree      providers/<vendor>.py
finish   batch and next page kept in one step        quotas
return   a small reference; the chain stores it      tasks/store.py
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NoReturn, TypeVar

import structlog
from celery import Task
from celery.exceptions import Ignore
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

import providers
from providers import transport
from providers.errors import BadCredentials, BadRequest, Fatal, FetchError, RateLimited, SuspectEmpty, Transient, Unavailable
from providers.transport import SendTooLate
from quotas import Gate, Parking, Start
from quotas.reporting import report
from schemas.ledger import Batch, LedgerRow
from schemas.page import Page
from schemas.requests import Request
from schemas.timespans import LONGEST_MS
from settings import get_settings
from tasks import batches, connections, outcomes
from tasks.app import app
from tasks.errors import UserError
from tasks.jobs import single
from tasks.messages import arguments_of
from tasks.outcomes import Step
from tasks.sending import GRANT_HEADER, USER_TASK
from tasks.store import Reference, hand_on, reference, send_to_store
from tasks.vendors import keys, options

log = structlog.get_logger("marketfetch.fetch")
Told = TypeVar("Told")

#: Never set: waiting for it is waiting for the time to pass.
_SLOT = threading.Event()
#: Between two tries to tell a Redis that is away how a call ended.
_TELL_AGAIN_S = 0.5

_RETRIES = {
    "autoretry_for": (Unavailable, SuspectEmpty),
    "max_retries": get_settings().retries.most,
    "retry_backoff": get_settings().retries.backoff,
    "retry_backoff_max": get_settings().retries.backoff_max,
    "retry_jitter": True,
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
    sent_before = time.monotonic()
    turn = gate.start(grant["id"], fence=grant["fence"], end_by_ms=int(settings.timings.end_by * 1000))
    if turn.verdict != "go":
        return not_ours_to_send(task, provider, symbol, grant["id"], turn)

    run = Run(task, gate, grant["id"], grant["fence"], turn, lease_ends=sent_before + settings.timings.end_by)
    if turn.wait_us:
        # The slot opens in some milliseconds: the only wait in a worker, bounded by what a grant may be ahead.
        _SLOT.wait(turn.wait_us / 1e6)
    try:
        request = run.request = asked_for(grant["id"], provider, symbol, query)
        page = run.call(request)
    except SendTooLate:
        run.tell(lambda: gate.give_back(run.id, fence=run.fence, unsent=True))
        raise Ignore from None
    except UserError as error:
        return run.failed(BadRequest(str(error)), provider, symbol)
    except FetchError as error:
        return run.troubled(error, provider, symbol)
    except Exception as error:
        # Our own mistake: asking again would make it again, so the request ends here, with a trace in the log.
        log.exception("fetch stumbled", provider=provider, symbol=symbol, request=run.id)
        return run.failed(Fatal(f"marketfetch made a mistake ({type(error).__name__}), see the worker's log"), provider, symbol)
    return run.finished(request, page)


def asked_for(record: str, provider: str, symbol: str, query: dict[str, Any]) -> Request:
    """A job's message holds the request itself; a user's holds a wish, planned here. Raises UserError."""
    if record.startswith(USER_TASK):
        return single(provider, symbol, **query)
    return Request.model_validate({"provider": provider, "symbol": symbol, **query})


def park_again(task: Task) -> NoReturn:
    """A stray: it came to the queue without a grant. It gets its place in the lane, with the same task id."""
    task.signature_from_request(task.request, countdown=0, retries=task.request.retries).apply_async()
    log.info("stray task parked", task=task.name, task_id=task.request.id)
    raise Ignore


def not_ours_to_send(task: Task, provider: str, symbol: str, record: str, turn: Start) -> Reference:
    """The reply is here already or the request is over: the chain goes on. Lost: this message is nobody's."""
    if turn.verdict == "lost":
        log.info("grant was lost, nothing sent", provider=provider, symbol=symbol, request=record)
        raise Ignore
    return hand_on(task, reference(provider, symbol, record, outcome=turn.verdict))


def others_can_serve(gate: Gate, provider: str, label: str) -> bool:
    """True if another key of the pool has not been set aside: then a refused key's request goes on with it."""
    return any(not one.aside_why for one in report(gate, keys(provider)) if one.label != label)


class Run:
    """One attempt: what it needs from start to finish, and the ways in which it ends."""

    def __init__(self, task: Task, gate: Gate, record: str, fence: int, turn: Start, *, lease_ends: float) -> None:
        """`lease_ends`: on the monotonic clock; somebody else may have the request after it."""
        self.lease_ends = lease_ends
        self.task = task
        self.gate = gate
        self.id = record
        self.fence = fence
        self.turn = turn
        self.request: Request | None = None
        self.called_at_ms = 0
        self.replied_at_ns = 0
        self.status: int | None = None
        self.url = ""

    def call(self, request: Request) -> Page:
        """The one HTTP call, and its reply read. Raises FetchError, SendTooLate."""
        settings, vendor = get_settings(), providers.vendor(request.provider)
        section, ours = settings.provider(request.provider), options(request.provider)
        key = next((key for key in section.keys if key.label == self.turn.key_label), None)
        if key is None:
            raise BadCredentials(f"no key labelled {self.turn.key_label!r} is configured for {request.provider} in this worker")
        call = vendor.build_request(request, ours)
        self.url = transport.redacted_url(call, section.base_url)
        self.called_at_ms = time.time_ns() // 1_000_000
        reply = transport.send(
            call,
            base_url=section.base_url,
            provider=request.provider,
            key_label=key.label,
            key=key.secret,
            timeouts=transport.Timeouts(connect_s=settings.timings.connect, total_s=settings.timings.call),
            send_by=time.monotonic() + settings.timings.end_by - settings.timings.call,
        )
        self.replied_at_ns = time.monotonic_ns()
        self.status = reply.status
        return providers.read(request, reply, ours, max_reject_share=settings.max_reject_share)

    def finished(self, request: Request, page: Page, *, reason: str = "") -> Reference:
        """Rows are here: batch kept, next page parked, slot freed, in one step."""
        series = tuple(
            replace(one, bars=one.bars.marked_partial(LONGEST_MS[one.timespan], called_at_ms=self.called_at_ms))
            for one in page.series
        )
        outcome = "stored" if page.rows else "empty"
        batch = Batch(
            ledger=self.ledger_row(
                request.provider,
                request.symbol,
                outcome,
                reason=reason,
                rows=page.rows,
                rejects=len(page.rejects),
                next_cursor=page.next,
            ),
            series=series,
            rejects=page.rejects,
        )
        self.keep(batch, next_page=request.next_page(page.next) if page.next else None)
        log.info(
            "fetched",
            provider=request.provider,
            symbol=request.symbol,
            page=request.page,
            rows=page.rows,
            rejects=len(page.rejects),
            quirks={one.name: one.rows for one in page.quirks} or None,
            status=self.status,
            url=self.url,
        )
        return hand_on(
            self.task,
            reference(request.provider, request.symbol, self.id, outcome=outcome, rows=page.rows, rejects=len(page.rejects)),
        )

    def troubled(self, error: FetchError, provider: str, symbol: str) -> Reference:
        """An error of the tree: logged with its next step, then exactly that step."""
        step = outcomes.next_step(error, attempts=self.turn.attempts, most=self.task.max_retries)
        log.warning(
            "fetch failed",
            provider=provider,
            symbol=symbol,
            key=self.turn.key_label,
            url=self.url,
            status=self.status if error.status is None else error.status,
            attempt=self.turn.attempts + 1,
            outcome=type(error).__name__,
            error=error.message,
            next_step=str(step),
        )
        if isinstance(error, RateLimited):
            why = f"{provider} refused key {self.turn.key_label!r}: {error.message}"
            then: Literal["grow", ""] = "grow" if error.retry_after_ms is None else ""
            pause_ms = outcomes.pause_ms(error)
            self.tell(lambda: self.gate.give_back(self.id, fence=self.fence, pause_ms=pause_ms, why=why, then=then))
            raise Ignore
        if isinstance(error, BadCredentials) and others_can_serve(self.gate, provider, self.turn.key_label):
            self.tell(lambda: self.gate.give_back(self.id, fence=self.fence, why=error.message, then="aside"))
            raise Ignore
        if step is Step.FAIL:
            return self.failed(error, provider, symbol)
        if step is Step.RECORD_EMPTY and self.request is not None:
            return self.finished(self.request, Page(), reason=error.message)
        if isinstance(error, Transient) and error.retry_after_ms is not None:
            raise self.task.retry(exc=error, countdown=error.retry_after_ms / 1000)
        raise error  # autoretry turns it into a publish, and our publish into a not-before

    def failed(self, error: FetchError, provider: str, symbol: str) -> NoReturn:
        """The request is over: the reason goes to the ledger by the store task, the error to whoever asked for the task."""
        reason = outcomes.sentence(error, provider=provider, symbol=symbol, key_label=self.turn.key_label)
        rejects = getattr(getattr(error, "page", None), "rejects", ())
        ledger = self.ledger_row(provider, symbol, "failed", reason=reason, rejects=len(rejects))
        self.keep(Batch(ledger=ledger, rejects=tuple(rejects)))
        send_to_store(reference(provider, symbol, self.id, outcome="failed"))
        raise error

    def keep(self, batch: Batch, *, next_page: Request | None = None) -> None:
        """The batch is written: from here on the reply is never fetched again. Lost lease: nothing is written."""
        page = Parking(id=next_page.id, arguments=arguments_of(next_page)) if next_page else None
        data = batches.encode(batch)

        def finish() -> bool:
            ago_us = (time.monotonic_ns() - self.replied_at_ns) // 1000 if self.replied_at_ns else 0
            return self.gate.finish(self.id, fence=self.fence, batch=data, next_page=page, replied_ago_us=ago_us)

        # An answer that was lost on its way makes the second try say no; then the batch that is there is this very one.
        if not self.tell(finish) and self.tell(lambda: self.gate.batch(self.id)) != data:
            log.warning("lease lost during the call, reply dropped", request=self.id, symbol=batch.ledger.symbol)
            raise Ignore

    def tell(self, step: Callable[[], Told]) -> Told:
        """Tells the gate how the call ended, again and again while Redis is away: the call is paid for.

        Raises RedisError once the lease has ended, since the request is somebody else's then.
        """
        while True:
            try:
                return step()
            except RedisError:
                if time.monotonic() + _TELL_AGAIN_S > self.lease_ends:
                    raise
            _SLOT.wait(_TELL_AGAIN_S)

    def ledger_row(self, provider: str, symbol: str, outcome: Any, **more: Any) -> LedgerRow:
        """The ledger row of this attempt's end."""
        request = self.request
        return LedgerRow(
            request_id=request.id if request else self.id,
            root=request.root if request else self.id,
            page=request.page if request else 0,
            provider=provider,
            symbol=symbol,
            outcome=outcome,
            key_label=self.turn.key_label,
            calls=self.turn.calls,
            called_at_ms=self.called_at_ms,
            **more,
        )
