"""Whether Redis and the database respond: one look a second for all who ask, since a load balancer asks without a token."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from redis.exceptions import RedisError

from marketfetch import connections
from marketfetch.exceptions import MarketfetchError
from marketfetch.jobs.lookup import recorded
from marketfetch.storage.store import NoTables, StoreError
from marketfetch.web.call_threads import Calls

EVERY_S: Final = 1.0


class Health:
    """The latest look of one server."""

    def __init__(self, calls: Calls) -> None:
        self._calls, self._one_at_a_time = calls, asyncio.Lock()
        self._until, self._away = 0.0, ""

    async def away(self) -> str:
        """What does not respond: "Redis", "the database", "" for neither. No address, as everyone may ask. Raises Refused."""
        async with self._one_at_a_time:
            if time.monotonic() >= self._until:
                self._away = await self._calls.quick(_away)
                self._until = time.monotonic() + EVERY_S
            return self._away


def _away() -> str:
    try:
        connections.redis().ping()
    except (MarketfetchError, RedisError):
        return "Redis"
    try:
        with suppress(NoTables):  # the first job makes them
            recorded().verify()
    except (MarketfetchError, StoreError):
        return "the database"
    return ""
