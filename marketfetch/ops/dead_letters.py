"""The dead-letter list: messages that no worker can run, kept in Redis with the reason until an operator decides.

One Redis stream, `mf:dead`, whose ids are times. It is bounded in two ways: with MOST_KEPT messages the oldest is dropped,
with a log line; of each message BYTES_KEPT are kept, and a message that was cut can't be sent again.
"""

from __future__ import annotations

import importlib
import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from marketfetch import connections, redis_errors, vendors
from marketfetch.addresses import broker, broker_setting
from marketfetch.exceptions import BadRequestError, UnavailableError, UnknownName, WrongValueError
from marketfetch.extras import MissingExtra, need
from marketfetch.lazy_logger import logger
from marketfetch.ops import redis_writes
from marketfetch.quotas import Gate
from marketfetch.redaction import Redactor
from marketfetch.redis_keys import named
from marketfetch.settings import get_settings
from marketfetch.suggestions import did_you_mean

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

log = logger("marketfetch.dead")

T = TypeVar("T")

#: Named by text, as in marketfetch/ops/redis_diagnosis.py: the core does not import Celery.
_CELERY_SIDE: Final = "marketfetch.tasks.sending.again"

KEY: Final = "mf:dead"
MOST_KEPT: Final = 1_000
BYTES_KEPT: Final = 64 * 1024
#: How long a request's message is remembered: longer than the gate needs to deliver it five times.
_REMEMBERED_S: Final = 86_400
#: Characters; a parser may quote a whole body in its error.
_LONGEST_REASON: Final = 400
#: As Redis writes the ids of a stream: milliseconds, and a number within them.
_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
#: The shortest beginning of an id that stands for a message, and how many of several are named.
_SHORTEST: Final = 4
_MOST_SHOWN: Final = 5
#: Between a queue's name and a priority, in the name of kombu's Redis list.
PRIORITY_MARK: Final = "\x06\x16"


class UnreadableMessage(Exception):
    """The error of a task that never ran because its message could not be used. The sentence says why."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`list_key`: the Redis list it came from. `raw`: its bytes, cut after BYTES_KEPT; `size`: how many it had."""

    id: str
    list_key: str
    reason: str
    task: str
    task_id: str
    size: int
    raw: bytes

    @property
    def when(self) -> datetime:
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, UTC)

    @property
    def queue(self) -> str:
        return self.list_key.partition(PRIORITY_MARK)[0]

    @property
    def whole(self) -> bool:
        """False when it was cut: it can be shown but not sent again."""
        return len(self.raw) == self.size

    def text(self) -> str:
        """The message for display: the body decoded where possible, every secret cut out."""
        return "\n".join(_printable(line) for line in _redacted(_opened(self.raw)).split("\n"))


def bury(
    *, list_key: str, reason: str, raw: bytes, size: int, task: str, task_id: str, once: str = "", last: bool = False
) -> str:
    """Adds a message and returns its id in the list: it is safe now and may be acknowledged. Raises RedisError.

    `once`: a key that remembers the message for a day. The next one with this key replaces it in the list; after the last
    one the key is gone.
    """
    redis = connections.redis()
    key = named(redis, KEY)
    fields = {
        "list": list_key,
        "reason": clean(reason),
        "task": clean(task),
        "task_id": clean(task_id),
        "size": str(size),
        "raw": b64encode(raw[:BYTES_KEPT]).decode(),
    }
    earlier = redis.get(once) if once else None
    with redis.pipeline() as pipe:
        pipe.xadd(key, {name: text.encode(errors="replace") for name, text in fields.items()})
        if earlier:
            pipe.xdel(key, earlier)
        number = cast("bytes", pipe.execute()[0]).decode()
    if once and last:
        redis.delete(once)
    elif once:
        redis.set(once, number, ex=_REMEMBERED_S)
    if dropped := redis.xtrim(key, maxlen=MOST_KEPT, approximate=False):
        log.warning("dead-letter list is full", dropped=dropped, next_step=f"the oldest went; it holds {MOST_KEPT:,}")
    return number


def clean(reason: str) -> str:
    """A reason, or a name from a message, safe to show: one line, not too long, printable, without secrets."""
    line = _printable(" ".join(_redacted(reason).split()))
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def letters() -> list[DeadLetter]:
    """All of them, oldest first. Raises MarketfetchError when Redis is away."""
    return [_letter(*one) for one in _asked(lambda redis: redis.xrange(named(redis, KEY)))]


def letter(number: str) -> DeadLetter:
    """One of them, by its id, or by a beginning of 4 characters or more that no other has. Raises MarketfetchError."""
    return cast("DeadLetter", _asked(lambda redis: _one(redis, number)))


def retry(number: str) -> DeadLetter:
    """Moves it from the list to the end of its queue, in one step. Raises MarketfetchError."""
    found = letter(number)
    if not found.whole:
        raise BadRequestError(
            f"Message {found.id} had {found.size:,} bytes and only the first {BYTES_KEPT:,} were kept, so it can't be sent "
            f"again. Send the task anew, and `marketfetch dead drop {found.id}`."
        )

    if broker().apart:
        # Two servers share no transaction: a command that is killed in between sends the message a second time.
        _sent_again(found)
        drop(number)
        return found

    def move(redis: Redis) -> None:
        key = named(redis, KEY)

        def moved(pipe: Pipeline) -> None:
            _one(pipe, found.id, key=key)  # watched: if another command retries or drops it meanwhile, this one starts again
            pipe.multi()
            pipe.xdel(key, found.id)
            pipe.lpush(named(redis, found.list_key), found.raw)

        redis.transaction(moved, key)

    _asked(move)
    return found


def _sent_again(found: DeadLetter) -> None:
    """Sends it to a broker apart from the gate's Redis. Raises MarketfetchError."""
    try:
        lists = connections.new_redis_of_broker(socket_timeout=5, socket_connect_timeout=3)
        if lists:
            with lists as redis:
                redis.lpush(named(redis, found.list_key), found.raw)
            return
        need("celery", for_what="Sending a message to a broker that is no Redis")
        side: Any = importlib.import_module(_CELERY_SIDE)
        side.send_again(found.queue, found.raw)
    except MissingExtra:
        raise
    except Exception as error:  # each of kombu's transports has its own
        why = clean(str(error).partition("\n")[0].rstrip(".")) or type(error).__name__
        raise UnavailableError(
            f"Message {found.id} was not sent, and stays in the list: {broker().shown} does not take it ({why}). "
            f"Start that broker, or correct {broker_setting()}."
        ) from error


def drop(number: str) -> DeadLetter:
    """Removes it from the list for good. Raises MarketfetchError."""
    found = letter(number)
    _asked(lambda redis: redis.xdel(named(redis, KEY), found.id))
    return found


def reply(provider: str, request_id: str) -> bytes:
    """The reply of a request that was failed because it crashed its workers: the body, or its batch as it was to be stored.

    `request_id`: also a beginning of 4 characters or more that no other kept reply has. Raises MarketfetchError when nothing
    is kept.
    """
    if provider not in vendors.names():
        raise WrongValueError(vendors.unknown(provider))
    kept: bytes | None = _asked(lambda redis: _kept(Gate(redis, pool=provider), request_id))
    if kept is None:
        raise BadRequestError(
            f"Nothing is kept of request {request_id} of {provider}: what came is kept for a week, of the latest 20 requests "
            f"that killed a worker twice."
        )
    return zlib.decompress(kept)


def _kept(gate: Gate, request_id: str) -> bytes | None:
    if (found := gate.raw(request_id)) is not None or len(request_id) < _SHORTEST:
        return found
    begin = [one for one in gate.raw_ids() if one.startswith(request_id.lower())]
    if len(begin) > 1:
        raise BadRequestError(_several("kept replies", request_id, begin))
    return gate.raw(begin[0]) if begin else None


def _several(things: str, text: str, ids: Sequence[str]) -> str:
    more = ", and more" if len(ids) > _MOST_SHOWN else ""
    return f"Several {things} begin with {text!r}: {', '.join(ids[:_MOST_SHOWN])}{more}. Write more of the id."


def forget_before(moment_ms: int) -> int:
    """Drops the messages that were buried before this Unix time and returns how many. Raises RedisError."""
    redis = connections.redis()
    return redis.xtrim(named(redis, KEY), minid=str(max(0, moment_ms)), approximate=False)


def sentences(count: int) -> list[str]:
    """What is said of so many messages; nothing of none."""
    if not count:
        return []
    return [f"{count:,} message{'s' if count > 1 else ''} could not be read: `marketfetch dead` shows which, and why."]


def _one(redis: Redis, number: str, *, key: str = "") -> DeadLetter:
    key = key or named(redis, KEY)
    found = cast("list[Any]", redis.xrange(key, min=number, max=number)) if _ID.fullmatch(number) else []
    if not found:
        kept = cast("list[Any]", redis.xrange(key))
        found = [one for one in kept if len(number) >= _SHORTEST and one[0].decode().startswith(number)]
        if len(found) > 1:
            raise BadRequestError(_several("dead messages", number, [one[0].decode() for one in found]))
        if not found:
            raise UnknownName(_unknown(number, [one.decode() for one, _ in kept]))
    return _letter(*found[0])


def _letter(number: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    def text(name: str) -> str:
        return fields.get(name.encode(), b"").decode(errors="replace")

    return DeadLetter(
        id=number.decode(),
        list_key=text("list"),
        reason=text("reason"),
        task=text("task"),
        task_id=text("task_id"),
        size=int(text("size") or 0),
        raw=b64decode(text("raw")),
    )


def _unknown(number: str, known: Sequence[str]) -> str:
    if not known:
        return f"There is no dead message {number!r}: the list is empty."
    meant = did_you_mean(number, known, cutoff=0.5) or "`marketfetch dead` lists them."
    return f"There is no dead message {number!r}. {meant}"


def _opened(raw: bytes) -> str:
    """The message as text: pretty where it is JSON, with its body decoded, since base64 would hide a secret from redaction."""
    text = raw.decode(errors="replace")
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(envelope, dict) and isinstance(envelope.get("body"), str):
        try:
            # Lenient: half a body is worth showing too.
            body = b64decode(envelope["body"].rstrip("=") + "==", validate=False).decode()
        except ValueError:
            body = envelope["body"]
        envelope["body"] = body
    return json.dumps(envelope, indent=2, ensure_ascii=False)


def _redacted(text: str) -> str:
    return Redactor(get_settings().secrets()).text(text)


def _printable(line: str) -> str:
    """Characters that control a terminal or can't be encoded become question marks."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def _asked(question: Callable[[Redis], Any]) -> Any:
    try:
        return question(connections.redis())
    except redis_errors.RedisError as error:
        raise UnavailableError(redis_writes.told(error, ", so the dead messages are not known")) from error
