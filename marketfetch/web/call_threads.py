"""Runs the public functions, which block, in a bounded number of threads: the event loop is never blocked.

Quick questions, long readings and the planning of wishes have threads of their own, so that ten people who look for gaps, or
plan for a whole market, hold up no status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Response

from marketfetch import settings_in_force
from marketfetch.redaction import redact
from marketfetch.settings import get_settings
from marketfetch.web.problems import Refused

T = TypeVar("T")

QUICK: Final = 8
LONG: Final = 3
PLANNING: Final = 2
#: Calls that may wait for a thread; further ones are refused at once, since their clients would give up before their turn.
_MOST_WAITING: Final = 200


class Calls:
    """The threads of one server. Made within its event loop."""

    def __init__(self) -> None:
        self._quick, self._long = CapacityLimiter(QUICK), CapacityLimiter(LONG)
        self._planning, self._looking = CapacityLimiter(PLANNING), CapacityLimiter(1)
        self._at_work: set[int] = set()

    @property
    def busy(self) -> bool:
        """True while a thread works, also for a request that has ended."""
        return bool(self._at_work)

    async def quick(self, function: Callable[[], T]) -> T:
        """What `function` returns, for questions that take milliseconds. Raises what it raises, and Refused (503)."""
        return await self._run(function, self._quick)

    async def long(self, function: Callable[[], T]) -> T:
        """The same for what may read for seconds."""
        return await self._run(function, self._long)

    async def planning(self, function: Callable[[], T]) -> T:
        """The same for what plans a wish: seconds of computing for a large one."""
        return await self._run(function, self._planning)

    async def looking(self, function: Callable[[], T]) -> T:
        """The same for the one reader of the live view, which waits for no request of a client."""
        return await self._run(function, self._looking)

    async def answer(
        self, function: Callable[[], Any], *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        """The document that `function` returns, as JSON without any secret."""
        text = await self.quick(lambda: as_json(function()))
        return Response(text, status, headers=headers, media_type="application/json")

    async def long_answer(self, function: Callable[[], Any]) -> Response:
        """The same for what may read for seconds."""
        return Response(await self.long(lambda: as_json(function())), media_type="application/json")

    async def _run(self, function: Callable[[], T], limiter: CapacityLimiter) -> T:
        def work() -> T:
            self._at_work.add(threading.get_ident())
            try:
                settings_in_force.refresh()
                return function()
            finally:
                self._at_work.discard(threading.get_ident())

        if limiter.statistics().tasks_waiting >= _MOST_WAITING:
            raise Refused(503, f"{_MOST_WAITING} requests wait for this server already: ask again later.")
        # A thread that waits for a database that is away must not keep the server from ending (see http_server.py).
        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)


def as_json(found: Any) -> str:
    """A document as JSON; a secret that a vendor has put into one of its texts is cut out."""
    text = found.model_dump_json() if hasattr(found, "model_dump_json") else json.dumps(found)
    if redact(text, get_settings().secrets()) == text:
        return str(text)
    return json.dumps(cleaned(json.loads(text)))


def cleaned(found: Any) -> Any:
    """A document without secrets. Texts alone change: a secret may be spelled like the name of a field."""
    return _clean(found, get_settings().secrets())


def _clean(value: Any, secrets: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, list):
        return [_clean(one, secrets) for one in value]
    if isinstance(value, dict):
        return {name: _clean(one, secrets) for name, one in value.items()}
    return value
