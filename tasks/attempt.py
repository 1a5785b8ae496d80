"""One attempt of a request, from its start to its outcome; each outcome is one atomic step of the gate."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NoReturn, TypeVar

import structlog
from celery import Task
from celery.exceptions import Ignore
from redis.exceptions import RedisError

from marketfetch import vendors
from marketfetch.configured import keys, options
from marketfetch.jobs import batches
from marketfetch.quotas import Gate, Parking, Start
from marketfetch.quotas.lanes import lane_of_id, serving
from marketfetch.quotas.values import Kept, KeyVerdict, StoreTurn
from marketfetch.redaction import redact_bytes
from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors import page_chain, transport
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.dataset_names import records_of
from marketfetch.vendors.errors import (
    BadCredentials,
    EndlessPages,
    Fatal,
    FetchError,
    RateLimited,
    TooManyRejects,
    Transient,
    Unavailable,
)
from marketfetch.vendors.partial_bars import marked
from marketfetch.vendors.wire import ago_us, steady_s

from . import kept_files, outcomes, storing
from .archiving import archive
from .batch_level import batch_level
from .calling import NOTHING, Calling, read
from .endpoints import check_owner, endpoint_of, key_of
from .outcomes import Step
from .reference import Reference, reference
from .sending.parking import GRANT_HEADER, NAMED, UNSENT
from .store import hand_on, send_to_store

log = structlog.get_logger("marketfetch.fetch")
T = TypeVar("T")

#: The pause between two attempts to report to a Redis that is away.
_REPORT_AGAIN_S: Final = 0.5


class Run(Calling):
    """One attempt: its state from start to finish, and the ways to end it."""

    def __init__(self, task: Task, gate: Gate, record: str, fence: int, turn: Start, *, lease_ends: float) -> None:
        """`lease_ends`: on the steady clock, counted from before `start` was called."""
        super().__init__(task, lease_ends=lease_ends, opens_at=steady_s() + turn.wait_us / 1e6)
        self.gate = gate
        self.id = record
        self.fence = fence
        self.turn = turn
        self.request: Request | None = None
        self.chain = b""
        #: The turn that `keep` asks for; None where a store task stores the batch.
        self.turn_to_store: StoreTurn | None = None

    def call(self, request: Request) -> Page:
        """Makes the one HTTP call and reads its reply. Raises FetchError, SendTooLate."""
        vendor, ours = vendors.vendor(request.provider), options(request.provider)
        key = key_of(request.provider, self.turn.key_label)
        check_owner(request, key)
        call = vendor.build_request(request, ours)
        endpoint = endpoint_of(request.provider, call, key)
        self.url = transport.redacted_url(call, endpoint.base_url)
        if call.is_file:
            page = self.part(request, call, endpoint)
            if page.next is not None:
                self._extend_chain(request, page)
            return page
        reply = self.sent(request, call, endpoint)
        left_s = self.lease_ends - steady_s()
        archive(request, reply, fetched_ms=self.called_at_ms, secret=key.secret.get_secret_value(), left_s=left_s)
        if self.turn.kills:
            self._keep_raw(redact_bytes(reply.body, (key.secret.get_secret_value(),)))
        try:
            page = read(request, reply, key.secret)
        except Unavailable as error:
            if error.unread:
                self._keep_raw(redact_bytes(reply.body, (key.secret.get_secret_value(),)))
            raise
        if page.next is not None:
            self._extend_chain(request, page)
        return page

    def _extend_chain(self, request: Request, page: Page) -> None:
        """Checks that the pages lead to an end, and keeps what they have brought. Raises EndlessPages, RedisError."""
        vendor = vendors.vendor(request.provider)
        kept = self.report(lambda: self.gate.chain(request.root)) if request.page else None
        chain = page_chain.extended(
            page_chain.decode(kept, before=request.page),
            request,
            page,
            in_order=vendor.pages_in_order,
            most_idle=get_settings().most_idle_pages,
            rows_per_page=min(options(request.provider).page_limit or vendor.most_rows, vendor.most_rows),
        )
        self.chain = chain.encode()

    def _keep_raw(self, body: bytes) -> None:
        """Keeps a raw reply that may have crashed a worker, or that could not be read. An error here fails no call."""
        try:
            self.gate.keep_raw(self.id, zlib.compress(body, level=1), fence=self.fence)
        except RedisError as error:
            log.warning("reply not kept", request=self.id, error=str(error), next_step="the reply is read all the same")

    def finished(self, request: Request, page: Page, *, reason: str = "") -> Reference:
        """Ends with rows: the gate keeps the batch, parks the next page and frees the slot in one step.

        A page without rows that names a check ends nothing yet: Ignore is raised, and the request makes that call.
        """
        checked = request.check(page.check) if page.check and not page.rows and not page.next else None
        # Equal arguments: a releaser of release 0.1 has granted the check of a task without it, so that the page stays empty.
        if checked is not None and self.report(lambda: self.gate.arguments(self.id)) != checked.arguments:
            self.keep(b"", symbol=request.symbol, then=checked.arguments)
            log.info("empty reply, checked before it counts", provider=request.provider, symbol=request.symbol, url=self.url)
            raise Ignore
        try:
            batch, data, next_page = self._kept(request, page, reason=reason)
        except Exception as error:
            # A bug of ours, as in fetch.granted: a retry would repeat it three times, and then blame the worker.
            log.exception("fetch failed on a bug", provider=request.provider, symbol=request.symbol, request=self.id)
            mistake = Fatal(f"marketfetch made a mistake ({type(error).__name__}), see the worker's log")
            self.failed(mistake, request.provider, request.symbol)
        kept = self.keep(data, symbol=request.symbol, next_page=next_page)
        log.info(
            "fetched",
            provider=request.provider,
            symbol=request.symbol,
            page=request.page,
            rows=page.rows,
            rejects=page.rejected,
            quirks={one.name: one.rows for one in page.quirks} or None,
            status=self.status,
            url=self.url,
        )
        outcome = batch.ledger.outcome
        ref = reference(request.provider, request.symbol, self.id, outcome=outcome, rows=page.rows, rejects=page.rejected)
        return ref if self._stored(kept, batch) else hand_on(self.task, ref)

    def _stored(self, kept: Kept, batch: Batch) -> bool:
        """Stores the batch of a job's request if that is this child's turn. False where a store task has to do it."""
        if self.turn_to_store is None:
            return False
        if kept is not Kept.CLAIMED:
            return True  # by the process that has the turn
        try:
            found = storing.store(self.gate, {self.id: batch}, turn=self.turn_to_store)
            if found.left:
                send_to_store(found.left)
        except Exception:
            # The fetch has succeeded. The claims on batches of others stay, so that no other wave meets them.
            log.exception("batches were not stored", request=self.id, next_step="each by its own store task, which reports why")
            return not storing.leave(self.gate, self.id)
        return True

    def _kept(self, request: Request, page: Page, *, reason: str) -> tuple[Batch, bytes, Parking | None]:
        """The batch of a page, the same as bytes, and its next page."""
        outcome = "stored" if page.rows else "empty"
        vendor, ours = vendors.vendor(request.provider), options(request.provider)
        batch = Batch(
            ledger=self.ledger_row(
                request.provider,
                request.symbol,
                outcome,
                reason=reason or page.left_out,
                rows=page.rows,
                rejects=page.rejected,
                next_cursor=page.next,
            ),
            series=self._series(page),
            rejects=page.rejects,
            covered=covered_by(request, vendor, ours, called_at_ms=self.called_at_ms, page=page),
            records=records_of(request, page),
            columns=page.columns,
        )
        following = request.next_page(page.next) if page.next else None
        parking = Parking(id=following.id, arguments=following.arguments) if following else None
        return batch, batches.encode(batch, level=batch_level()), parking

    def _series(self, page: Page) -> Sequence[BarSeries]:
        """The page's bars with the zone of their days, and with those marked that were not final at the call."""
        if self.request is None:
            return ()
        vendor, of_vendor = vendors.vendor(self.request.provider), options(self.request.provider)
        finality, zone = vendor.finality_of(self.request, of_vendor), vendor.zone(self.request, of_vendor)
        return marked(page.series, finality, zone=zone, called_at_ms=self.called_at_ms)

    def handle_error(self, error: FetchError, provider: str, symbol: str) -> Reference:
        """Logs an error of the tree with its next step, then takes exactly that step."""
        step = outcomes.next_step(error, attempts=self.turn.attempts, most=self.task.max_retries)
        self.count(provider, self.turn.key_label, type(error).__name__, record=self.id)
        of_key = self._step_of_key(error, provider)
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
            next_step=str(of_key or step),
        )
        if isinstance(error, Unavailable) and error.unknown:
            log.warning(
                "a sentence we do not know",
                provider=provider,
                key=self.turn.key_label,
                error=error.message,
                next_step="report it to us, so that the next release knows it",
            )
        if of_key is Step.ASIDE:
            log.error(
                "key set aside",
                provider=provider,
                key=self.turn.key_label,
                why=error.message,
                next_step=f"its requests wait for other keys; marketfetch quotas resume {self.turn.key_label}",
            )
        if of_key is not None:
            raise Ignore
        if isinstance(error, RateLimited):
            pause_ms = outcomes.pause_ms(error, most_ms=self._longest_wait_ms(provider))
            said = outcomes.said_ms(error.retry_after_ms, pause_ms)
            why = f"{provider} refused key {self.turn.key_label!r}: {error.message}{said}"
            then: Literal["grow", ""] = "grow" if error.retry_after_ms is None else ""
            self.requeue(pause_ms=pause_ms, why=why, then=then)
            log.warning(
                "key paused", provider=provider, key=self.turn.key_label, at_least_ms=pause_ms, why=error.message + said
            )
            raise Ignore
        if step is Step.FAIL:
            return self.failed(error, provider, symbol)
        if step is Step.RECORD_EMPTY and self.request is not None:
            return self.finished(self.request, Page(), reason=error.message)
        if isinstance(error, Transient) and not error.sent:
            self.task.request.get(GRANT_HEADER)[UNSENT] = True
        if isinstance(error, Transient) and error.retry_after_ms is not None:
            self.task.request.get(GRANT_HEADER)[NAMED] = True
            wait_ms = outcomes.capped_ms(error.retry_after_ms, most_ms=self._longest_wait_ms(provider))
            raise self.task.retry(exc=error, countdown=wait_ms / 1000)
        raise error  # Celery's autoretry publishes it again, and our sender parks it with a not-before

    def _step_of_key(self, error: FetchError, provider: str) -> Step | None:
        """Reports what the error says of the key. The step if the request has returned to the lane, None if it has not."""
        if isinstance(error, BadCredentials) and not self.unsent:
            alike = serving(keys(provider), lane_of_id(self.id))
            others = [one.label for one in alike if one.label != self.turn.key_label]
            verdict = self.report(
                lambda: self.gate.suspect(
                    self.id, fence=self.fence, key_label=self.turn.key_label, why=error.message, others=others
                )
            )
        elif isinstance(error, Unavailable):
            verdict = self._rests(error, provider)
        else:
            return None
        return outcomes.OF_KEY[verdict]

    def _rests(self, error: Unavailable, provider: str) -> KeyVerdict:
        """Reports an unusable reply to the circuit breaker; "rests" where it is open."""
        named_ms = error.retry_after_ms or 0
        rest_ms = max(outcomes.REST_MS, outcomes.capped_ms(named_ms, most_ms=self._longest_wait_ms(provider)))
        said = outcomes.said_ms(named_ms, rest_ms)
        return self.report(
            lambda: self.gate.rest_if_unhealthy(
                self.id,
                fence=self.fence,
                key_label=self.turn.key_label,
                rest_ms=rest_ms,
                why=f"{provider} gives no usable answer: {error.message}{said}",
                unsent=not error.sent,
                unknown=error.unknown,
                words=error.message if error.unknown else "",
            )
        )

    def _longest_wait_ms(self, provider: str) -> int:
        """The longest wait that a vendor is obeyed in."""
        limits = next((one for one in keys(provider) if one.label == self.turn.key_label), None)
        zone = vendors.vendor(provider).zone(self.request, options(provider)) if self.request else "UTC"
        return outcomes.longest_wait_ms(limits, zone=zone, now=datetime.now(UTC))

    def failed(self, error: FetchError, provider: str, symbol: str) -> NoReturn:
        """Ends the request as failed: the store task records the reason in the ledger, and the task raises the error."""
        reason = outcomes.sentence(error, provider=provider, symbol=symbol, key_label=self.turn.key_label)
        if isinstance(error, Unavailable) and error.unread and self.report(lambda: self.gate.raw(self.id)):
            reason += f" {outcomes.kept_reply(provider, self.id)}"
        page = (error.page if isinstance(error, EndlessPages | TooManyRejects) else None) or Page()
        ledger = self.ledger_row(provider, symbol, "failed", reason=reason, rows=page.rows, rejects=page.rejected)
        batch = Batch(
            ledger=ledger,
            series=self._series(page),
            rejects=tuple(page.rejects),
            records=records_of(self.request, page),
            columns=page.columns,
        )
        if not self._stored(self.keep(batches.encode(batch, level=batch_level()), symbol=symbol, failed=reason), batch):
            send_to_store(reference(provider, symbol, self.id, outcome="failed"))
        if isinstance(error, EndlessPages | TooManyRejects):
            error.page = None  # The batch has it; Celery would pickle it for the main process.
        # `from None`: the result holds the traceback, and the exception that is being handled may quote the vendor.
        raise error from None

    def requeue(self, **how: Any) -> None:
        """Returns the request to its place in the lane; see Gate.requeue."""
        label = self.turn.key_label
        self.report(lambda: self.gate.requeue(self.id, fence=self.fence, key_label=label, **how))

    def keep(self, data: bytes, *, symbol: str, next_page: Parking | None = None, failed: str = "", then: str = "") -> Kept:
        """Writes the batch: the reply is never fetched again. A lost lease raises Ignore, and nothing is written.

        `then`: no batch yet, the request makes another call; see Gate.finish.
        """
        if storing.stores_itself(self.task) and not then:
            self.turn_to_store = storing.turn_of(self.id, size=len(data))

        def finish() -> Kept:
            return self.gate.finish(
                self.id,
                fence=self.fence,
                batch=data,
                next_page=next_page,
                replied_ago_us=ago_us(self.replied_at_ns) or 0,
                sent_ago_us=ago_us(self.sent_at_ns),
                unsent=self.unsent,
                counted=self.counted,
                held_again_ms=int(get_settings().timings.held_again * 1000),
                failed=failed,
                chain=self.chain,
                then=then,
                turn=self.turn_to_store,
            )

        kept = self.report(finish)
        if not kept:
            # When Redis's reply was lost, the second attempt finds no lease although the gate has this very batch.
            if self.report(lambda: self.gate.batch(self.id)) != data:
                log.warning("lease lost during the call, reply dropped", request=self.id, symbol=symbol)
                raise Ignore
            kept = Kept.CLAIMED  # it may be; to store it twice is a no-op
        if self.of_file and next_page is None:
            # Last of all: a child that dies before it reads the part again.
            kept_files.forget(self.of_file)
        return kept

    def report(self, step: Callable[[], T]) -> T:
        """Reports the end of the call to the gate, with retries while Redis is away: the call has already spent quota.

        Raises RedisError once the lease has ended, since another worker may then have the request.
        """
        while True:
            try:
                return step()
            except RedisError:
                if steady_s() + _REPORT_AGAIN_S > self.lease_ends:
                    raise
            NOTHING.wait(_REPORT_AGAIN_S)

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
