"""A worker that lives on: every message that it can't take goes to the dead-letter list, and only then is it acknowledged.

A stock worker ends at a message that kombu can't hold, or falls into a circle of reconnects; it comes back to one that it
holds and can't read; others it drops. Here each is looked at twice (see envelopes.py): as it leaves Redis, where what
kombu can't hold is put into an envelope that it can, and before Celery takes it. Between the two it lies in kombu's list of
unacknowledged messages like any other, so a worker that dies on the way gives it back.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final
from uuid import uuid4

import structlog
from celery.app.task import Context
from celery.signals import task_rejected
from celery.worker import state
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps
from pydantic import BaseModel, ValidationError

from marketfetch import connections
from marketfetch.ops import dead_letters

from ..sending.parking import GRANT_HEADER, USER_TASK
from . import envelopes
from .redis_channel import AWAY
from .surviving import SurvivingConsumer

log = structlog.get_logger("marketfetch.poison")

#: The header of our own envelope around a message that kombu can't hold.
_WRAPPED: Final = "marketfetch-unreadable"


class CarefulConsumer(SurvivingConsumer):
    """Celery's consumer, which buries what it can't take."""

    _came_from = ""

    def connect(self) -> Any:
        connection = super().connect()
        if connection.transport.driver_type == "redis":
            self._look_before_kombu_does(connection.default_channel)
        return connection

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            self.arrived()
            try:
                if not self._refused(message):
                    receive(message)
            except AWAY:
                raise
            except Exception as error:  # what nobody has thought of must not end the worker either
                self._bury(message, f"Celery stumbled over it: {type(error).__name__}: {error}", again=True)

        return on_task_received

    def _refused(self, message: Any) -> bool:
        """True if the message can't be taken; then it is in the list."""
        if wrapped := _unwrapped(message):
            self._bury(message, wrapped.why, raw=message.body or b"", size=wrapped.size, told=wrapped.told)
        elif why := envelopes.undecodable(message):
            self._bury(message, why)
        elif why := envelopes.unusable(message, self.app.tasks):
            self._bury(message, why, again=True)
        else:
            return False
        return True

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._bury(message, f"its body can't be decoded: {exc}")

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002 (Celery's signature)
        self._bury(message, "its headers name no task", again=True)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 (Celery's signature)
        self._bury(message, f"this worker knows no task {exc}", again=True)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 (Celery's signature)
        self._bury(message, f"it is no task message: {exc}", again=True)

    def _look_before_kombu_does(self, channel: Any) -> None:
        """Every message of a queue comes as the answer to BRPOP: a list's name, and bytes. Kombu gets only what it can hold."""
        client = channel.client
        parse = client.parse_response

        def parse_response(connection: Any, command_name: str, **options: Any) -> Any:
            answer = parse(connection, command_name, **options)
            if command_name != "BRPOP":
                return answer
            self._on_the_way = tuple(answer) if answer else None
            if not answer:
                return answer
            source, raw = answer
            self._came_from = bytes_to_str(source)
            try:
                why = envelopes.unreadable(raw, lambda envelope: channel.Message(envelope, channel=channel))
            except Exception as error:
                why = f"looking at it failed: {type(error).__name__}: {error}"
            return (source, _wrap(raw, why, list_key=self._came_from)) if why else answer

        client.parse_response = parse_response

    def _bury(
        self,
        message: Any,
        why: str,
        *,
        raw: bytes | None = None,
        size: int = 0,
        told: dict[str, Any] | None = None,
        again: bool = False,
    ) -> None:
        """To the list, then acknowledged: killed in between, it comes again and stands there twice.

        `told`: the headers, as far as they are known. `again`: the fault is in what it says, so the same would come again.
        """
        headers = _headers(message) if told is None else told
        task, task_id = _text(headers.get("task")), _text(headers.get("id"))
        list_key = self._came_from or str(message.delivery_info.get("routing_key"))
        try:
            why = self._answered(headers, why, again=again)
        except AWAY:
            raise
        except Exception as error:
            log.warning(
                "sender could not be told", task_id=dead_letters.clean(task_id), error=f"{type(error).__name__}: {error}"
            )
        if raw is None:
            raw = dumps(message._raw).encode()  # noqa: SLF001 (kombu keeps the envelope there, and nowhere else)
        number = dead_letters.bury(
            list_key=list_key,
            reason=why,
            raw=raw,
            size=size or len(raw),
            task=task,
            task_id=task_id,
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
        task_rejected.send(sender=self, message=message, exc=None)

    def _answered(self, headers: dict[str, Any], why: str, *, again: bool) -> str:
        """Whoever waits for the result gets the reason: a chord or an errback too, where the body could be read.

        Not if a lease will give the request back: the reason then says so.
        """
        task_id = _text(headers.get("id"))
        if _gate_goes_on(headers, again=again):
            return f"{why}. The gate still has this request and gives it back by itself"
        if task_id:
            sentence = dead_letters.clean(f"The task did not run: {why}. Its message is kept: `marketfetch dead`.")
            self.app.backend.mark_as_failure(
                task_id,
                dead_letters.UnreadableMessage(sentence),
                request=Context({**headers, **headers.get("embed", {})}),
                store_result=not headers.get("ignore_result"),
            )
            if self.event_dispatcher:
                self.event_dispatcher.send("task-failed", uuid=task_id, exception=sentence)
        return why


class _Wrapped(BaseModel):
    """What our envelope around a message that kombu can't hold says of it. `told`: its headers, as far as they are known."""

    why: str
    size: int
    told: dict[str, Any]


def _gate_goes_on(headers: dict[str, Any], *, again: bool) -> bool:
    """True when a lease will give the request back. What would come back just as wrong is taken out of the gate."""
    grant, provider = headers.get(GRANT_HEADER), envelopes.provider_of(_text(headers.get("task")))
    record = _text(grant.get("id")) if isinstance(grant, dict) else ""
    if not provider or not record:
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


def _wrap(raw: bytes, why: str, *, list_key: str) -> bytes:
    """An envelope that kombu can hold, put back and send again, around a message that it can't."""
    queue, _, priority = list_key.partition(dead_letters.PRIORITY_MARK)
    wrapped = dumps(
        {
            "body": b64encode(raw[: dead_letters.BYTES_KEPT]).decode(),
            "content-type": "application/data",
            "content-encoding": "binary",
            "headers": {_WRAPPED: {"why": dead_letters.clean(why), "size": len(raw), "told": _told(raw)}},
            "properties": {
                "delivery_tag": str(uuid4()),
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": int(priority) if priority.isdecimal() else 0,
                "body_encoding": "base64",
            },
        }
    )
    return str(wrapped).encode()


def _unwrapped(message: Any) -> _Wrapped | None:
    """Our envelope's note; None for a message of somebody else's, also for one that only looks like ours."""
    try:
        return _Wrapped.model_validate(message.headers[_WRAPPED])
    except (KeyError, ValidationError):
        return None


def _told(raw: bytes) -> dict[str, Any]:
    """The headers of an envelope that kombu can't hold, as far as they can be read and are what they should be."""
    if len(raw) > envelopes.LARGEST:
        return {}
    try:
        headers = json.loads(raw)["headers"]
        told = {name: text for name in ("task", "id") if (text := _text(headers.get(name)))}
        record = _text((headers.get(GRANT_HEADER) or {}).get("id"))
        return {**told, GRANT_HEADER: {"id": record}, "ignore_result": headers.get("ignore_result") is True}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _headers(message: Any) -> dict[str, Any]:
    """The headers of either protocol, and what comes after the task where the body can be read."""
    try:
        payload = message.decode()
    except Exception:
        return dict(message.headers)
    if isinstance(payload, dict):
        return {**payload, **message.headers, "embed": _followers(payload)}
    embed = payload[2] if isinstance(payload, list) and len(payload) == 3 else None
    return {**message.headers, "embed": _followers(embed)}


def _followers(embed: Any) -> dict[str, Any]:
    return {name: embed.get(name) for name in ("chord", "errbacks", "chain")} if isinstance(embed, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
