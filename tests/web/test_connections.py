"""Connections: one that sends no request is cut in time, and one address has so many. And how the server is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import h11
import pytest
import uvicorn
from click.testing import CliRunner
from uvicorn.server import ServerState

from marketfetch import settings
from marketfetch.cli.main import marketfetch
from marketfetch.cli.up import _start_web
from marketfetch.exceptions import UnavailableError
from marketfetch.ops import access_tokens
from marketfetch.settings import get_settings
from marketfetch.web import app, http_server
from marketfetch.web.guards import origins_of

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Timer:
    """What `call_later` returns; a test lets its time come."""

    def __init__(self, seconds: float, function: Callable[[], None]) -> None:
        self.seconds, self.function, self.cancelled = seconds, function, False

    def cancel(self) -> None:
        self.cancelled = True

    def passes(self) -> None:
        if not self.cancelled:
            self.function()


class Loop:
    """An event loop in which time stands still, and requests run until the test ends."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, function: Callable[[], None]) -> Timer:
        self.timers.append(Timer(seconds, function))
        return self.timers[-1]

    def create_task(self, request: Any) -> Any:
        request.close()
        return Task()


class Task:
    """A request that never ends."""

    def add_done_callback(self, function: Callable[..., None]) -> None:
        """It never calls it."""


class Transport:
    """A connection from an address."""

    def __init__(self, host: str) -> None:
        self.host, self.aborted = host, False

    def get_extra_info(self, name: str) -> Any:
        return (self.host, 50_000) if name == "peername" else None

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        """The buffer is full, or a response runs."""

    def is_closing(self) -> bool:
        return self.aborted


class Connection:
    """One of a server's connections, on a loop of the test."""

    def __init__(self, host: str = "192.0.2.7", state: ServerState | None = None) -> None:
        self.loop, self.transport = Loop(), Transport(host)
        config = uvicorn.Config(app=app.guarded, log_config=None)
        self.of_server = http_server.Protocol(config, state or ServerState(), {}, _loop=self.loop)
        transport: Any = self.transport
        self.of_server.connection_made(transport)

    def sends(self, data: bytes) -> None:
        self.of_server.data_received(data)

    def is_cut_when_its_time_comes(self) -> bool:
        for one in self.loop.timers:
            if one.seconds == http_server.HEADERS_S:
                one.passes()
        return self.transport.aborted


@pytest.mark.parametrize("sent", [b"", b"G", REQUEST[:-2]])
def test_a_connection_without_the_headers_of_a_request_is_cut(sent):
    connection = Connection()
    if sent:
        connection.sends(sent)
    assert connection.is_cut_when_its_time_comes()


def test_a_byte_now_and_then_does_not_lengthen_the_time():
    connection = Connection()
    for one in REQUEST[:-1]:
        connection.sends(bytes([one]))
    assert len(connection.loop.timers) == 1
    assert connection.is_cut_when_its_time_comes()


def test_a_request_has_its_own_time():
    connection = Connection()
    connection.sends(REQUEST[:9])
    connection.sends(REQUEST[9:])
    assert not connection.is_cut_when_its_time_comes()


def test_what_begins_a_second_request_and_does_not_end_it_is_cut_too():
    connection = Connection()
    connection.sends(REQUEST)
    of_server = connection.of_server
    for part in (h11.Response(status_code=200, headers=[("Content-Length", "0")]), h11.EndOfMessage()):
        of_server.conn.send(part)
    of_server.on_response_complete()
    assert not connection.is_cut_when_its_time_comes()
    connection.sends(REQUEST[:9])
    assert connection.is_cut_when_its_time_comes()


def test_one_address_has_so_many_connections_and_this_machine_any_number(monkeypatch):
    monkeypatch.setattr(http_server, "MOST_OF_ADDRESS", 3)
    state = ServerState()
    for host, let_in in (("192.0.2.7", 3), ("192.0.2.8", 3), ("127.0.0.1", 5), ("::1", 5)):
        cut = [Connection(host, state).transport.aborted for _ in range(5)]
        assert cut == [False] * let_in + [True] * (5 - let_in)


@pytest.mark.parametrize("given", ["2001:db8::1", "[2001:DB8:0::1]"])
def test_an_address_that_is_let_in_lets_no_other_name_in(monkeypatch, given):
    seen = []
    monkeypatch.setattr(app, "make_api", lambda rules, **_: seen.append(rules))

    def refused(*_: object) -> None:
        raise UnavailableError("it is no matter of this test")

    monkeypatch.setattr(http_server, "listen", refused)
    done = CliRunner().invoke(marketfetch, ["serve", "--allow-host", given, "--allow-host", "Data.Example"])
    assert "no matter of this test" in done.output
    assert seen[0].hosts == ("2001:db8::1", "data.example")


def test_the_settings_say_what_the_options_do_not(monkeypatch):
    seen = []
    monkeypatch.setattr(app, "make_api", lambda rules, **_: seen.append(rules))
    monkeypatch.setattr(access_tokens, "listed", lambda: [None])
    monkeypatch.setattr(access_tokens, "is_valid", lambda _: True)

    def refused(host: str, port: int) -> None:
        raise UnavailableError(f"asked for {host} and {port}")

    monkeypatch.setattr(http_server, "listen", refused)
    with settings.override({}):
        for name, value in {
            "HOST": "192.0.2.7",
            "PORT": "0",
            "HOSTS": '["data.example"]',
            "ORIGINS": '["https://app.example"]',
            "REQUIRE_TOKEN": "true",
        }.items():
            monkeypatch.setenv(f"MARKETFETCH_SERVE__{name}", value)
        get_settings.cache_clear()
        done = CliRunner().invoke(marketfetch, ["serve", "--allow-host", "b.example"])
        assert "asked for 192.0.2.7 and 0" in done.output
        assert (seen[0].loopback, seen[0].hosts, seen[0].tokens_always) == (False, ("b.example", "data.example"), True)
        assert seen[0].origins == origins_of(["https://app.example"])
        done = CliRunner().invoke(marketfetch, ["serve", "--host", "127.0.0.1", "--port", "81"])
        assert "asked for 127.0.0.1 and 81" in done.output
        monkeypatch.setenv("MARKETFETCH_SERVE__HOST", "a:b")
        get_settings.cache_clear()
        assert "serve.host: 'a:b' is no name of a host" in CliRunner().invoke(marketfetch, ["serve"]).output
        monkeypatch.undo()


@pytest.mark.parametrize("given", ["a:b", "data.example:443", "2001:db8::1::2", "[127.0.0.1]:80"])
def test_a_name_with_a_port_is_no_name(given):
    done = CliRunner().invoke(marketfetch, ["serve", "--allow-host", given])
    assert (done.exit_code, "is no name of a host" in done.output) == (2, True)


def test_up_passes_on_that_a_token_is_needed(monkeypatch):
    started: list[tuple[str, ...]] = []

    class Processes:
        def start(self, name: str, *arguments: str, **_: object) -> Any:
            started.append(arguments)
            return type("Child", (), {"log": Path("web.log")})

    redis: Any = type("Redis", (), {"url": "redis://localhost"})
    everything: Any = Processes()
    monkeypatch.setattr("marketfetch.cli.up.refusal", lambda _: "")
    for needed in (True, False):
        with click.Context(marketfetch):
            _start_web(everything, redis, None, {}, 8787, require_token=needed)
    assert ["--require-token" in one for one in started] == [True, False]
    refused = CliRunner().invoke(marketfetch, ["up", "--require-token"])
    assert (refused.exit_code, "write --web too" in refused.output) == (2, True)
