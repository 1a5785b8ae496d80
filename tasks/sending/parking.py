"""The sender always parks: it never publishes a fetch message, it gives the request a place in the gate's lane.

This one place covers delay, chains, groups, chords, retries, links, beat and send_task: Celery's own task sender does the
routing and the signals, then hands the message to a producer, and for fetch tasks that producer is ours. Only the releaser
publishes fetch messages, with kombu directly.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from celery import current_task
from celery.app.amqp import AMQP
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps
from kombu.utils.objects import cached_property
from redis.exceptions import RedisError

from marketfetch import vendors
from marketfetch.configured import keys
from marketfetch.ops import redis_writes, traces
from marketfetch.quotas import Gate, Parking
from marketfetch.quotas.estimates import seconds_for

if TYPE_CHECKING:
    from marketfetch.jobs.planning import TaskPlan

#: Not structlog's: this runs inside users' apps, which configure their own logging.
log = logging.getLogger("marketfetch.sending")

FETCH_PREFIX: Final = "tasks.fetch."
#: The header in which the releaser passes a task its grant; `start` verifies it.
GRANT_HEADER: Final = "marketfetch"
#: In the running task's grant: its call was never sent, so the retry that follows returns the permit.
UNSENT: Final = "unsent"
#: Also there: the call was sent, so a bug of ours in what follows does not return the permit.
SENT: Final = "sent"
#: Also there: the vendor has named the moment, so the retry must not be earlier.
NAMED: Final = "named"
#: The state of a task that waits in the lane; its `info` holds the moment that it waits for, if there is one.
PARKED: Final = "PARKED"
#: The waiter in the gate of a task that a user sent; also the id of a record that belongs to one task alone.
USER_TASK: Final = "task:"
#: For how long a count of the parked requests stands, with what this process adds to it.
_BACKLOG_KNOWN_S: Final = 0.25


class ParkingAMQP(AMQP):  # type: ignore[misc]  # Celery is untyped
    """Celery's sender, with a producer that parks for fetch tasks."""

    @cached_property
    def send_task_message(self) -> Any:
        """Celery's sender. This property has kombu's lock, so no thread can see Celery's own in the moment it is replaced."""
        send = super().send_task_message

        def send_or_park(producer: Any, name: str, message: Any, **options: Any) -> Any:
            provider = name.removeprefix(FETCH_PREFIX)
            if name.startswith(FETCH_PREFIX) and provider in vendors.names():
                # A fetch task of no vendor is published: a worker buries it with the reason.
                producer = _ParkingProducer(producer, self.app, provider=provider)
            return send(producer, name, message, **options)

        return send_or_park


class _ParkingProducer:
    """Looks like a kombu producer to Celery's sender; its publish parks."""

    def __init__(self, producer: Any, app: Any, *, provider: str) -> None:
        self._producer = producer
        self._app = app
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, *, headers: dict[str, Any], **properties: Any) -> None:
        from marketfetch import connections

        gate = connections.gate(self._provider)
        try:
            if _is_own_retry(headers):
                grant = current_task.request.get(GRANT_HEADER)
                delay_ms = _ms_until(headers.get("eta"))
                if NAMED not in grant:
                    # Between half and all of it: requests that failed together must not return together, nor at once.
                    delay_ms = round(delay_ms * random.uniform(0.5, 1))  # noqa: S311 (no secret)
                gate.delay(grant["id"], fence=grant["fence"], delay_ms=delay_ms, unsent=UNSENT in grant)
                return
            self._park(gate, body, headers, properties)
        except RedisError as error:
            does = "refuses to write" if redis_writes.word(error) else "does not answer"
            raise OperationalError(f"the gate's Redis {does}, so the task was not sent: {error}") from error

    def _park(self, gate: Gate, body: Any, headers: dict[str, Any], properties: dict[str, Any]) -> None:
        task_id, wait_ms = headers["id"], _ms_until(headers.get("eta"))
        body = _absolute(self._provider, body, wait_ms=wait_ms)
        kept = {
            "headers": {key: value for key, value in headers.items() if key != GRANT_HEADER},
            "body": body,
            "properties": {key: properties[key] for key in ("correlation_id", "reply_to") if key in properties},
        }
        plan = _planned(self._provider, body, task_id, wait_ms=wait_ms)
        # Tasks with an ETA are not deduplicated: a shared call could answer early.
        request = plan.only if plan and not wait_ms else None
        if plan and not wait_ms and not request and self._stands(gate, plan, headers, kept):
            return
        # Before parking: a worker may start it at once, and its state must be the later one.
        self._announce(gate, headers, wait_ms)
        gate.park(
            [
                Parking(
                    id=request.id if request else f"{USER_TASK}{task_id}",
                    arguments=request.arguments if request else _words(headers),
                    task=task_id,
                    message=dumps(kept),
                    expires_ms=_unix_ms(headers["expires"]) if headers.get("expires") else 0,
                )
            ],
            job="direct",
            priority=_priority(properties.get("priority")),
            not_before_ms=_now_ms() + wait_ms if wait_ms else 0,
        )
        traces.ended("submit", f"{USER_TASK}{task_id}", time.time_ns(), {"provider": self._provider}, root=True)
        log.debug("parked task=%s task_id=%s request=%s", headers["task"], task_id, request.id if request else None)

    def _stands(self, gate: Gate, plan: TaskPlan, headers: dict[str, Any], kept: dict[str, Any]) -> bool:
        """Records a job for a task that takes several calls. False where this process can't: a worker does at its turn."""
        from marketfetch.exceptions import UnavailableError
        from marketfetch.jobs.submission import id_for

        from .recorded_tasks import stand_for

        job_id = id_for(headers["id"])
        self._announce(gate, headers, 0, calls=len(plan.requests), job=job_id)
        try:
            stand_for(plan, dumps(kept), usual_limit_s=self._app.conf.task_time_limit)
        except UnavailableError as error:
            log.info("task %s takes %d calls, and a worker records its job: %s", headers["id"], len(plan.requests), error)
            return False
        log.debug("recorded task=%s task_id=%s job=%s", headers["task"], headers["id"], job_id)
        return True

    def _announce(self, gate: Gate, headers: dict[str, Any], wait_ms: int, *, calls: int = 1, **more: str) -> None:
        """Writes PARKED, and from when the task may run, for AsyncResult; a worker sends the events for viewers.

        `more`: the job that it stands for.
        """
        if headers.get("ignore_result"):
            return
        ahead_s = seconds_for(_backlog.with_these(gate, calls), keys(self._provider))
        expected = datetime.now(UTC) + timedelta(seconds=max(ahead_s, wait_ms / 1000))
        told = {"not_before": headers.get("eta"), "expected": expected.isoformat(timespec="seconds"), **more}
        backend = self._app.backend
        getattr(backend, "store_first", backend.store_result)(headers["id"], told, PARKED)


class _Backlog:
    """How many requests are parked, for the estimates of a burst of tasks: Redis is asked a few times a second."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Gate, tuple[float, int]] = WeakKeyDictionary()

    def with_these(self, gate: Gate, calls: int) -> int:
        """The parked requests of this gate, with `calls` more, which are counted from now on. Raises RedisError."""
        now = time.monotonic()
        at, parked = self._known.get(gate, (0.0, 0))
        if now - at > _BACKLOG_KNOWN_S:
            at, parked = now, gate.parked()
        self._known[gate] = at, parked + calls
        return parked + calls


_backlog = _Backlog()


def _absolute(provider: str, body: Any, *, wait_ms: int) -> Any:
    """The message's body with absolute days and its adjustment: a retry, or a second delivery, means what the first one did.

    Days are relative to when the task may run. Wrong words stay: the task is refused, or fails, with the sentence.
    """
    from marketfetch.exceptions import MarketfetchError
    from marketfetch.jobs import planning

    args, kwargs, embed = body
    try:
        return args, planning.absolute(provider, kwargs, planning.wished_at() + timedelta(milliseconds=wait_ms)), embed
    except MarketfetchError:
        return body


def _words(headers: Mapping[str, Any]) -> str:
    """The arguments of a task without a request as Celery writes them; by them two tasks with one id differ."""
    return f"{headers.get('argsrepr') or ''} {headers.get('kwargsrepr') or ''}".strip()


def _planned(provider: str, body: Any, task_id: str, *, wait_ms: int) -> TaskPlan | None:
    """The requests of a task, so that two tasks with the same wish make one call. None where this process can't plan it.

    Raises BadRequestError for wrong arguments. A worker that sends the next link of a chain parks it all the same, since the
    link before has succeeded: the link fails with the sentence when its turn comes.
    """
    from marketfetch.exceptions import BadRequestError, MarketfetchError
    from marketfetch.jobs import planning

    args, kwargs, *_ = body
    at = planning.wished_at() + timedelta(milliseconds=wait_ms) if wait_ms else None
    try:
        return planning.plan_of_task(provider, args, kwargs, task_id=task_id, at=at)
    except BadRequestError:
        if in_a_task():
            return None
        raise
    except MarketfetchError:
        return None


def in_a_task() -> bool:
    """True while this process runs a task that a worker was sent."""
    return bool(current_task and not current_task.request.called_directly)


def _is_own_retry(headers: dict[str, Any]) -> bool:
    """True for the message by which the running task asks for its own next attempt."""
    request = current_task.request if current_task else None
    return bool(request and request.get(GRANT_HEADER) and request.id == headers["id"] and headers["retries"] > request.retries)


def _ms_until(eta: str | None) -> int:
    return max(0, _unix_ms(eta) - _now_ms()) if eta else 0


def _unix_ms(moment: str) -> int:
    wanted = datetime.fromisoformat(moment)
    return int((wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)).timestamp() * 1000)


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _priority(priority: int | None) -> int:
    return 5 if priority is None else min(9, max(0, priority))
