"""One HTTP call = one permit. The fetch task of each vendor: may I, call, validate, keep, hand on to store.

start    is the grant still ours?                    quotas
send     the one call                                marketfetch/vendors/transport.py
read     reply -> Page, or an error of the tree      providers/<vendor>/
finish   batch and next page kept in one step        quotas
return   a small reference; the chain stores it      tasks/store.py
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn
from uuid import uuid4

import structlog
from celery import Task, states
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from marketfetch import connections, vendors
from marketfetch.exceptions import BadRequestError, MarketfetchError, UnavailableError
from marketfetch.jobs import recorded_outcomes
from marketfetch.jobs.planning import of_task, plan_of_task
from marketfetch.quotas import Start
from marketfetch.schemas import day_words
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors.errors import BadRequest, Fatal, FetchError, NotYet, SuspectEmpty, Unavailable
from marketfetch.vendors.wire import SendTooLate, steady_s

from . import announcing, storing
from .app import app
from .attempt import Run
from .deliveries import BEGUN, MOST_RAISED, RETURNED, why
from .endpoints import lease_s
from .neighbours import NoPlace, a_place
from .reference import Reference, failure, reference, reference_of
from .sending.checked_task import CheckedTask, refuse_here
from .sending.parking import FETCH_PREFIX, GRANT_HEADER, PARKED, SENT
from .sending.recorded_tasks import stand_for
from .store import hand_on, send_to_store
from .whole_jobs import JOB, returned

log = structlog.get_logger("marketfetch.fetch")

_RETRIES = {
    "autoretry_for": (Unavailable, SuspectEmpty, NotYet),
    "max_retries": get_settings().retries.most,
    "retry_backoff": get_settings().retries.backoff,
    "retry_backoff_max": get_settings().retries.backoff_max,
    # Ours, where the retry is parked: Celery's begins at no wait at all.
    "retry_jitter": False,
    # Our own log line reports them; a traceback adds nothing.
    "throws": (FetchError,),
}


def fetch(task: Task, provider: str, args: tuple[Any, ...], query: dict[str, Any]) -> Reference | dict[str, Any]:
    """The way of one request through a worker. Returns the reference that store_batch takes, or the end of a job."""
    symbol = _symbol_of(args, query)
    grant = task.request.get(GRANT_HEADER)
    if grant is None:
        if task.request.called_directly or task.request.is_eager:
            refuse_here(task, "it was called as a function")
        park_again(task, provider, symbol, args, query)
    if task.app is not app:
        leave_to_our_workers(task, grant)
    if JOB in grant:
        return returned(task, provider, symbol, grant[JOB])
    asked = partial(asked_for, grant, provider, args, query, task_id=task.request.id)
    grant[BEGUN] = True
    try:
        try:
            record_whole_job(task, provider, args, query, grant)
            with a_place(connections.gate(provider), grant["id"]):
                ends_s = lease_s(provider, (grant.get("user") or query).get("dataset"))
                ref = granted(task, provider, symbol, grant, asked, ends_s=ends_s)
        except (FetchError, Ignore, Reject, Retry, RedisError, OperationalError):
            raise
        except NoPlace:
            log.info("no place among the threads, nothing sent", provider=provider, symbol=symbol, request=grant["id"])
            raise Ignore from None
        except Exception as error:
            ref = end_delivery(task, provider, symbol, grant, error)
    except (RedisError, OperationalError) as error:
        # Not a failure of this request: its deadline in Redis parks it again, so no failure is reported.
        log.warning(
            "Redis is away, attempt dropped",
            provider=provider,
            symbol=symbol,
            request=grant["id"],
            error=str(error),
            next_step="goes on by itself when Redis is back and its deadline has passed",
        )
        raise Ignore from None
    grant[RETURNED] = True
    return ref


def granted(
    task: Task, provider: str, symbol: str, grant: dict[str, Any], asked: Callable[[], Request], *, ends_s: float
) -> Reference:
    """The steps at the top of this page; the call's lease lasts `ends_s` seconds.

    Raises RedisError and kombu's OperationalError when Redis stays away.
    """
    gate = connections.gate(provider)
    before = ended_before(grant, asked)
    if before and before.outcome != "failed":
        # The grant is refunded, and no call is made.
        known = recorded_outcomes.outcome_json(before)
        ref = hand_on(task, reference_of(provider, symbol, grant["id"], known))
        # Last: while the gate has the record, an exception redelivers it.
        gate.settle(grant["id"], outcome=known)
        return ref
    asked_at = steady_s()
    turn = gate.start(grant["id"], fence=grant["fence"], end_by_ms=int(ends_s * 1000), child=uuid4().hex)
    if turn.verdict != "go":
        return not_ours_to_send(task, provider, symbol, grant["id"], turn)

    run = Run(task, gate, grant["id"], grant["fence"], turn, lease_ends=asked_at + ends_s)
    try:
        request = run.request = asked()
        if before:
            recorded_outcomes.forget_failure(request)
        page = run.call(request)
        run.count(provider, turn.key_label, "ok", record=run.id)
    except SendTooLate:
        run.requeue(unsent=True)
        raise Ignore from None
    except BadRequestError as error:
        return run.failed(BadRequest(str(error)), provider, symbol)
    except MarketfetchError as error:
        return run.failed(Fatal(str(error)), provider, symbol)
    except FetchError as error:
        return run.handle_error(error, provider, symbol)
    except Exception as error:
        # A bug of ours: another attempt would hit it again, so the request fails here, with a traceback in the log.
        log.exception("fetch failed on a bug", provider=provider, symbol=symbol, request=run.id)
        return run.failed(Fatal(f"marketfetch made a mistake ({type(error).__name__}), see the worker's log"), provider, symbol)
    return run.finished(request, page)


def end_delivery(task: Task, provider: str, symbol: str, grant: dict[str, Any], error: Exception) -> Reference:
    """Ends a delivery that has raised what is no outcome: a bug of ours, before, around or after the call.

    Nothing stays held: before `start` the request is redelivered and fails after the fifth time, after it fails at once, and
    what was fetched is kept. Raises Fatal, Ignore where another delivery follows, RedisError.
    """
    log.exception("fetch failed on a bug", provider=provider, symbol=symbol, request=grant["id"])
    reason = f"{symbol}: marketfetch made a mistake ({why(error)}), see the worker's log"
    held_again_ms = int(get_settings().timings.held_again * 1000)
    turn = connections.gate(provider).raised(
        grant["id"],
        fence=grant["fence"],
        reason=reason,
        most=MOST_RAISED,
        held_again_ms=held_again_ms,
        call="sent" if SENT in grant else "unsent",
    )
    if turn.verdict in ("again", "lost") or (turn.verdict == "answered" and turn.times < MOST_RAISED):
        raise Ignore from None
    if turn.verdict == "held":
        storing.leave(connections.gate(provider), grant["id"])
    if turn.verdict == "held" and not turn.reason:
        return hand_on(task, reference(provider, symbol, grant["id"], outcome="held"))
    if turn.verdict != "over":
        send_to_store(reference(provider, symbol, grant["id"], outcome="failed"))
    raise Fatal(turn.reason or reason) from None


def asked_for(grant: dict[str, Any], provider: str, args: tuple[Any, ...], query: dict[str, Any], *, task_id: str) -> Request:
    """A job's message holds the request; a user's holds a wish, planned when it was sent or here. Raises BadRequestError."""
    if "user" not in grant:
        return Request.model_validate({"provider": provider, "symbol": args[0], **query})
    if grant["user"]:
        return Request.model_validate({"provider": provider, **grant["user"]})
    return of_task(provider, args, query, task_id=task_id, parked=True)


def record_whole_job(task: Task, provider: str, args: tuple[Any, ...], query: dict[str, Any], grant: dict[str, Any]) -> None:
    """Records the job of a task with a record of its own that takes several calls, and returns the grant.

    Such a task had a countdown, or its sender could not record it. Raises Ignore then; RedisError.
    """
    if grant.get("user", "") is not None:
        return
    try:
        plan = plan_of_task(provider, args, query, task_id=task.request.id, parked=True)
    except MarketfetchError:
        return  # reported where the request is built
    gate = connections.gate(provider)
    if plan.only:
        return
    if (message := gate.message(grant["id"])) is None:
        raise Ignore  # another delivery has recorded the job, whose end is the task's, or the task was revoked
    try:
        job_id = stand_for(plan, message, usual_limit_s=app.conf.task_time_limit)
    except UnavailableError as error:
        log.warning("job of a task not recorded", task_id=task.request.id, error=str(error), next_step="when its grant expires")
        raise Ignore from None
    if not task.request.ignore_result:
        task.backend.store_result(task.request.id, {"job": job_id}, PARKED)
    # Last: while the gate has the record, a crash redelivers it.
    gate.settle(grant["id"])
    log.info("task stands for a job", task_id=task.request.id, job=job_id, requests=len(plan.requests))
    announcing.announce_now(job_id)
    raise Ignore


def ended_before(grant: dict[str, Any], asked: Callable[[], Request]) -> LedgerRow | None:
    """The outcome of what a user's task asks for where no call is needed: the ledger has it, or its range has no session.

    None where a call is needed; a job asks before it parks.
    """
    if "user" not in grant:
        return None
    try:
        request = asked()
        return recorded_outcomes.without_session(request) or recorded_outcomes.from_ledger(request)
    except MarketfetchError:
        return None  # reported where the request is built


def _symbol_of(args: tuple[Any, ...], query: dict[str, Any]) -> str:
    """The symbol for sentences; what is no string appears as its repr."""
    symbol = args[0] if args else query.get("symbol")
    return symbol if isinstance(symbol, str) else repr(symbol)[:100]


def park_again(task: Task, provider: str, symbol: str, args: tuple[Any, ...], query: dict[str, Any]) -> NoReturn:
    """Parks a message that came to the queue without a grant, with the same task id. Raises BadRequest for wrong arguments."""
    try:
        plan_of_task(provider, args, query, task_id=task.request.id)
    except BadRequestError as error:
        # An app that does not have our sender has sent it: the task fails here, and no quota is spent.
        raise BadRequest(f"{symbol}: {error}") from None
    except MarketfetchError:
        log.info("stray task can't be planned here", task=task.name, task_id=task.request.id)
    if day_words.are_in(query) and connections.gate(provider).request_of(task.request.id):
        # The message has come twice, and its relative days are those of the first time.
        log.info("stray task is parked already", task=task.name, task_id=task.request.id)
        raise Ignore
    # A worker of a user's own app may run it, as Celery shares tasks among the apps of a process: only our app's sender parks.
    ours = app.tasks[task.name]
    ours.signature_from_request(task.request, countdown=0, retries=task.request.retries).apply_async()
    log.info("stray task parked", task=task.name, task_id=task.request.id)
    raise Ignore


def leave_to_our_workers(task: Task, grant: dict[str, Any]) -> NoReturn:
    """Sends nothing in a worker of another app, which has imported this module and consumes our queue. The grant expires."""
    log.error(
        "a fetch task came to a worker of another app",
        app=task.app.main,
        request=grant["id"],
        next_step=f"not sent: that worker must not consume fetch.{task.name.removeprefix(FETCH_PREFIX)}; see docs/celery.md",
    )
    grant[BEGUN] = True
    raise Ignore


def not_ours_to_send(task: Task, provider: str, symbol: str, record: str, turn: Start) -> Reference:
    """Handles every verdict other than "go": the chain goes on, except where the grant was lost."""
    if turn.verdict == "answered":
        try:
            answer = reference_of(provider, symbol, record, turn.reason)
        except FetchError:
            send_to_store(reference(provider, symbol, record, outcome="failed"))
            raise
        ref = hand_on(task, answer)
        # The reference names the request, so the task's own record is no longer needed.
        connections.gate(provider).settle(record)
        return ref
    if turn.verdict == "held" and turn.reason:
        # The request has failed, and its row is not in the ledger yet: the task fails with the same reason.
        send_to_store(reference(provider, symbol, record, outcome="failed"))
        raise failure(turn.reason if turn.reason.startswith(symbol) else f"{symbol}: {turn.reason}", symbol=symbol)
    if turn.verdict == "lost":
        log.info("grant was lost, nothing sent", provider=provider, symbol=symbol, request=record)
        raise Ignore
    if turn.verdict == "over" and task.AsyncResult(task.request.id).state == states.REVOKED:
        raise Ignore  # revoked while its message was on the way: REVOKED stands
    return hand_on(task, reference(provider, symbol, record, outcome=turn.verdict))


def _task_of(name: str) -> Task:
    """The task `tasks.fetch.<name>` of an installed vendor."""
    vendor = vendors.vendor(name)

    def one_call(self: Task, symbol: str, **query: Any) -> Reference | dict[str, Any]:
        # The sender refuses wrong arguments. A worker buries a message without one symbol, and fails one with a wrong query.
        return fetch(self, name, (symbol,), query)

    one_call.__name__ = one_call.__qualname__ = name
    one_call.__doc__ = (
        f"One call to {vendor.title}: symbol, and optionally start, end, timespan, dataset, adjustment, again.\n\n"
        f"Source: {vendor.documentation}"
    )
    return app.task(name=f"{FETCH_PREFIX}{name}", bind=True, base=CheckedTask, **_RETRIES)(one_call)


#: The fetch task of each installed vendor, by the vendor's name.
TASKS: Final = {name: _task_of(name) for name in vendors.names()}


def __getattr__(name: str) -> Task:
    """A vendor's task by the vendor's name: `from tasks.fetch import acme`, where a vendor `acme` is installed."""
    if name in TASKS:
        return TASKS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: it has the tasks {', '.join(TASKS)}")
