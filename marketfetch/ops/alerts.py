"""Alerts: what an operator should know now, one sentence per kind, shown by `marketfetch status`; each expires after a minute.

Redis holds them, so every worker and every command sees the same ones. An alert that stays true is renewed once a minute;
an outage is logged when it begins, each minute, and when it ends, never once per attempt.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from marketfetch import connections, vendors
from marketfetch.lazy_logger import logger
from marketfetch.ops import dead_letters
from marketfetch.quotas import Gate, reporting
from marketfetch.redis_keys import named

if TYPE_CHECKING:
    from redis import Redis

log = logger("marketfetch.alerts")

#: The key's name is older than this module's: records keep theirs.
_PREFIX: Final = "mf:trouble:"
REMEMBERED_S: Final = 60
#: The kinds that concern every job.
_OF_ALL: Final = ("archive", "database", "newer batches", "unstorable")


def report(kind: str, sentence: str, *, redis: Redis | None = None) -> None:
    """Sets the alert of this kind, replacing an earlier one. `names` has the kinds that `status` shows. Raises RedisError."""
    redis = redis or connections.redis()
    redis.set(named(redis, f"{_PREFIX}{kind}"), sentence, ex=REMEMBERED_S)


def clear(kind: str) -> None:
    """Removes the alert of this kind. Raises RedisError."""
    redis = connections.redis()
    redis.delete(named(redis, f"{_PREFIX}{kind}"))


def sentences(redis: Redis) -> list[str]:
    """Every alert in force, by kind, and what is true of messages and grants. Looks through all keys. Raises RedisError."""
    found = [redis.get(key) for key in sorted(redis.scan_iter(match=f"{named(redis, _PREFIX)}*", count=1000))]
    return [one.decode() for one in found if isinstance(one, bytes)] + of_messages(redis)


def names(redis: Redis, providers: Sequence[str], job_ids: Sequence[str]) -> list[str]:
    """The keys of the alerts that concern these vendors and jobs: `status` reads them, and looks through no other keys."""
    of_vendors = [f"newer requests of {one}" for one in providers]
    of_queues = [f"messages of other apps in {queue}" for queue in ("celery", "store", *(f"fetch.{one}" for one in providers))]
    kinds = sorted([*_OF_ALL, *of_vendors, *of_queues, *(f"job {one}" for one in job_ids)])
    return [named(redis, f"{_PREFIX}{kind}") for kind in kinds]


def of_messages(redis: Redis) -> list[str]:
    """One sentence while the dead-letter list is not empty, one per vendor whose grants no worker starts. Raises RedisError."""
    found = dead_letters.sentences(redis.xlen(named(redis, dead_letters.KEY)))
    for provider in vendors.names():
        if many := reporting.unstarted(Gate(redis, pool=provider)):
            found.append(f"Requests of {provider} ({many:,}) {reporting.UNSTARTED}.")
    return found


class Alert:
    """One kind of alert, renewed and logged by this process at most once a minute while it is true."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._renewed: float | None = None

    def holds(self, sentence: str, *, redis: Redis | None = None) -> None:
        """Reports a true sentence. `redis`: the caller's own connection, for threads that share none. Raises RedisError."""
        now = time.monotonic()
        # The alert is renewed a little before it expires, so that it has no gap.
        if self._renewed is not None and now - self._renewed < 0.9 * REMEMBERED_S:
            return
        self._renewed = now
        report(self._kind, sentence, redis=redis)
        log.warning(sentence)


class Outage:
    """Logs an outage when it begins, then each minute, and its length when it ends."""

    _SAY_AGAIN_S: Final = 60.0

    def __init__(self, who: str) -> None:
        """`who` is the waiting part, a word for the log."""
        self._who = who
        self._what = ""
        self._since = self._said = 0.0

    def goes_on(self, what: str, error: Exception) -> None:
        """Reports another failed attempt: `what` is unavailable."""
        now = time.monotonic()
        if what != self._what:
            self._what, self._since = what, now
        elif now - self._said < self._SAY_AGAIN_S:
            return
        self._said = now
        away = f"{now - self._since:.0f} s"
        log.warning(
            f"{self._who} waits for {what}", error=str(error), away=away, next_step="tries again and again, then goes on"
        )

    def over(self) -> bool:
        """Reports a successful attempt. True if it ends an outage."""
        was_away = bool(self._what)
        if was_away:
            log.warning(
                f"{self._what} is back", away=f"{time.monotonic() - self._since:.1f} s", next_step=f"the {self._who} goes on"
            )
            self._what = ""
        return was_away
