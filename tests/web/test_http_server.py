"""The end of the server: a thread that still works holds up no end of the process."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading

import pytest
import uvicorn

from marketfetch.web import http_server, server_logs
from marketfetch.web.guards import AccessRules
from marketfetch.web.web_service import Service


@pytest.fixture
def left(monkeypatch) -> tuple[threading.Event, list[int]]:
    """Set when the process would have ended, and the exit codes."""
    event, codes = threading.Event(), []

    def leave(code: int) -> None:
        codes.append(code)
        event.set()

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(http_server, "_LEAVE_S", 0.01)
    return event, codes


def test_a_thread_that_works_for_ever_holds_up_no_end(left, monkeypatch):
    service, released, working = Service(AccessRules(), "ann"), threading.Event(), threading.Event()

    def away() -> None:
        working.set()
        released.wait(60)

    def served(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        async def one_request() -> None:
            asked = asyncio.create_task(service.calls.quick(away))
            assert await asyncio.to_thread(working.wait, 60)
            asked.cancel()  # as uvicorn does with what runs behind its time of grace

        asyncio.run(one_request())
        self.should_exit = True

    monkeypatch.setattr(uvicorn.Server, "run", served)
    try:
        with http_server.listen("127.0.0.1", 0) as listening:
            http_server.run(lambda *_: None, service, listening)
        assert left[0].wait(60)
        assert left[1] == [0]
    finally:
        released.set()


def test_a_server_without_such_a_thread_ends_by_itself(left, monkeypatch):
    service = Service(AccessRules(), "ann")
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: asyncio.run(service.calls.quick(lambda: None)))
    with http_server.listen("127.0.0.1", 0) as listening:
        http_server.run(lambda *_: None, service, listening)
    assert not any(isinstance(one, threading.Timer) for one in threading.enumerate())
    assert not left[1]


def test_a_request_that_is_cancelled_at_the_end_writes_no_traceback(caplog):
    log = logging.getLogger("test.of.uvicorn")
    log.addFilter(server_logs.is_news)
    for error in (asyncio.CancelledError("timeout graceful shutdown exceeded"), ValueError("a fault")):
        log.error("Exception in ASGI application", exc_info=error)
    log.error("Cancel 1 running task(s), timeout graceful shutdown exceeded")
    assert [type(one.exc_info[1]) if one.exc_info else None for one in caplog.records] == [ValueError, None]
