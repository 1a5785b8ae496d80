"""The sender parks always: a fetch message never goes to the broker from here, it gets a place in the gate's lane.

This one place covers delay, chains, groups, chords, retries, links, beat and send_task: Celery's own task sender does the
routing and the signals, then hands the message to a producer, and for fetch tasks that producer is ours. Only the releaser
publishes fetch messages, with kombu directly.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from celery import current_task
from celery.app.amqp import AMQP
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps
from redis.exceptions import RedisError

from quotas import Parking

FETCH_PREFIX: Final = "tasks.fetch."
#: The header in which the releaser tells a task its grant; `start` verifies it.
GRANT_HEADER: Final = "marketfetch"
#: What AsyncResult says of a task that waits in the lane; its `info` holds the moment it waits for, if it does.
PARKED: Final = "PARKED"
#: The record of a task that a user sent by itself is this and the task's id.
USER_TASK: Final = "task:"


class ParkingAMQP(AMQP):  # type: ignore[misc]  # Celery is untyped
    """Celery's sender, with a producer that parks for fetch tasks."""

    def _create_task_sender(self) -> Any:
        send = super()._create_task_sender()

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            if name.startswith(FETCH_PREFIX):
                producer = _ParkingProducer(producer, self.app.backend, provider=name.removeprefix(FETCH_PREFIX))
            return send(producer, name, message, **options)

        return send_task_message


class _ParkingProducer:
    """Looks like a kombu producer to Celery's sender; its publish parks."""

    def __init__(self, producer: Any, backend: Any, *, provider: str) -> None:
        self._producer = producer
        self._backend = backend
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def publish(self, body: Any, *, headers: dict[str, Any], **properties: Any) -> None:
        from tasks import connections

        gate = connections.gate(self._provider)
        try:
            if _is_own_retry(headers):
                grant = current_task.request.get(GRANT_HEADER)
                gate.delay(grant["id"], fence=grant["fence"], delay_ms=_ms_until(headers.get("eta")))
                return
            kept = {
                "headers": {key: value for key, value in headers.items() if key != GRANT_HEADER},
                "body": body,
                "properties": {key: properties[key] for key in ("correlation_id", "reply_to") if key in properties},
            }
            wait_ms = _ms_until(headers.get("eta"))
            if not headers.get("ignore_result"):
                # Before parking: a worker may start it at once, and its state must be the later one.
                self._backend.store_result(headers["id"], {"not_before": headers.get("eta")}, PARKED)
            gate.park(
                [Parking(id=f"{USER_TASK}{headers['id']}", arguments=headers.get("argsrepr") or "", message=dumps(kept))],
                job="direct",
                priority=_priority(properties.get("priority")),
                not_before_ms=int(datetime.now(UTC).timestamp() * 1000) + wait_ms if wait_ms else 0,
            )
        except RedisError as error:
            raise OperationalError(f"the gate's Redis does not answer, so the task was not sent: {error}") from error


def _is_own_retry(headers: dict[str, Any]) -> bool:
    """True for the message by which the running task asks for its own next attempt."""
    request = current_task.request if current_task else None
    return bool(request and request.get(GRANT_HEADER) and request.id == headers["id"] and headers["retries"] > request.retries)


def _ms_until(eta: str | None) -> int:
    if not eta:
        return 0
    wanted = datetime.fromisoformat(eta)
    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
    return max(0, int((wanted - datetime.now(UTC)).total_seconds() * 1000))


def _priority(priority: int | None) -> int:
    return 5 if priority is None else min(9, max(0, priority))
