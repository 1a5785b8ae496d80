"""A message that kombu cannot read ends the worker, and the message is gone.

What fails without it: kombu removes a message from its list and then parses it. Whatever it raises (no JSON, no properties, no
base64, a delivery tag that is no text) passes through the event loop and ends the worker, or starts a reconnect loop; the
message was never listed as unacknowledged. And kombu unpacks a compressed body of any size. Shown on kombu's own channel by
tests/hardening/test_unreadable.py::test_a_message_that_kombu_cannot_read_is_lost.
Upstream: https://github.com/celery/celery/issues/7975 (open), https://github.com/celery/kombu/issues/2421 (the same on SQS,
open: no extension point before the parser).
Delete when: kombu hands the raw bytes of such a message to a callback instead of raising, and bounds what it unpacks.
Private API: `_brpop_read` and `_get_client`, where kombu reads a list and makes its Redis client; `_deliver` of the transport.
"""

from __future__ import annotations

import bz2
import json
import lzma
import re
import zlib
from base64 import b64encode
from collections.abc import Callable
from functools import partial, reduce
from typing import Any, Final
from uuid import uuid4

from kombu.compression import get_decoder
from kombu.exceptions import OperationalError
from kombu.transport import redis as transport
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis import Redis
from redis.exceptions import RedisError

from marketfetch.ops import dead_letters

from ..sending.parking import GRANT_HEADER
from .refused_writes import PrefixedRefusals, RefusalsAsConnectionErrors

#: The header of our envelope around a message that kombu cannot read.
WRAPPED: Final = "marketfetch-unreadable"
#: Bytes. Ours have some hundred, a chord of thousands has a few million; a larger message is a mistake, and costs memory.
LARGEST: Final = 8 * 2**20
#: For each of kombu's decoders its counterpart that stops at a bound. A codec that is not here could unpack to any size.
_BOUNDED: Final[dict[Any, Callable[[], Any]]] = {
    zlib.decompress: zlib.decompressobj,
    bz2.decompress: bz2.BZ2Decompressor,
    lzma.decompress: lzma.LZMADecompressor,
}
#: What kombu needs later, to put the message back, and does not check when it takes it.
_SHAPE: Final[tuple[tuple[str, Any, tuple[str, ...]], ...]] = (
    ("an object", dict, ("headers", "properties", "properties.delivery_info")),
    ("text", str, ("properties.delivery_tag", "properties.delivery_info.exchange", "properties.delivery_info.routing_key")),
    ("text", str | None, ("body", "content-type", "content-encoding", "properties.body_encoding")),
    ("a number", int | None, ("properties.priority",)),
)


#: A grant, and a task's name and id, as kombu writes them. Text inside of a body or a header has its quotes escaped.
_GRANT: Final = re.compile(rb'"%s": \{"id": "([^"\\]+)", "fence": (\d{1,19})\b' % GRANT_HEADER.encode())
_NAMES: Final = re.compile(rb'"task": "([^"\\]+)", "id": "([^"\\]+)"')


class Unreadable(ValueError):
    """Why a worker cannot read a message, in one sentence."""


def is_of_redis(error: BaseException) -> bool:
    """True where Redis is the reason, not the message. kombu's own list of such errors contains KeyError."""
    return isinstance(error, RedisError | OperationalError | OSError)


class ReadableMessage(virtual.Message):  # type: ignore[misc]  # kombu is untyped
    """kombu's message; everything that kombu would raise about it is raised here, before it is listed as unacknowledged."""

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        """Raises Unreadable."""
        if wrong := _damage(payload):
            raise Unreadable(f"its envelope is damaged: {'; '.join(wrong[:3])}")
        encoding = payload["properties"].get("body_encoding")
        if encoding and encoding.lower() != "utf-8" and encoding not in channel.codecs:
            raise Unreadable(f"its body_encoding is {encoding!r:.80}, and only 'base64' and 'utf-8' are known")
        if codec := payload["headers"].get("compression"):
            _must_be_bounded(channel.decode_body(payload.get("body") or "", encoding), codec)
        try:
            super().__init__(payload, channel=channel, **kwargs)
        except Exception as error:
            raise Unreadable(f"its body is said to be {encoding} and is not: {error}") from error
        if self.errors:
            raise Unreadable(f"kombu can't read its body: {self.errors[0][1]}")


class _Client(RefusalsAsConnectionErrors):
    """A channel's client, which remembers the message that has left Redis and is not yet listed as unacknowledged."""

    taken: tuple[Any, bytes] | None = None

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        answer = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP":
            self.taken = tuple(answer) if answer else None
            if answer and len(answer[1]) > LARGEST:
                raise Unreadable(f"it has {len(answer[1]):,} bytes, and more than {LARGEST:,} are taken for a mistake")
        return answer


class _PrefixedClient(_Client, PrefixedRefusals):
    """The same with a prefix in front of every key. kombu's own list of commands lacks two."""

    PREFIXED_SIMPLE_COMMANDS: Final = [*PrefixedRefusals.PREFIXED_SIMPLE_COMMANDS, "EXISTS", "EXPIRE"]


class UnreadableMessages(transport.Channel):  # type: ignore[misc]  # kombu is untyped
    """Delivers a message that kombu cannot read inside an envelope that it can. The consumer buries it.

    Such an envelope is listed as unacknowledged like any other message, so a worker that dies on the way returns it.
    """

    Message = ReadableMessage

    @property
    def taken(self) -> tuple[Any, bytes] | None:
        """The key of the list and the bytes of the message that is in no list of Redis now. Opens no connection."""
        found: tuple[Any, bytes] | None = getattr(vars(self).get("client"), "taken", None)
        return found

    def _get_client(self) -> Any:
        found = super()._get_client()
        if self.global_keyprefix:
            with_prefix: Any = _PrefixedClient
            return partial(with_prefix, global_keyprefix=self.global_keyprefix)
        return _Client if found is Redis else found

    def basic_consume(self, queue: str, *args: Any, callback: Callable[[Any], Any], **kwargs: Any) -> Any:
        """As kombu's. Each message carries the key of its list as `list_key`."""

        def listed(message: Any) -> Any:
            if self.taken:
                message.list_key, self.client.taken = bytes_to_str(self.taken[0]), None
            return callback(message)

        return super().basic_consume(queue, *args, callback=listed, **kwargs)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except Exception as error:
            if not self.taken or is_of_redis(error):
                raise
            key, raw = bytes_to_str(self.taken[0]), self.taken[1]
            envelope = loads(_wrap(raw, _reason(raw, error), list_key=key))
            self.connection._deliver(envelope, key.rsplit(self.sep, 1)[0])  # noqa: SLF001 (as kombu's own)
            return True


def _damage(payload: Any) -> list[str]:
    """What is wrong with an envelope, field by field; an absent field counts as None."""

    def at(path: str) -> Any:
        return reduce(lambda holder, name: holder.get(name) if isinstance(holder, dict) else None, path.split("."), payload)

    return [
        f"{path} should be {kind}, not {at(path)!r:.40}"
        for kind, types, paths in _SHAPE
        for path in paths
        if not isinstance(at(path), types)
    ]


def _must_be_bounded(packed: str | bytes, codec: Any) -> None:
    try:
        unpacker = _BOUNDED[get_decoder(codec)]()
    except (KeyError, TypeError):
        raise Unreadable(f"its compression is {codec!r:.80}, and only gzip, bzip2 and lzma are known here") from None
    try:
        unpacked = unpacker.decompress(packed.encode() if isinstance(packed, str) else packed, LARGEST + 1)
    except Exception as error:  # each codec has its own
        raise Unreadable(f"its body is said to be compressed as {codec!r:.80} and is not: {error}") from error
    if len(unpacked) > LARGEST:
        raise Unreadable(f"its body unpacks to more than {LARGEST:,} bytes, which is taken for a mistake")


def _reason(raw: bytes, error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    try:
        loads(bytes_to_str(raw))
    except Exception as no_json:
        return f"it is no message but something else: {parser_words(no_json)}"
    return f"kombu can't read it: {type(error).__name__}: {error}"


def parser_words(error: BaseException) -> str:
    """A JSON parser's complaint. kombu wraps a RecursionError in an error of its own."""
    return "JSON nested too deeply to be read" if "recursion" in str(error) else str(error)


def _wrap(raw: bytes, why: str, *, list_key: str) -> str:
    """Wraps a message that kombu can't read in an envelope that it can read, return to the queue and send again."""
    queue, _, priority = list_key.partition(dead_letters.PRIORITY_MARK)
    wrapped = dumps(
        {
            "body": b64encode(raw[: dead_letters.BYTES_KEPT]).decode(),
            "content-type": "application/data",
            "content-encoding": "binary",
            "headers": {WRAPPED: {"why": dead_letters.clean(why), "size": len(raw), "told": _known_headers(raw)}},
            "properties": {
                "delivery_tag": str(uuid4()),
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": int(priority) if priority.isdecimal() else 0,
                "body_encoding": "base64",
            },
        }
    )
    return str(wrapped)


def _known_headers(raw: bytes) -> dict[str, Any]:
    """The headers of a damaged envelope, as far as they can be read and have the right type."""
    if len(raw) > LARGEST:
        return _visible_headers(raw)
    try:
        headers = json.loads(raw)["headers"]
        known = {name: headers[name] for name in ("task", "id") if isinstance(headers.get(name), str) and headers[name]}
        grant = headers.get(GRANT_HEADER) or {}
        record = grant.get("id")
        grant = {"id": record if isinstance(record, str) else "", "fence": grant.get("fence")}
        return {**known, GRANT_HEADER: grant, "ignore_result": headers.get("ignore_result") is True}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _visible_headers(raw)


def _visible_headers(raw: bytes) -> dict[str, Any]:
    """The headers of bytes that are no JSON, or too many to be parsed: what releasers write is found by its text."""
    known: dict[str, Any] = {"ignore_result": b'"ignore_result": true' in raw}
    if found := _NAMES.search(raw):
        known |= {"task": found[1].decode(errors="replace"), "id": found[2].decode(errors="replace")}
    if found := _GRANT.search(raw):
        known[GRANT_HEADER] = {"id": found[1].decode(errors="replace"), "fence": int(found[2])}
    return known
