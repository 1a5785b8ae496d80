"""The live view of one server: one reader looks at jobs and keys for all clients, and only while there is one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from marketfetch.documents.job_documents import job_line
from marketfetch.documents.key_documents import key_state
from marketfetch.exceptions import MarketfetchError
from marketfetch.jobs.job_list import listing
from marketfetch.ops import key_status
from marketfetch.web.call_threads import Calls, cleaned
from marketfetch.web.latest_events import MOST_KEPT, Item, LatestEvents, Subject, job_item, key_item, plain_item
from marketfetch.web.problems import Refused, document, refused

log = logging.getLogger("marketfetch.web")

T = TypeVar("T")

#: The time between two looks, at least; four times what a look took where that is more, up to the longest pause.
EVERY_S: Final = 1.0
LONGEST_PAUSE_S: Final = 5.0
HEARTBEAT_S: Final = 15.0
MOST_CLIENTS: Final = 500
#: The latest jobs, and behind them each older one that runs.
LATEST: Final = 50
TOPICS: Final = ("jobs", "keys")
_TOPIC_OF: Final = {"job": "jobs", "key": "keys"}
_AGAIN: Final = b"retry: 2000\n\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wants: topics, of jobs only these (all, if there are none), and with which token it asked.

    `owner`: only the jobs of this owner, and no warning about others; "" for all.
    """

    topics: Collection[str] = TOPICS
    jobs: Collection[str] = ()
    token: str = ""
    owner: str = ""

    def __call__(self, subject: Subject) -> bool:
        kind, name = subject
        if kind == "job" and self.jobs:
            return name in self.jobs
        return _TOPIC_OF.get(kind, "") in ("", *self.topics)


class Live:
    """`revoked` returns which of some tokens are valid no more."""

    def __init__(self, calls: Calls, revoked: Callable[[Collection[str]], Awaitable[Collection[str]]]) -> None:
        self._calls, self._revoked = calls, revoked
        self._latest = LatestEvents()
        self._clients: Counter[Wanted] = Counter()
        self._ended: set[str] = set()
        self._running: set[str] = set()
        #: Whose the jobs of the looks so far are.
        self._owners: dict[str, str] = {}
        self._stopped = False
        self._took_s = 0.0
        self._looked, self._changed = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Ends every stream. May be called from a signal handler."""
        self._stopped = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._wake)

    async def events(self, wanted: Wanted, last_id: str) -> AsyncGenerator[bytes, None]:
        """The text of an event stream: first what has changed since the event `last_id`, or all that is known now."""
        if self._clients.total() >= MOST_CLIENTS:
            raise Refused(503, f"{MOST_CLIENTS} clients listen already: ask again later.")
        self._clients[wanted] += 1
        try:
            yield _AGAIN
            self._read_on()
            await self._first_look()
            number = self._latest.number_of(last_id)
            while not self._stopped:
                changed = self._changed
                found, number = self._latest.since(number, self._shown_to(wanted)), self._latest.number
                if found:
                    yield found
                if wanted.token in self._ended:
                    yield b'event: end\ndata: {"detail": "The token of this stream is revoked."}\n\n'
                    return
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                except TimeoutError:
                    yield b": heartbeat\n\n"
        finally:
            self._clients[wanted] -= 1
            self._clients += Counter()

    def _shown_to(self, wanted: Wanted) -> Callable[[Subject], bool]:
        """What a client gets: one who is bound to an owner only that owner's jobs, as all else is of everyone."""
        if not wanted.owner:
            return wanted
        return lambda subject: subject[0] == "job" and self._owners.get(subject[1]) == wanted.owner and wanted(subject)

    def _read_on(self) -> None:
        if self._task is None or self._task.done():
            self._loop = asyncio.get_running_loop()
            self._looked, self._changed = asyncio.Event(), asyncio.Event()
            self._task = self._loop.create_task(self._read())

    async def _first_look(self) -> None:
        while not (self._looked.is_set() or self._stopped):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._looked.wait()

    async def _read(self) -> None:
        """Looks again and again while there is a client."""
        looked = self._looked
        while self._clients and not self._stopped:
            changed, self._took_s = False, 0.0
            try:
                changed = self._latest.merge(await self._look())
                changed = await self._end_revoked() or changed
            except Exception:
                log.exception("a look of the live view failed; the next one follows")
            looked.set()
            if changed:
                self._wake()
            await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        return max(EVERY_S, min(4 * self._took_s, LONGEST_PAUSE_S))

    async def _in_thread(self, function: Callable[[], T]) -> T:
        """What `function` returns. Its time counts, and not that of its wait for a thread."""

        def timed() -> T:
            began = time.monotonic()
            try:
                return function()
            finally:
                self._took_s += time.monotonic() - began

        return await self._calls.looking(timed)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _look(self) -> dict[Subject, Item]:
        topics = {topic for wanted in self._clients for topic in wanted.topics}
        named = {job for wanted in self._clients for job in wanted.jobs}
        found: dict[Subject, Item] = {}
        try:
            # What ran at the last look is looked at once more, so that the end of every job is an event.
            jobs = await self._in_thread(lambda: listing(LATEST, running=True, also=sorted(self._running | named)))
            self._running = {one.job_id for one in jobs.jobs if one.state == "running"}
            self._owners |= {one.job_id: one.owner for one in jobs.jobs}
            if len(self._owners) > MOST_KEPT:
                self._owners = {one.job_id: one.owner for one in jobs.jobs}
            found |= {("job", one.job_id): job_item(cleaned(job_line(one))) for one in jobs.jobs}
            found["service", ""] = plain_item(cleaned({"ok": True, "detail": "", "trouble": jobs.trouble}))
            if "keys" in topics:
                keys = await self._in_thread(key_status.lines)
                found |= {("key", f"{one.provider} {one.key.label}"): key_item(cleaned(key_state(one))) for one in keys}
        except Exception as error:
            problem = document(refused(error))
            if not isinstance(error, MarketfetchError):
                log.exception("the live view can't look")
            found["service", ""] = plain_item({"ok": False, "detail": problem["detail"], "trouble": []})
        return found

    async def _end_revoked(self) -> bool:
        tokens = {wanted.token for wanted in self._clients} - {""}
        if not tokens:
            return False
        with suppress(MarketfetchError):  # while the database is away no token can be revoked
            ended = set(await self._revoked(tokens)) - self._ended
            self._ended |= ended
            return bool(ended)
        return False
