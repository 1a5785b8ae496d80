"""Moving a message that a worker cannot take to the dead-letter list: first the list, then the rejection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog
from celery.app.task import Context
from celery.signals import task_rejected
from celery.worker import state
from pydantic import BaseModel, ValidationError

from marketfetch import connections, vendors
from marketfetch.ops import dead_letters
from marketfetch.quotas import Gate

from .. import deliveries
from ..hardening.unreadable_messages import WRAPPED, is_of_redis
from ..sending.again import envelope
from ..sending.parking import FETCH_PREFIX, GRANT_HEADER, USER_TASK

log = structlog.get_logger("marketfetch.poison")

_FETCH_QUEUE: Final = "fetch."
#: No delivery has this fence, so a message without a readable one counts as an earlier delivery.
_NO_FENCE: Final = -1


class WrappedNote(BaseModel):
    """What our envelope says about the message inside. `told`: its headers, as far as they are known."""

    why: str
    size: int
    told: dict[str, Any]


def wrapped_note(message: Any) -> WrappedNote | None:
    """The note of our own envelope; None for any other message, also for one that only looks like ours."""
    try:
        return WrappedNote.model_validate(message.headers[WRAPPED])
    except (KeyError, ValidationError):
        return None


def wrapped_reason(message: Any) -> str:
    """Why kombu could not read the message inside our own envelope, "" for any other message."""
    return note.why if (note := wrapped_note(message)) else ""


def bury(consumer: Any, message: Any, why: str, *, again: bool = False) -> None:
    """Adds the message to the list, then rejects it. A worker killed in between returns it, and it is listed twice.

    `again`: the fault is in what the message says, so the same request would produce the same message again.
    """
    if note := wrapped_note(message):
        raw, size, headers = message.body or b"", note.size, note.told
    else:
        raw = envelope(message)
        size, headers = len(raw), _headers(message)
    task, task_id = _text(headers.get("task")), _text(headers.get("id"))
    list_key = getattr(message, "list_key", "") or str(message.delivery_info.get("routing_key"))
    carried = _carried(headers, list_key.partition(dead_letters.PRIORITY_MARK)[0])
    told = _left_to_the_gate(carried, task_id, why, again=again) if carried else _Told(why)
    why = told.why
    if told.over and task_id:
        try:
            _report(consumer, headers, task_id, why)
        except Exception as error:
            if is_of_redis(error):
                raise
            what = f"{type(error).__name__}: {error}"
            log.warning("reason could not be reported to the sender", task_id=dead_letters.clean(task_id), error=what)
    number = dead_letters.bury(
        list_key=list_key, reason=why, raw=raw, size=size, task=task, task_id=task_id, once=told.once, last=told.over
    )
    for request in tuple(state.reserved_requests):
        if request.message is message:
            state.task_ready(request)
    if not message.acknowledged:
        message.reject()
    log.error(
        "message can't be used",
        queue=list_key.partition(dead_letters.PRIORITY_MARK)[0],
        task=dead_letters.clean(task) or None,
        task_id=dead_letters.clean(task_id) or None,
        reason=dead_letters.clean(why),
        next_step=f"marketfetch dead show {number}",
    )
    task_rejected.send(sender=consumer, message=message, exc=None)


@dataclass(frozen=True, slots=True)
class _Carried:
    """The grant that a message carries, as far as it can be read."""

    gate: Gate
    record: str
    fence: int


def _carried(headers: dict[str, Any], queue: str) -> _Carried | None:
    grant, task = headers.get(GRANT_HEADER), _text(headers.get("task"))
    record = _text(grant.get("id")) if isinstance(grant, dict) else ""
    fence = grant.get("fence") if isinstance(grant, dict) else None
    # The queue is as good a name where the task's cannot be read: only a releaser publishes there.
    named = (task.removeprefix(FETCH_PREFIX), queue.removeprefix(_FETCH_QUEUE))
    provider = next((one for one in named if one in vendors.names()), "")
    if not provider or not record:
        return None
    return _Carried(connections.gate(provider), record, fence if isinstance(fence, int) else _NO_FENCE)


@dataclass(frozen=True, slots=True)
class _Told:
    """The reason of a dead letter. `once`: the key that remembers the letter of a request, which its next letter replaces.

    `over`: no other message follows, so the task ends with the reason.
    """

    why: str
    once: str = ""
    over: bool = True


def _left_to_the_gate(carried: _Carried, task_id: str, why: str, *, again: bool) -> _Told:
    """Counts the message in the gate, which redelivers its request or fails it.

    A user's task that would come back as wrong as before is removed from the gate at once.
    """
    gate, record = carried.gate, carried.record
    if gate.arguments(record) is None:
        return _Told(why)
    name = next((name for name, one in gate.requests_of(task_id).items() if one == record), None)
    if again and name is not None:
        (left,) = gate.withdraw([record], who=f"{USER_TASK}{name}")
        if left.what in ("gone", "left") or record.startswith(USER_TASK):
            gate.settle(f"{USER_TASK}{name}")
        return _Told(why)
    reason = f"its message can't be used: {dead_letters.clean(why)}. It is kept: `marketfetch dead`"
    end = deliveries.end(gate, record, fence=carried.fence, reason=reason)
    once = f"{gate.prefix}buried:{record}"
    came = f"{why}. {end.times} of {deliveries.MOST_RAISED} such messages have come" if end.times else why
    if end.over:
        return _Told(f"{came}, so its request is over", once)
    return _Told(f"{came}. The gate still has this request and gives it back by itself", once, over=False)


def _report(consumer: Any, headers: dict[str, Any], task_id: str, why: str) -> None:
    """Writes the reason as the task's result; its chord and errbacks get it where the body could be read."""
    sentence = dead_letters.clean(f"The task did not run: {why}. Its message is kept: `marketfetch dead`.")
    consumer.app.backend.mark_as_failure(
        task_id,
        dead_letters.UnreadableMessage(sentence),
        # Celery reads `delivery_info` before it sends an errback.
        request=Context({**headers, **headers.get("embed", {}), "delivery_info": {}}),
        store_result=not headers.get("ignore_result"),
    )
    if consumer.event_dispatcher:
        consumer.event_dispatcher.send("task-failed", uuid=task_id, exception=sentence)


def _headers(message: Any) -> dict[str, Any]:
    """The headers of either protocol, and what follows the task where the body can be read."""
    try:
        payload = message.decode()
    except Exception:
        return dict(message.headers)
    old = payload if isinstance(payload, dict) else {}
    embed = old or (payload[2] if isinstance(payload, list) and len(payload) == 3 else None)
    followers = {name: embed.get(name) for name in ("chord", "errbacks", "chain")} if isinstance(embed, dict) else {}
    return {**old, **message.headers, "embed": followers}


def _text(value: Any) -> str:
    """A text that can be written to Redis, "" for anything else."""
    try:
        return value if isinstance(value, str) and value.encode() else ""
    except UnicodeEncodeError:
        return ""
