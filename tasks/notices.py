"""A sentence that is true again and again: in the log and in `marketfetch status` once a minute, not each time."""

from __future__ import annotations

import time

import structlog
from redis import Redis

from tasks import trouble

log = structlog.get_logger("marketfetch.notices")


class Notice:
    """One kind of sentence, as said by this process."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._said: float | None = None

    def holds(self, sentence: str, *, redis: Redis | None = None) -> None:
        """It is true at this moment. `redis`: the caller's own connection, for threads that share none. Raises RedisError."""
        now = time.monotonic()
        # Somewhat earlier than it is forgotten, so that it stands without a gap.
        if self._said is not None and now - self._said < 0.9 * trouble.REMEMBERED_S:
            return
        self._said = now
        trouble.report(self._kind, sentence, redis=redis)
        log.warning(sentence)
