"""A message that kombu can read and Celery cannot run is dropped, fails again and again, or ends the worker.

What fails without it: Celery acknowledges a body that it cannot decode and rejects an unknown task, and keeps neither; a time
limit that is no number or a body of two parts ends the worker, which finds the same message again after its restart. Shown on
Celery's own consumer by tests/hardening/test_unusable.py::test_celery_drops_what_it_cannot_run.
Upstream: https://github.com/celery/celery/issues/4308 and https://github.com/celery/celery/issues/7975 (the worker ends; both
open).
Delete when: Celery hands every message that it cannot run to one callback before it acknowledges or rejects it.
Private API: none. The checks cost some 30 µs for a message of 1 kB.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from celery.worker.consumer import Consumer
from kombu.exceptions import ContentDisallowed
from pydantic import AliasPath, BaseModel, Field, StringConstraints, ValidationError

from marketfetch import vendors
from marketfetch.addresses import broker
from marketfetch.suggestions import did_you_mean
from marketfetch.validation_words import in_words

from ..sending.parking import FETCH_PREFIX, GRANT_HEADER
from ..store import STORE_TASK
from ..worker.burial import bury, wrapped_reason
from .unreadable_messages import is_of_redis, parser_words

_Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_Whole = Annotated[int, Field(strict=True)]
_Seconds = Annotated[float, Field(ge=0)]


class _Grant(BaseModel):
    id: _Name
    fence: _Whole


class _Signature(BaseModel):
    task: _Name


class _Headers(BaseModel):
    """What Celery reads of a task before it runs it. Celery checks `eta` and `expires` itself."""

    task: _Name
    id: _Name
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    shadow: str | None = None
    retries: _Whole | None = None
    timelimit: tuple[_Seconds | None, _Seconds | None] | None = None
    ignore_result: bool | None = None
    grant: _Grant | None = Field(default=None, alias=GRANT_HEADER)


class _Embed(BaseModel):
    """What follows a task."""

    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


class _Call(BaseModel):
    args: list[Any] = []
    named: dict[str, Any] | None = Field(default=None, validation_alias=AliasPath("kwargs"))


class _Reference(BaseModel):
    """What store_batch reads of the reference that a fetch task returns."""

    provider: str
    symbol: str
    request: str


class UnusableMessages(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Moves each message that this worker cannot run to the dead-letter list, and only then rejects it."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                if why := wrapped_reason(message) or undecodable(message):
                    bury(self, message, why)
                elif why := unusable(message, self.app.tasks):
                    bury(self, message, why, again=True)
                else:
                    receive(message)
            except Exception as error:
                if is_of_redis(error) or (broker().redis is None and isinstance(error, self.connection_errors)):
                    raise
                bury(self, message, f"Celery can't handle it: {type(error).__name__}: {error}", again=True)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        bury(self, message, f"its body can't be decoded: {exc}")

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002 (Celery's signature)
        bury(self, message, "its headers name no task", again=True)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 (Celery's signature)
        bury(self, message, f"this worker knows no task {exc}", again=True)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 (Celery's signature)
        bury(self, message, f"it is no task message: {exc}", again=True)


def undecodable(message: Any) -> str:
    """Why the body gives no data, "" if it does. Damage on the way is possible: the same message may be fine again."""
    if not message.body:
        return "it has no body, so nothing says what the task's arguments are"
    try:
        message.decode()
    except ContentDisallowed:
        return f"its content-type is {message.content_type!r:.80}, and only application/json is accepted"
    except Exception as error:
        return f"its body is no JSON: {parser_words(error)}"
    return ""


def unusable(message: Any, tasks: Mapping[str, Any]) -> str:
    """Why Celery cannot run a message that was decoded, "" if it can. The same message would be as wrong the next time."""
    payload = message.decode()
    old = "task" not in message.headers  # protocol 1: everything is in the body
    if old and not isinstance(payload, dict):
        return "its headers name no task"
    try:
        named = _Headers.model_validate(payload if old else message.headers)
        if isinstance(payload, dict):
            call, _ = _Call.model_validate(payload), _Embed.model_validate(payload)
        elif isinstance(payload, list) and len(payload) == 3:
            call = _Call.model_validate({"args": payload[0], "kwargs": payload[1]})
            _Embed.model_validate({} if payload[2] is None else payload[2])
        else:
            return f"its body is {payload!r:.80}, where Celery has [args, kwargs, options]"
    except ValidationError as error:
        return f"it is no task message: {_clauses(error)}"
    if (task := tasks.get(named.task)) is None:
        meant = did_you_mean(named.task, [one for one in tasks if not one.startswith("celery.")], as_written="{!r}")
        # A clause: what reports it goes on after it.
        return f"this worker knows no task {named.task!r:.120}{meant and f' ({meant[0].lower()}{meant[1:]})'}"
    return _arguments(task, named.task, call.args, call.named or {})


def _arguments(task: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> str:
    try:
        signature, bound = _signature(task)
    except ValueError:  # a task written in C has no signature to compare with
        return ""
    try:
        given = signature.bind(*([task] if bound else []), *args, **kwargs)
    except TypeError as error:
        takes = ", which takes one symbol and the rest by name" if name.startswith(FETCH_PREFIX) else ""
        return f"the arguments do not fit {name}{takes}: {error}"
    if name == STORE_TASK:
        try:
            vendor = _Reference.model_validate(given.arguments["ref"]).provider
        except ValidationError as error:
            return f"{name} takes the reference that a fetch task returns: {_clauses(error)}"
        if vendor not in vendors.names():
            return f"{name} got a reference to the vendor {vendor!r:.80}; there are {', '.join(vendors.names())}"
    return ""


@lru_cache(maxsize=256)
def _signature(task: Any) -> tuple[inspect.Signature, bool]:
    """How the task's function is called, and whether it takes itself first."""
    run = inspect.unwrap(task.run)  # autoretry_for wraps it
    function = getattr(run, "__func__", None)
    return inspect.signature(function or run), function is not None


def _clauses(error: ValidationError) -> str:
    """What is wrong, field by field: at most three, each short."""
    found = []
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"])
        what = in_words(one)
        found.append(f"{where}: {what}" if where else what)
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more
