"""A Redis that answers and takes no writes: which of its answers say so, and what is wrong with it, in a sentence.

It is full, its disk is full, it is a replica since a failover: each is over some time, and nothing is lost by waiting for that.
"""

from __future__ import annotations

import re
from typing import Final

from redis import Redis
from redis.exceptions import BusyLoadingError, MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from marketfetch.addresses import redis_url
from marketfetch.storage import safe_url

#: redis-py makes classes of some of these words, and takes the word out of the text.
_CLASSES: Final = {
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    BusyLoadingError: "LOADING",
    MasterDownError: "MASTERDOWN",
}
#: In front of the text; of a transaction behind redis-py's own words, of a script of an older Redis behind a line number.
_WORDS: Final = re.compile(r"(?:^|caused error: |: -)(MISCONF|OOM|READONLY|NOREPLICAS|UNBLOCKED|LOADING|MASTERDOWN)\b")
#: Writing nothing at its place leaves no key, and is refused like every other write.
_PROBED: Final = "mf:takes-writes"


class WritesRefused(RedisConnectionError):
    """Redis takes no writes now. For Celery and kombu it is a lost connection: they wait, and connect again."""

    def __init__(self, refused: Exception) -> None:
        super().__init__(f"{word(refused)} {refused}" if not str(refused).startswith(word(refused)) else str(refused))


def word(error: BaseException | None) -> str:
    """The word with which Redis refuses writes ("OOM"), "" where the error says something else. Sees what another hides."""
    while error is not None:
        found = next((name for kind, name in _CLASSES.items() if isinstance(error, kind)), "")
        if not found and isinstance(error, ResponseError | WritesRefused) and (said := _WORDS.search(str(error))):
            found = said[1]
        if found:
            return found
        error = error.__cause__
    return ""


def must_take_writes(redis: Redis) -> None:
    """Raises what Redis answers to a write, were there one; RedisError too where it does not answer."""
    redis.setrange(_PROBED, 0, "")


def sentence(redis: Redis, where: str) -> str:
    """What keeps the Redis at `where` from taking writes, and what to do about it; "" if it takes them.

    Raises RedisError where it does not answer.
    """
    try:
        must_take_writes(redis)
    except RedisError as error:
        if refused := word(error):
            what, remedy = _what(redis, refused, error)
            return f"Redis at {where} {what}. {remedy}"
        raise
    return ""


def told(error: RedisError, consequence: str) -> str:
    """What a command says that met this error: that Redis does not answer, or what is wrong with it. `consequence` follows
    what is wrong (", so nothing is known"), and is followed by what to do."""
    if refused := word(error):
        try:
            # Its own: a connection that looks after its health begins with PING, which a full disk makes an error too.
            with Redis.from_url(redis_url(), socket_timeout=5, socket_connect_timeout=3) as redis:
                what, remedy = _what(redis, refused, error)
        except RedisError:
            what, remedy = f"refuses to write ({_short(error)})", "Look at its log."
        return f"Redis at {safe_url(redis_url())} {what}{consequence}. {remedy}"
    return (
        f"Redis does not answer ({_short(error)}){consequence}. Start it with `marketfetch up` in this folder, "
        f"or correct MARKETFETCH_REDIS_URL."
    )


def _what(redis: Redis, refused: str, error: RedisError) -> tuple[str, str]:
    """What is wrong, and what to do about it, from what this Redis tells of itself."""
    facts = redis.info("everything")
    if refused == "OOM":
        used, most = facts.get("used_memory_human", "?"), facts.get("maxmemory_human", "?")
        return (
            f"is full (used_memory {used} of maxmemory {most})",
            "Give it more memory (`CONFIG SET maxmemory`), or free some by `marketfetch cancel JOB` or `dead drop --all`.",
        )
    if refused == "READONLY":
        return "is a read-only replica", "Name the primary in MARKETFETCH_REDIS_URL."
    if refused == "NOREPLICAS":
        return "has too few replicas to take writes", "Start them again, or lower its min-replicas-to-write."
    if refused in ("LOADING", "MASTERDOWN"):
        return "is not ready: it loads its data, or waits for its primary", "Wait for it."
    if facts.get("aof_enabled") and facts.get("aof_last_write_status") != "ok":
        return "can't write its append-only file, its disk is full or has failed", "Free some space; its log says more."
    if facts.get("rdb_last_bgsave_status") != "ok":
        return "can't save its snapshot, its disk is full or has failed", "Free some space; its log says more."
    return f"refuses to write ({_short(error)})", "Look at its log."


def _short(error: BaseException) -> str:
    return str(error).rstrip(".").partition("\n")[0][:200]
