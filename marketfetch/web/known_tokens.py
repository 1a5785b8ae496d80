"""The tokens that this server has seen: each is looked up again after some seconds, so a revoked one is refused by then."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from typing import Final, cast

from marketfetch.ops import access_tokens
from marketfetch.ops.access_tokens import Scope, hash_of
from marketfetch.web.call_threads import Calls
from marketfetch.web.callers import Caller

KNOWN_S: Final = 2.0
_MOST_KNOWN: Final = 10_000


class KnownTokens:
    """The callers of valid tokens, by the hashes of these."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: dict[str, tuple[float, Caller]] = {}

    async def caller(self, token: str) -> Caller | None:
        """Who has this token; None if it is unknown, revoked or expired. Raises UnavailableError."""
        key = hash_of(token)
        until, caller = self._known.get(key, (0.0, None))
        if caller is not None and time.monotonic() < until:
            return caller
        row = await self._calls.quick(partial(access_tokens.recognised, token))
        if row is None:
            self._known.pop(key, None)
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        caller = Caller(row.name, cast("Scope", row.scope), row.id, row.submits, row.owner)
        self._known[key] = (time.monotonic() + KNOWN_S, caller)
        return caller

    async def revoked(self, token_ids: Collection[str]) -> Collection[str]:
        """Those of these tokens that are valid no more, for the live view. Raises UnavailableError."""
        return await self._calls.looking(partial(access_tokens.no_longer_valid, token_ids))
