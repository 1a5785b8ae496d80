"""What an operator should know now: one sentence per kind, in Redis, forgotten a minute after it was last said."""

from __future__ import annotations

from typing import Final

from redis import Redis

from tasks import connections, dead

_PREFIX: Final = "mf:trouble:"
REMEMBERED_S: Final = 60


def report(kind: str, sentence: str, *, redis: Redis | None = None) -> None:
    """Says a sentence; the latest of its kind stands."""
    (redis or connections.redis()).set(f"{_PREFIX}{kind}", sentence, ex=REMEMBERED_S)


def over(kind: str) -> None:
    """What was said of this kind is true no more."""
    connections.redis().delete(f"{_PREFIX}{kind}")


def sentences(redis: Redis) -> list[str]:
    """Every sentence that stands, by kind; and what lies in the dead-letter list, for as long as it lies there."""
    found = [redis.get(key) for key in sorted(redis.scan_iter(match=f"{_PREFIX}*", count=1000))]
    return [one.decode() for one in found if isinstance(one, bytes)] + dead.sentences(redis)
