"""The options of `python -m marketfetch.sandbox`, and how it ends, in the process of the test."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.web import Application, HTTPError

from marketfetch.sandbox import __main__ as command
from marketfetch.sandbox.control import Health
from marketfetch.sandbox.server import _call, application
from marketfetch.sandbox.state import State


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """The states that `main` would have served."""
    found: list[State] = []

    async def serve(state: State, sockets: list[socket.socket], *_: Any) -> None:
        found.append(state)
        for one in sockets:
            one.close()

    monkeypatch.setattr(command, "_serve", serve)
    return found


def test_refused_keys_and_the_limits_of_keys_are_in_force_from_the_first_call(served: list[State]) -> None:
    limits = '{"polygon": {"a": ["5/minute"], "b": {"concurrency": 2}}, "nasdaq": {"*": ["1/day"]}}'
    assert command.main(["--refuse", "bad", "--refuse", "worse", "--limits", limits]) == 0
    accounts = served[0].service.accounts
    for vendor in ("alpha_vantage", "polygon", "nasdaq"):
        assert [accounts.of(vendor, key).refused for key in ("bad", "worse", "a")] == [True, True, False]
    assert accounts.of("polygon", "a").limits == ("5/minute",)
    assert accounts.of("polygon", "b").concurrency == 2
    assert accounts.of("nasdaq", "a").limits == ("1/day",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--delay-in", "90-20"], "'90-20' is not a range from low to high"),
        (["--delay-out", "soon"], "'soon' is not a range of milliseconds"),
        (["--limits", '["5/minute"]'], 'write {"polygon": {"*": ["5/minute"]}}'),
        (["--limits", '{"polygon": ["5/minute"]}'], 'write {"polygon": {"*": ["5/minute"]}}'),
        (["--limits", "{"], "not JSON"),
    ],
)
def test_an_option_that_can_not_be_meant_is_named(
    capsys: pytest.CaptureFixture[str], served: list[State], options: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(options)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert served == []


@pytest.fixture
def term_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("term_as_before")
def test_without_a_parent_it_says_where_it_listens_and_ends_on_a_signal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_a_signal(state: State) -> Application:
        signal.raise_signal(signal.SIGTERM)
        return application(state)

    monkeypatch.setattr(command, "application", then_a_signal)
    assert command.main([]) == 0
    url = capsys.readouterr().out.strip()
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))


def test_only_the_end_of_stdin_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: read))
    over = asyncio.Event()
    os.write(write, b"words of a person at a terminal")
    command._read_end(over)
    assert not over.is_set()
    os.close(write)
    command._read_end(over)
    os.close(read)
    assert over.is_set()


@pytest.mark.parametrize(("address", "allowed"), [("127.0.0.1", True), ("::1", True), ("10.0.0.7", False)])
def test_only_this_machine_controls_it(address: str, allowed: bool) -> None:
    handler: Any = argparse.Namespace(request=argparse.Namespace(remote_ip=address))
    if allowed:
        Health.prepare(handler)
        return
    with pytest.raises(HTTPError) as refused:
        Health.prepare(handler)
    assert refused.value.status_code == 403


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b""), ("POST", b'{"ticker": ["A", "B"], "rows": 3}')])
def test_the_body_of_a_post_is_a_query_as_the_url_is(method: str, body: bytes) -> None:
    request = argparse.Namespace(
        method=method, body=body, path="/api/v3/datatables/WIKI/PRICES", query_arguments={"api_key": [b"k"]}, headers={}
    )
    handler: Any = argparse.Namespace(request=request)
    call = _call(handler)
    assert (call.vendor, call.key) == ("nasdaq", "k")
    assert call.query == {"api_key": ["k"], **({"ticker": ["A", "B"], "rows": ["3"]} if body else {})}
