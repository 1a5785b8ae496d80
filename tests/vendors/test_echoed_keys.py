"""Every place of a reply in which a vendor repeats the key: what is read of it is walked, and the key stands nowhere."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest
from pydantic import SecretStr

from marketfetch.quotas.values import Kept
from marketfetch.sandbox.echoes import PLACES, echo, spellings
from marketfetch.sandbox.reply import Reply
from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import reading, transport, vendor
from marketfetch.vendors.errors import Fatal, FetchError
from marketfetch.vendors.harmless import harmless_text
from marketfetch.vendors.http import HttpReply, HttpRequest, KeyPlace
from tasks import attempt
from tests.vendors.worst_bodies import body_of, request_for

KEYS = ("Zq9X+pW/7=&k%3Tmv", "a\"b'c\\d<e>f1", "KEYABCDE", "?k: v/&;\\\\#")
EACH_KEY = pytest.mark.parametrize("key", KEYS)
DATASETS = [(name, one.name) for name in ("alpha_vantage", "nasdaq", "polygon") for one in vendor(name).datasets]
DAY_MS = 86_400_000
#: Midnight in New York, in winter.
FIRST_DAY_MS = 18_000_000


def texts(found: object) -> Iterator[str]:
    """Every text that can be reached from a page or an error, but for the rows."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, BarSeries):
        return
    elif isinstance(found, FetchError):
        yield from texts([*found.args, str(found), repr(found), found.__dict__, found.__cause__, found.__context__])
    elif isinstance(found, Page):
        yield from texts([found.left_out, found.reject_counts])
        yield from texts([getattr(found, one.name) for one in dataclasses.fields(found) if one.name != "records"])
    elif dataclasses.is_dataclass(found):
        yield from texts([getattr(found, one.name) for one in dataclasses.fields(found)])
    elif isinstance(found, dict):
        yield from texts([*found, *found.values()])
    elif isinstance(found, list | tuple):
        for one in found:
            yield from texts(one)


def read(request: Request, reply: HttpReply, key: str) -> Page | FetchError:
    options = vendor(request.provider).options(base_url="http://vendor.test")
    try:
        return reading.read(request, reply, options, max_reject_share=0.2, secrets=(key,))
    except FetchError as error:
        return error


@EACH_KEY
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("name", "dataset"), DATASETS)
def test_no_text_of_what_is_read_holds_the_key_wherever_it_is_repeated(name, dataset, place, key):
    body = body_of(name, dataset, "good rows out of range", 3_000, 50)
    if b'"datatable"' in body:  # with columns as the vendor names them
        document = json.loads(body)
        named = [one if isinstance(one, dict) else {"name": one} for one in document["datatable"]["columns"]]
        document["datatable"]["columns"] = named
        body = json.dumps(document).encode()
    with suppress(StopIteration):  # a table without a closing price
        said = echo(name, key, place, Reply(200, body, symbol="IBM"))
        headers = {one.lower(): f"{value} {' '.join(spellings(key))}" for one, value in said.headers}
        headers |= {f"x-{n}": one for n, one in enumerate(spellings(key))} | {"cursor_id": key, "retry-after": key}
        found = read(request_for(name, dataset), HttpReply(said.status, headers, said.body), key)
        held = [(text, one) for text in texts(found) for one in spellings(key) if one in text]
        assert held == []


@EACH_KEY
@pytest.mark.parametrize("spelled", range(15))
def test_a_next_url_keeps_its_cursor_and_no_parameter_with_the_key(key, spelled):
    written = spellings(key)[spelled]
    for name in ("access_token", "auth", "api-key", "apiKey", "x"):
        for value in (written, quote_plus(written), quote_plus(quote_plus(written))):
            document = {
                "status": "OK",
                "results": [{"t": FIRST_DAY_MS, "o": 1, "h": 1, "l": 1, "c": 1}],
                "next_url": f"https://api.polygon.io/v2/aggs/ticker/IBM/range?cursor=abc&{name}={value}",
            }
            found = read(Request(provider="polygon", symbol="IBM"), HttpReply(200, {}, json.dumps(document).encode()), key)
            assert not [text for text in texts(found) for one in spellings(key) if one in text]
            if "&" not in value and "#" not in value and ";" not in value:
                assert isinstance(found, Page)
                assert found.next == "/v2/aggs/ticker/IBM/range?cursor=abc"


def test_a_key_that_equals_the_symbol_changes_neither_the_rows_nor_the_way_to_the_next_page():
    document = {
        "status": "OK",
        "ticker": "KEYABCDE",
        "results": [{"t": FIRST_DAY_MS + DAY_MS * n, "o": 1, "h": 1, "l": 1, "c": 1, "v": 12_345_678} for n in range(1, 5)],
        "next_url": "https://api.polygon.io/v2/aggs/ticker/KEYABCDE/range/1/day/1/2?cursor=abc",
    }
    request = Request(provider="polygon", symbol="KEYABCDE")
    reply = HttpReply(200, {}, json.dumps(document).encode())
    plain, *hidden = (read(request, reply, key) for key in ("other-key", "KEYABCDE", "12345678", "1"))
    assert isinstance(plain, Page)
    assert plain.next == "/v2/aggs/ticker/KEYABCDE/range/1/day/1/2?cursor=abc"
    for one in hidden[:2]:
        assert isinstance(one, Page)
        assert one.next == plain.next
    for one in hidden:
        # A key of one digit is in every page's name: no page follows, and no row is altered.
        assert isinstance(one, FetchError) or repr(one.series) == repr(plain.series)


def test_a_cut_leaves_no_half_of_a_key():
    for key in KEYS:
        for before in range(0, 4_050, 7):
            shown = harmless_text("x" * before + f" {key} " * 3_000, (key,), 200)
            assert len(shown) <= 200
            assert not any(key[:n] in shown.replace("[secret]", "") for n in range(3, len(key)))


class _Server:
    """Sends the same bytes to every connection."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(self._reply)

    def call(self, key: str) -> HttpReply | FetchError:
        try:
            return transport.send(
                HttpRequest("/x", (), KeyPlace("header", "Authorization", "Bearer {key}")),
                base_url=f"http://127.0.0.1:{self._socket.getsockname()[1]}",
                provider="acme", key_label="main", key=SecretStr(key), timeouts=transport.Timeouts(1, 1, 2),
            )  # fmt: skip
        except FetchError as error:
            return error
        finally:
            transport.close_sessions()
            self._socket.close()


@EACH_KEY
@pytest.mark.parametrize("status", [301, 302, 308])
def test_a_redirect_says_where_to_without_the_key_printable_and_short(key, status):
    for before in (0, 150, 195, 3_995):
        path = f"{'x' * before}{'/'.join(spellings(key))}\x1b[31m\x9b"
        said = f"HTTP/1.1 {status} Moved\r\nLocation: http://{quote_plus(key)}@elsewhere.test/{path}\r\n\r\n"
        error = _Server(said.encode("latin-1")).call(key)
        assert isinstance(error, FetchError)
        assert "redirects to" in error.message
        assert error.message.isprintable()
        assert len(error.message) < 400
        assert not [one for one in spellings(key) if one in error.message or one[: max(4, len(one) // 2)] in error.message]


@EACH_KEY
def test_odd_headers_are_logged_by_nobody(key, caplog):
    caplog.set_level(logging.DEBUG)
    said = f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\x00 {key}\r\nno header but {key}\r\nX: {key}\r\n\r\n{{}}"
    _Server(said.encode("latin-1")).call(key)
    assert not [one.getMessage() for one in caplog.records if any(way in one.getMessage() for way in spellings(key))]


def test_the_traceback_of_a_failed_request_holds_only_our_own_error(monkeypatch):
    monkeypatch.setattr(attempt, "send_to_store", lambda _: None)
    run = object.__new__(attempt.Run)
    run.turn, run.id, run.request, run.called_at_ms = SimpleNamespace(key_label="main", calls=1), "1", None, 0  # type: ignore[assignment]
    run.keep, run.turn_to_store = lambda *_, **__: Kept.FOR_OTHERS, None  # type: ignore[method-assign]

    def slip() -> Any:
        try:
            raise ValueError(KEYS[0])
        except ValueError:
            run.failed(Fatal("marketfetch made a mistake"), "polygon", "IBM")

    with pytest.raises(Fatal) as caught:
        slip()
    assert KEYS[0] not in "".join(traceback.format_exception(caught.value))
