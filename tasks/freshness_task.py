"""The task that beat sends every ten minutes: it looks which series are behind, for metrics and notifications."""

from __future__ import annotations

from celery.exceptions import Ignore
from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.ops.freshness_look import look
from marketfetch.storage.store import NoTables, StoreError

from .app import app

#: A look at a hundred thousand series takes minutes.
_TIME_LIMIT_S = 550


@app.task(name="marketfetch.look_at_freshness", throws=(StoreError, RedisError), time_limit=_TIME_LIMIT_S, ignore_result=True)
def look_at_freshness() -> None:
    """Compares each stored series with its calendar, and keeps the counts in Redis. The next message looks again."""
    try:
        look(connections.recorded(), connections.redis())
    except NoTables:
        raise Ignore from None  # nothing was fetched yet
