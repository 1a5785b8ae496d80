"""Moving a message that a worker cannot take to the dead-letter list: first the list, then the rejection."""

from __future__ import annotations

from typing import Any

import structlog
from celery.app.task import Context
from celery.signals import task_rejected
from celery.worker import state
from kombu.utils.json import dumps
from pydantic import BaseModel, ValidationError

from marketfetch import connections, vendors
from marketfetch.ops import dead_letters

from ..hardening.unreadable_messages import WRAPPED, is_of_redis
from ..sending.parking import FETCH_PREFIX, GRANT_HEADER, USER_TASK

log = structlog.get_logger("marketfetch.poison")


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
        raw = dumps(message._raw).encode()  # noqa: SLF001 (kombu keeps the envelope there, and nowhere else)
        size, headers = len(raw), _headers(message)
    task, task_id = _text(headers.get("task")), _text(headers.get("id"))
    list_key = getattr(message, "list_key", "") or str(message.delivery_info.get("routing_key"))
    try:
        why = _reported(consumer, headers, why, again=again)
    except Exception as error:
        if is_of_redis(error):
            raise
        what = f"{type(error).__name__}: {error}"
        log.warning("reason could not be reported to the sender", task_id=dead_letters.clean(task_id), error=what)
    number = dead_letters.bury(list_key=list_key, reason=why, raw=raw, size=size, task=task, task_id=task_id)
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


def _reported(consumer: Any, headers: dict[str, Any], why: str, *, again: bool) -> str:
    """Writes the reason as the task's result; its chord and errbacks get it where the body could be read.

    Nothing is written if a lease will return the request: the reason, which is returned, then says so.
    """
    task_id = _text(headers.get("id"))
    if _gate_returns_it(headers, again=again):
        return f"{why}. The gate still has this request and gives it back by itself"
    if task_id:
        sentence = dead_letters.clean(f"The task did not run: {why}. Its message is kept: `marketfetch dead`.")
        consumer.app.backend.mark_as_failure(
            task_id,
            dead_letters.UnreadableMessage(sentence),
            request=Context({**headers, **headers.get("embed", {})}),
            store_result=not headers.get("ignore_result"),
        )
        if consumer.event_dispatcher:
            consumer.event_dispatcher.send("task-failed", uuid=task_id, exception=sentence)
    return why


def _gate_returns_it(headers: dict[str, Any], *, again: bool) -> bool:
    """True when a lease will return the request. One that would come back as wrong as before is removed from the gate."""
    grant, task = headers.get(GRANT_HEADER), _text(headers.get("task"))
    provider = task.removeprefix(FETCH_PREFIX)
    record = _text(grant.get("id")) if isinstance(grant, dict) else ""
    if provider == task or provider not in vendors.names() or not record:
        return False
    gate = connections.gate(provider)
    if gate.arguments(record) is None:
        return False
    task_id = _text(headers.get("id"))
    if not again or gate.request_of(task_id) != record:
        return True
    (left,) = gate.withdraw([record], who=f"{USER_TASK}{task_id}")
    if left.what in ("gone", "left") or record.startswith(USER_TASK):
        gate.settle(f"{USER_TASK}{task_id}")
    return False


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
    return value if isinstance(value, str) else ""
