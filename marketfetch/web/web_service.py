"""What the routes of one server share: its threads, its rules, and whose jobs are submitted without a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import cast

from fastapi import Request

from marketfetch.ops.metrics_page import MetricsPage
from marketfetch.web import submit_quota
from marketfetch.web.call_threads import Calls
from marketfetch.web.callers import Caller
from marketfetch.web.guards import AccessRules
from marketfetch.web.health_look import Health
from marketfetch.web.known_tokens import KnownTokens
from marketfetch.web.live_view import Live


@dataclass(slots=True)
class Service:
    """`owner`: whose the jobs are that are submitted without a token."""

    rules: AccessRules
    owner: str
    calls: Calls = field(default_factory=Calls)
    #: How many clients read bars at this moment.
    streams: int = 0
    metrics: MetricsPage = field(default_factory=MetricsPage)
    health: Health = field(init=False)
    tokens: KnownTokens = field(init=False)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        self.health = Health(self.calls)
        self.tokens = KnownTokens(self.calls)
        self.live = Live(self.calls, self.tokens.revoked)

    def stop(self) -> None:
        """Ends the event streams, as the server is about to end. Called from a signal handler."""
        self.live.stop()

    async def count_submit(self, caller: Caller) -> None:
        """Counts a submit of this caller. Raises Refused (429) for one too many, and RedisError."""
        await self.calls.quick(partial(submit_quota.count, caller))


def service_of(request: Request) -> Service:
    return cast("Service", request.app.state.service)


def calls_of(request: Request) -> Calls:
    return service_of(request).calls
