"""A message as it came from the broker: why a worker can't take it, in a sentence, or "" if it can.

Two questions at two moments. `unreadable` sees the raw bytes before kombu does: what it names would end a stock worker's
process, and the message with it. `unusable` sees what kombu has read, before Celery does: what it names would end the
process, be dropped, or fail again and again. Both cost some 50 µs for a message of 1 kB; neither raises.
"""

from __future__ import annotations

import bz2
import inspect
import lzma
import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

from kombu import compression
from kombu.exceptions import ContentDisallowed
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from pydantic import AliasPath, BaseModel, Field, StringConstraints, ValidationError

from marketfetch import vendors
from marketfetch.suggestions import did_you_mean

from ..sending.parking import FETCH_PREFIX, GRANT_HEADER
from ..store import STORE_TASK

#: Bytes. Ours have some hundred, a chord of thousands has a few million; beyond it a message is a mistake, and costs memory.
LARGEST: Final = 8 * 2**20
#: What can be unpacked up to a bound; a codec that is not here could blow up, or be missing on another machine.
_UNPACKERS: Final[dict[str, Callable[[], Any]]] = {
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}

_Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_Whole = Annotated[int, Field(strict=True)]
_Seconds = Annotated[float, Field(ge=0)]


class _Delivery(BaseModel):
    exchange: str
    routing_key: str


class _Properties(BaseModel):
    delivery_tag: _Name
    delivery_info: _Delivery
    body_encoding: str | None = None
    priority: _Whole | None = None


class _Envelope(BaseModel):
    """What kombu needs to hold a message, and to put it back when its worker dies."""

    body: str | None = None
    headers: dict[str, Any]
    properties: _Properties
    content_type: str | None = Field(default=None, alias="content-type")
    content_encoding: str | None = Field(default=None, alias="content-encoding")


class _Grant(BaseModel):
    id: _Name
    fence: _Whole


class _Signature(BaseModel):
    task: _Name


class _Headers(BaseModel):
    """What Celery reads of a task before it runs it. `eta` and `expires` it checks itself."""

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
    """What comes after a task."""

    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


class _Call(BaseModel):
    args: list[Any] = []
    named: dict[str, Any] | None = Field(default=None, validation_alias=AliasPath("kwargs"))


class _Reference(BaseModel):
    """What store_batch reads of the reference that fetch hands on."""

    provider: str
    symbol: str
    request: str


def unreadable(raw: bytes, read: Callable[[Any], Any]) -> str:
    """Why kombu can't hold this message. `read` makes kombu's own Message of an envelope: what it can't read is unreadable."""
    if len(raw) > LARGEST:
        return f"it has {len(raw):,} bytes, and more than {LARGEST:,} are taken for a mistake"
    try:
        envelope = loads(bytes_to_str(raw))
    except Exception as error:  # whatever a parser may raise: RecursionError, kombu's own types
        return f"it is no message but something else: {_no_json(error)}"
    try:
        held = _Envelope.model_validate(envelope)
    except ValidationError as error:
        return f"its envelope is damaged: {_clauses(error)}"
    encoding = held.properties.body_encoding
    if encoding and encoding.lower() != "utf-8" and encoding != "base64":
        return f"its body_encoding is {encoding!r:.80}, and only 'base64' and 'utf-8' are known"
    try:
        packed = b64decode(held.body or "") if encoding == "base64" else (held.body or "").encode()
    except ValueError as error:
        return f"its body is said to be base64 and is not: {error}"
    if why := _unpacking(packed, held.headers.get("compression")):
        return why
    try:
        message = read(envelope)
    except Exception as error:
        return f"kombu can't read it: {type(error).__name__}: {error}"
    return f"kombu can't read its body: {message.errors[0][1]}" if message.errors else ""


def _unpacking(packed: bytes, codec: Any) -> str:
    if not codec:
        return ""
    try:
        # Kombu's own table knows the short names ("gzip"); its decoder tells which of ours it is.
        decoder = compression.get_decoder(codec)
        unpacker = next(make for name, make in _UNPACKERS.items() if decoder is compression.get_decoder(name))
    except (KeyError, TypeError, StopIteration):
        return f"its compression is {codec!r:.80}, and only gzip, bzip2 and lzma are known here"
    try:
        unpacked = unpacker().decompress(packed, LARGEST + 1)
    except Exception as error:  # each codec has its own
        return f"its body is said to be compressed as {codec!r:.80} and is not: {error}"
    return f"its body unpacks to more than {LARGEST:,} bytes, which is taken for a mistake" if len(unpacked) > LARGEST else ""


def undecodable(message: Any) -> str:
    """Why the body gives no data. Its bits may have been damaged on the way: the same message may be fine elsewhere."""
    if not message.body:
        return "it has no body, so nothing says what the task's arguments are"
    try:
        message.decode()
    except ContentDisallowed:
        return f"its content-type is {message.content_type!r:.80}, and only application/json is accepted"
    except Exception as error:
        return f"its body is no JSON: {_no_json(error)}"
    return ""


def unusable(message: Any, tasks: Mapping[str, Any]) -> str:
    """Why Celery can't run a message that could be decoded: what it says is wrong, and will be wrong again."""
    payload = message.decode()
    old = "task" not in message.headers  # protocol 1: everything stands in the body
    if old and not isinstance(payload, dict):
        return "its headers name no task"
    try:
        named = _Headers.model_validate(payload if old else message.headers)
        if isinstance(payload, dict):
            call, embed = _Call.model_validate(payload), _Embed.model_validate(payload)
        elif isinstance(payload, list) and len(payload) == 3:
            call = _Call.model_validate({"args": payload[0], "kwargs": payload[1]})
            embed = _Embed.model_validate({} if payload[2] is None else payload[2])
        else:
            return f"its body is {payload!r:.80}, where Celery has [args, kwargs, options]"
    except ValidationError as error:
        return f"it is no task message: {_clauses(error)}"
    del embed
    if (task := tasks.get(named.task)) is None:
        meant = did_you_mean(named.task, [one for one in tasks if not one.startswith("celery.")], as_written="{!r}")
        return f"this worker knows no task {named.task!r:.120}. {meant}".rstrip()
    return _arguments(task, named.task, call.args, call.named or {})


def _arguments(task: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> str:
    try:
        signature, bound = _signature(task)
    except ValueError:  # written in C, as a task of somebody's may be: it will say itself what it lacks
        return ""
    try:
        given = signature.bind(*([task] if bound else []), *args, **kwargs)
    except TypeError as error:
        return f"the arguments do not fit {name}: {error}"
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


def provider_of(task: str) -> str:
    """The vendor of a fetch task, "" for every other task."""
    provider = task.removeprefix(FETCH_PREFIX)
    return provider if provider != task and provider in vendors.names() else ""


def _no_json(error: BaseException) -> str:
    if "recursion" in str(error):  # kombu wraps it in an error of its own
        return "JSON nested too deeply to be read"
    return str(error)


def _clauses(error: ValidationError) -> str:
    """What is wrong, field by field: at most three, each short."""
    found = []
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"])
        what = "should be an object" if one["type"] == "model_type" else one["msg"].lower()
        found.append(f"{where}: {what}" if where else what)
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more
