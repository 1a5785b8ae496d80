"""What the routes of one server share: its threads, its door, and whose jobs are submitted without a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from fastapi import Request

from marketfetch.web.call_threads import Calls
from marketfetch.web.callers import Caller
from marketfetch.web.guards import Door


@dataclass(slots=True)
class Service:
    """`owner`: whose the jobs are that are submitted without a token."""

    door: Door
    owner: str
    calls: Calls = field(default_factory=Calls)
    #: How many clients read bars at this moment.
    streams: int = 0

    def stop(self) -> None:
        """The server is about to end. Called from a signal handler."""

    async def caller(self, _token: str) -> Caller | None:
        """Who has this token; None if it is unknown, or revoked."""
        return None

    async def count_submit(self, caller: Caller) -> None:
        """Counts a submit of this caller. Raises Refused (429) for one too many."""


def service_of(request: Request) -> Service:
    return cast("Service", request.app.state.service)


def calls_of(request: Request) -> Calls:
    return service_of(request).calls
