"""Bytes on the wire that are no reply, or nearly one: each call ends in the error tree, in time and within memory."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from pydantic import SecretStr

from marketfetch.schemas.request import Request
from marketfetch.vendors import names, reading, transport, vendor
from marketfetch.vendors.errors import BadRequest, FetchError, Unavailable
from marketfetch.vendors.http import HttpReply, HttpRequest, KeyPlace
from tests.vendors import fuzz_wire
from tests.vendors.fuzzing import MOST_MB, fuzzed

COUNT = 2_000


@contextmanager
def saying(reply: bytes) -> Iterator[str]:
    """The URL of a server that sends these bytes to everyone, and closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    with server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    transport.close_sessions()


#: None of these replies is about time, and a busy machine takes longer than a case of the fuzz.
_PATIENT = replace(fuzz_wire.CALL, read_s=60.0, total_s=60.0)


def call(url: str) -> HttpReply:
    return transport.send(
        HttpRequest("/x", (), KeyPlace("query", "apikey")),
        base_url=url, provider="acme", key_label="main", key=SecretStr("hunter22"), timeouts=_PATIENT,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["bodies and headers", "bytes on the wire"])
def test_two_thousand_cases_end_in_the_tree_within_two_seconds_and_200_mb(kind):
    found, grown_mb = fuzzed(kind, COUNT, seed=20_261_129)
    assert found.failures == []
    assert sum(found.outcomes.values()) >= COUNT
    assert grown_mb < MOST_MB
    assert {line.split()[0] for line in found.outcomes} == set(names())


def test_the_wire_brings_whole_replies_too():
    """Otherwise every case would end before a reader sees it."""
    found = fuzz_wire.run(300, seed=1)
    assert sum(cases for name, cases in found.outcomes.items() if not name.endswith("of the call")) > 60
    assert any(name.endswith(" rows") for name in found.outcomes)


@pytest.mark.parametrize("status", [200, 429, 500])
@pytest.mark.parametrize(
    "length",
    ["²", "9" * 5_000, "-1", "1e3", "٣", "+2", "1_0", "2, 3", "0x2"],
    ids=lambda one: one[:4].encode("unicode_escape").decode(),
)
def test_a_content_length_that_is_no_number_is_a_damaged_reply(length, status):
    with saying(f"HTTP/1.1 {status} Fine\r\nContent-Length: ".encode() + length.encode() + b"\r\n\r\n{}") as url:
        with pytest.raises(Unavailable, match="acme") as caught:
            call(url)
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 300
        assert caught.value.sent


def test_the_superscript_of_one_byte_is_no_number_either():
    with (
        saying(b"HTTP/1.1 200 Fine\r\nContent-Length: \xb2\r\n\r\n{}") as url,
        pytest.raises(Unavailable, match="is no number"),
    ):
        call(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", [b"http://[::1", b"http://x]/y", b"//[", b"http://h:99999999/", b"\xb2", b"", b"?", b"a" * 9_000]
)
def test_a_location_that_is_no_url_is_named_and_not_followed(status, location):
    kind = BadRequest if status in (301, 308) else Unavailable
    with saying(b"HTTP/1.1 %d Moved\r\nLocation: %b\r\n\r\n" % (status, location)) as url:
        with pytest.raises(kind, match="redirects to") as caught:
            call(url)
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "base_url",
    [
        *(
            "http://[::1",
            "http://",
            "http:///x",
            "http://h:99999999",
            "http://h:x",
            "http://\ud800.test",
            "http://a b",
            "ftp://h",
        ),
        *(
            "",
            "x",
            "http://h\r\nX: y",
            "http://user:hunter22@127.0.0.1:1",
            "http://.",
            f"http://{'a' * 300}.test",
            "http://h/../y",
        ),
    ],
)
def test_a_base_url_that_is_none_ends_in_the_tree_and_sends_no_key(base_url):
    with pytest.raises(FetchError) as caught:
        call(base_url)
    assert "hunter22" not in str(caught.value)
    assert not getattr(caught.value, "sent", False)


@pytest.mark.parametrize(
    "next_url", ["http://[::1", "http://x]/y", "//", "..", "/../x", "x" * 9_000, "²", 5, True, {"a": 1}, [[]], "\ud800"]
)
def test_a_next_url_that_is_none_ends_in_the_tree_or_is_no_page(next_url):
    body = {"status": "OK", "results": [{"t": 1704085200000, "o": 1, "h": 1, "l": 1, "c": 1}], "next_url": next_url}
    options = vendor("polygon").options(base_url="http://vendor.test/below")
    request = Request(provider="polygon", symbol="IBM")
    try:
        page = reading.read(request, HttpReply(200, {}, json.dumps(body).encode()), options, max_reject_share=1.0)
    except Unavailable as error:
        assert "the response could not be read" not in error.message  # noqa: PT017 (a page is as good)
        return
    assert page.next is not None
    with pytest.raises(FetchError):  # whatever it names, it leads nowhere else
        transport.send(
            vendor("polygon").build_request(request.next_page(page.next), options),
            base_url="http://127.0.0.1:1", provider="polygon", key_label="main", key=SecretStr("x"), timeouts=fuzz_wire.CALL,
        )  # fmt: skip
