"""Detects a Redis that responds and refuses writes, and says what is wrong with it.

Its memory is full, its disk is full, or it is a replica since a failover. Each is temporary; waiting loses nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from marketfetch import redis_errors
from marketfetch.addresses import redis_setting, redis_url, sandbox_gone, sandbox_left, state_dir
from marketfetch.connections import new_redis
from marketfetch.local import runs_elsewhere, sandbox_note
from marketfetch.redis_keys import named
from marketfetch.settings import get_settings

if TYPE_CHECKING:
    from redis import Redis

#: redis-py has classes for some error codes, and removes the code from the text.
_CLASSES: Final = {
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
}
#: The code begins the text; in a transaction it follows redis-py's prefix, in an older Redis's script a line number.
_WORDS: Final = re.compile(r"(?:^|caused error: |: -)(MISCONF|OOM|READONLY|NOREPLICAS|UNBLOCKED|LOADING|MASTERDOWN)\b")
#: SETRANGE of "" creates no key, yet fails like any write.
_PROBED: Final = "mf:takes-writes"


class Refusal(Exception):
    """A refused write in the text of another error than redis-py's."""


def word(error: BaseException | None) -> str:
    """Returns the code with which Redis refuses writes ("OOM"), "" for any other error. Follows the causes of an error."""
    while error is not None:
        found = next((code for name, code in _CLASSES.items() if isinstance(error, getattr(redis_errors, name))), "")
        if not found and isinstance(error, redis_errors.ResponseError | Refusal) and (said := _WORDS.search(str(error))):
            found = said[1]
        if found:
            return found
        error = error.__cause__
    return ""


def must_take_writes(redis: Redis) -> None:
    """Raises the RedisError that a write gets now, also if Redis does not respond."""
    redis.setrange(named(redis, _PROBED), 0, "")


def sentence(redis: Redis, where: str) -> str:
    """Returns why the Redis at `where` refuses writes, and what to do; "" if it accepts them.

    Raises RedisError if it does not respond.
    """
    try:
        must_take_writes(redis)
    except redis_errors.RedisError as error:
        if refused := word(error):
            what, remedy = _what(redis, refused, error)
            return f"Redis at {where} {what}. {remedy}"
        raise
    return ""


def told(error: redis_errors.RedisError, consequence: str) -> str:
    """Returns a command's message for this error: the fault, then `consequence` (", so nothing is known"), then the remedy."""
    if refused := word(error):
        try:
            # A connection of its own: one with health checks begins with PING, which also fails while the disk is full.
            with new_redis(socket_timeout=5, socket_connect_timeout=3) as redis:
                what, remedy = _what(redis, refused, error)
        except redis_errors.RedisError:
            what, remedy = f"refuses to write ({_short(error)})", "Look at its log."
        return f"Redis at {redis_url().shown} {what}{consequence}. {remedy}"
    gone, remedy = sandbox_gone()
    if gone:
        return f"{gone}{consequence}. {remedy}"
    return f"Redis does not answer ({redis_url().shown}: {_short(error)}){consequence}. {remedy_of_silence()}"


def remedy_of_silence() -> str:
    """Returns what to do about a Redis that does not answer: `up` starts one only where none is configured."""
    if (configured := get_settings().redis_url) is not None:
        if sandbox_note.find(state_dir()).get("redis_url") == configured.get_secret_value():
            return "`marketfetch up --sandbox` runs, and starts it again within seconds: see what it prints."
        return f"Start the Redis that is configured, or correct {redis_setting()}."
    ways = f"Start one with `marketfetch up` in this folder, go to the folder where it runs, or set {redis_setting()}."
    return " ".join(filter(None, (sandbox_left(), ways, runs_elsewhere.sentence())))


def _what(redis: Redis, refused: str, error: redis_errors.RedisError) -> tuple[str, str]:
    """Returns the fault and the remedy, from the INFO of this Redis."""
    facts = redis.info("everything")
    if refused == "OOM":
        used, most = facts.get("used_memory_human", "?"), facts.get("maxmemory_human", "?")
        return (
            f"is full (used_memory {used} of maxmemory {most})",
            "Give it more memory (`CONFIG SET maxmemory`), or free some by `marketfetch cancel JOB` or `dead drop --all`.",
        )
    if refused == "READONLY":
        return "is a read-only replica", f"Name the primary in {redis_setting()}."
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
