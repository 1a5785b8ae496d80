"""The transport against a real server on loopback that misbehaves in every way a vendor has."""

from __future__ import annotations

import gzip
import logging
import os
import pickle
import socket
import struct
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from marketfetch.vendors import transport
from marketfetch.vendors.errors import BadRequest, FetchError, Unavailable
from marketfetch.vendors.http import HttpReply, HttpRequest, KeyPlace
from marketfetch.vendors.transport import Timeouts, redacted_url, send
from marketfetch.vendors.wire import SendTooLate, steady_s
from tests.waiting import PATIENCE

SECRET = "sk+live/5ecret=0123456789"
SPELLINGS = (SECRET, "sk%2Blive%2F5ecret%3D0123456789", "sk%2Blive/5ecret%3D0123456789", "5ecret")
BODY = b'{"status":"OK","results":[1,2,3]}'
QUICK = Timeouts(connect_s=0.5, read_s=0.3, total_s=0.8, max_bytes=100_000)


#: For what is not about time: a busy machine may need longer than QUICK allows.
PATIENT = Timeouts(connect_s=30, read_s=60, total_s=60, max_bytes=100_000)
ABOUT_TIME = ("drip", "hang")


class _Vendor(BaseHTTPRequestHandler):
    """Does what the path says. `server.seen` keeps every request line and headers, `server.stop` ends what hangs."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), self.client_address))
        getattr(self, urlsplit(self.path).path.strip("/"))()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self) -> None:
        self._answer(BODY, Content_Type="application/json", X_Odd="Yes", Set_Cookie="seen=1")

    def refused(self) -> None:
        self._answer(b'{"error":"slow down"}', status=429, Retry_After="7")

    def zipped(self) -> None:
        self._answer(gzip.compress(BODY), Content_Encoding="gzip")

    def badly_zipped(self) -> None:
        self._answer(b"this is no gzip at all", Content_Encoding="gzip")

    def zipped_short(self) -> None:
        self._answer(gzip.compress(BODY * 50)[:-12], Content_Encoding="gzip")
        self.close_connection = True

    def bomb(self) -> None:
        self._answer(gzip.compress(b"a" * 5_000_000), Content_Encoding="gzip")

    def large(self) -> None:
        self._answer(b"a" * 200_000)

    def short(self) -> None:
        self._answer(BODY, Content_Length=str(len(BODY) + 10))
        self.close_connection = True

    def chunked_short(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"21\r\n" + BODY + b"\r\n")
        self.close_connection = True

    def hang(self) -> None:
        self.server.stop.wait(300)
        self.close_connection = True

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        while not self.server.stop.wait(0.05):
            try:
                self.wfile.write(b"x")
            except OSError:
                break
        self.close_connection = True

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def moved(self) -> None:
        self._answer(b"", status=302, Location=f"http://elsewhere.test{self.path}")

    def moved_for_good(self) -> None:
        self._answer(b"", status=301, Location=f"http://elsewhere.test{self.path}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Vendor)
        self.seen: list[tuple[str, dict[str, str], object]] = []
        self.stop = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are what these tests are about."""


@pytest.fixture
def server() -> Iterator[_Server]:
    one = _Server()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield one
    one.stop.set()
    transport.close_sessions()
    one.shutdown()
    one.server_close()
    thread.join()


def _call(
    server: _Server,
    path: str,
    *,
    key: KeyPlace | None = None,
    params: tuple[tuple[str, str], ...] = (("symbol", "IBM"),),
    **options: object,
) -> HttpReply:
    request = HttpRequest(path=f"/{path}", params=params, key=key or KeyPlace("query", "apikey"))
    return send(
        request,
        base_url=f"http://127.0.0.1:{server.server_port}",
        provider="polygon",
        key_label="main",
        key=SecretStr(SECRET),
        **{"timeouts": QUICK if path in ABOUT_TIME else PATIENT, **options},  # type: ignore[arg-type]
    )


def test_a_reply_comes_whole_with_lower_case_headers(server):
    reply = _call(server, "good")
    assert (reply.status, reply.body) == (200, BODY)
    assert reply.headers["x-odd"] == "Yes"
    assert reply.content_type == "application/json"


def test_an_error_status_is_a_reply_and_no_exception(server):
    reply = _call(server, "refused")
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")


def test_the_key_goes_where_the_vendor_wants_it(server):
    _call(server, "good", key=KeyPlace("query", "apikey"))
    _call(server, "good", key=KeyPlace("header", "Authorization", "Bearer {key}"))
    (in_query, _, _), (path, headers, _) = server.seen
    assert parse_qs(urlsplit(in_query).query) == {"symbol": ["IBM"], "apikey": [SECRET]}
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert "apikey" not in path


def test_a_compressed_reply_is_handed_over_plain(server):
    assert _call(server, "zipped").body == BODY
    assert "gzip" in server.seen[0][1]["Accept-Encoding"]


def test_connections_are_used_again(server):
    for _ in range(3):
        _call(server, "good")
    assert len({client for _, _, client in server.seen}) == 1


def test_after_closing_the_next_call_opens_a_new_connection(server):
    _call(server, "good")
    transport.close_sessions()
    _call(server, "good")
    assert len({client for _, _, client in server.seen}) == 2


def test_a_forked_child_does_not_speak_on_its_parents_connection(server):
    _call(server, "good")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, str(_call(server, "good").status).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    assert os.read(read_end, 10) == b"200"
    os.close(read_end)
    os.waitpid(child, 0)
    assert len({client for _, _, client in server.seen}) == 2


FAILING = {
    "hang": "no answer for 0.3 s",
    "drip": "longer than 0.8 s",
    "reset": "reset",
    "short": "middle of the reply|promised",
    "chunked_short": "middle of the reply",
    "badly_zipped": "compressed body is damaged",
    "zipped_short": "damaged|cut|middle",
    "large": "larger than 100000 bytes",
    "bomb": "larger than 100000 bytes",
    "moved": "redirects to elsewhere.test/moved",
}


@pytest.mark.parametrize(("path", "sentence"), FAILING.items())
def test_what_breaks_on_the_way_is_unavailable_and_asked_only_once(server, path, sentence):
    with pytest.raises(Unavailable, match=sentence) as caught:
        _call(server, path)
    assert "key main" in str(caught.value)
    assert len(server.seen) == 1


def test_a_call_ends_with_its_total_time_whatever_drips_in(server):
    began = time.monotonic()
    with pytest.raises(Unavailable):
        _call(server, "drip")
    assert time.monotonic() - began < 2 * PATIENCE


def test_a_vendor_that_has_moved_for_good_is_a_setting_to_change(server):
    with pytest.raises(BadRequest, match="change base_url"):
        _call(server, "moved_for_good")
    assert len(server.seen) == 1


def test_nobody_at_home_is_unavailable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable, match="could not be made"):
            send(
                HttpRequest("/good", (), KeyPlace("query", "apikey")),
                base_url=f"http://127.0.0.1:{port}",
                provider="polygon",
                key_label="main",
                key=SecretStr(SECRET),
                timeouts=QUICK,
            )


@pytest.mark.parametrize("path", [*FAILING, "moved_for_good"])
def test_no_failure_holds_the_key_in_text_context_pickle_or_log(server, path, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(FetchError) as caught:
        _call(server, path)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(pickle.dumps(error)) + caplog.text
    assert not [spelling for spelling in SPELLINGS if spelling in told]


def test_a_call_that_went_well_leaves_no_key_in_the_log_even_at_debug(server, caplog):
    with caplog.at_level(logging.DEBUG):
        _call(server, "good")
    assert "urllib3" in caplog.text  # The log is on; what is missing was taken out.
    assert not [spelling for spelling in SPELLINGS if spelling in caplog.text]


def test_past_its_send_by_moment_nothing_is_sent(server):
    with pytest.raises(SendTooLate):
        _call(server, "good", send_by=steady_s() - 0.001)
    assert server.seen == []
    assert _call(server, "good", send_by=steady_s() + 5).status == 200


def test_a_machine_that_slept_between_start_and_send_sends_nothing(server, monkeypatch):
    """Awake again, CLOCK_MONOTONIC has not moved; somebody else may have the request by now."""
    send_by, real = steady_s() + 5, time.clock_gettime
    slept_s = {getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC): 600}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + slept_s.get(clock, 0))
    with pytest.raises(SendTooLate):
        _call(server, "good", send_by=send_by)
    assert server.seen == []


def test_a_cookie_that_the_vendor_sets_does_not_change_the_next_answer(server):
    """Replies must not depend on which worker asked before."""
    _call(server, "good")
    _call(server, "good")
    assert all("Cookie" not in headers for _, headers, _ in server.seen)


def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert _call(server, "good").status == 200


def test_a_logged_url_shows_where_the_key_went_and_not_the_key():
    in_query = HttpRequest("/query", (("symbol", "BRK B"),), KeyPlace("query", "apikey"))
    in_header = HttpRequest("/v2/x?cursor=abc", (("a", "b"),), KeyPlace("header", "Authorization"))
    assert redacted_url(in_query, "https://h.test/") == "https://h.test/query?symbol=BRK+B&apikey=[key]"
    assert redacted_url(in_header, "https://h.test") == "https://h.test/v2/x?cursor=abc&a=b"
