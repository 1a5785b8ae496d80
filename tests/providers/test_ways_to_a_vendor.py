"""Through a proxy and by authorities of one's own: a real proxy, and a vendor over TLS, both on loopback."""

from __future__ import annotations

import logging
import pickle
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from marketfetch.vendors import transport
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply, HttpRequest, KeyPlace
from marketfetch.vendors.transport import Timeouts, Way, send
from marketfetch.vendors.wire import SendTooLate, steady_s
from tests.small_proxy import SmallProxy, small_proxy
from tests.waiting import PATIENCE

#: A certificate for 127.0.0.1 until 2120 that vouches for itself.
TLS = Path(__file__).parents[1] / "flow" / "tls"
AUTHORITY = str(TLS / "authority.pem")
KEY, PASSWORD, ENCODED = "k3y-of-the-vendor", "pa:ss@w/rd-of-proxy", "pa%3Ass%40w%2Frd-of-proxy"
WRONG = "wr0ng-one"
BODY = b'{"status":"OK"}'
QUICK = Timeouts(connect_s=1, read_s=1, total_s=1.5, max_bytes=100_000)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Vendor

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


class _Vendor(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, scheme: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.base_url = f"{scheme}://127.0.0.1:{self.server_port}"
        if scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "server.pem")
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us hangs up."""


@pytest.fixture(params=["http", "https"])
def vendor(request: pytest.FixtureRequest) -> Iterator[_Vendor]:
    with _Vendor(request.param) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield one
        transport.close_sessions()
        one.shutdown()
        thread.join()


over_tls = pytest.mark.parametrize("vendor", ["https"], indirect=True)


@pytest.fixture
def proxy() -> Iterator[SmallProxy]:
    with small_proxy(user="me", password=PASSWORD) as one:
        yield one


def way_of(proxy: SmallProxy, *, password: str = ENCODED, ca_file: str | None = AUTHORITY) -> Way:
    return Way(SecretStr(f"http://me:{password}@127.0.0.1:{proxy.port}"), ca_file)


def call(vendor: _Vendor, way: Way, **options: object) -> HttpReply:
    return send(
        HttpRequest("/good", (("symbol", "IBM"),), KeyPlace("header", "Authorization", "Bearer {key}")),
        base_url=vendor.base_url,
        provider="polygon",
        key_label="main",
        key=SecretStr(KEY),
        way=way,
        **{"timeouts": QUICK, **options},  # type: ignore[arg-type]
    )


def told(error: BaseException) -> str:
    assert error.__cause__ is None
    assert error.__context__ is None
    return "".join(traceback.format_exception(error)) + repr(error) + repr(pickle.dumps(error))


def test_a_call_goes_through_the_proxy_with_its_password_which_the_vendor_never_sees(vendor, proxy, caplog):
    with caplog.at_level(logging.DEBUG):
        assert call(vendor, way_of(proxy)).body == BODY
    ((path, headers),) = vendor.seen
    assert (path, headers["Authorization"]) == ("/good?symbol=IBM", f"Bearer {KEY}")
    assert not [name for name in headers if name.lower().startswith("proxy")]
    (head,) = proxy.heads
    if vendor.base_url.startswith("https"):
        assert head.startswith(f"CONNECT 127.0.0.1:{vendor.server_port} ")
        assert KEY not in head + proxy.passed.decode("latin-1"), "the key is inside the tunnel"
    else:
        assert head.startswith(f"GET {vendor.base_url}/good?symbol=IBM ")
    assert "urllib3" in caplog.text
    assert not [one for one in (KEY, PASSWORD, ENCODED, proxy.expected) if one in caplog.text]


@over_tls
def test_a_tunnel_is_used_again_and_another_way_is_another_connection(vendor, proxy):
    for _ in range(2):
        call(vendor, way_of(proxy))
    assert len(proxy.heads) == 1
    call(vendor, Way(ca_file=AUTHORITY))
    assert (len(proxy.heads), len(vendor.seen)) == (1, 3)


@over_tls
def test_a_vendor_is_trusted_by_the_named_authorities_and_not_without_them(vendor, tmp_path):
    assert call(vendor, Way(ca_file=AUTHORITY)).status == 200
    with pytest.raises(Unavailable, match="TLS connection could not be trusted") as caught:
        call(vendor, Way())
    assert not caught.value.sent
    (tmp_path / "not.pem").write_text("no certificate")
    for file, says in {"not.pem": "trusted by the authorities in", "absent.pem": "can't be read"}.items():
        with pytest.raises(Unavailable, match=says):
            call(vendor, Way(ca_file=str(tmp_path / file)))
    assert len(vendor.seen) == 1


def test_a_proxy_that_refuses_the_password_is_named_and_the_password_is_not(vendor, proxy, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable, match="correct them in providers") as caught:
        call(vendor, way_of(proxy, password=WRONG))
    assert "the vendor has not seen the call" in str(caught.value)
    assert vendor.seen == []
    assert WRONG not in told(caught.value) + caplog.text


@over_tls
def test_a_proxy_that_refuses_the_tunnel_is_named_with_its_status(vendor, proxy):
    proxy.refusal = b"HTTP/1.1 403 " + ENCODED.encode() + b"\r\nContent-Length: 6\r\n\r\nno way"
    with pytest.raises(Unavailable, match=r"refused the tunnel to the vendor \(status 403\)") as caught:
        call(vendor, way_of(proxy))
    assert not caught.value.sent
    assert ENCODED not in told(caught.value)


def test_a_proxy_that_is_away_is_not_the_vendors_failure(vendor):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable, match=r"the proxy can't be reached .*; the vendor has not seen the call") as caught:
            call(vendor, Way(SecretStr(f"http://me:{ENCODED}@127.0.0.1:{port}"), AUTHORITY))
    assert ENCODED not in told(caught.value)


@over_tls
def test_a_call_ends_with_its_total_time_also_if_the_proxys_reply_never_does(vendor, proxy):
    proxy.drips = True
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"longer than 1.5 s .*; the vendor has not seen the call"):
        call(vendor, way_of(proxy))
    assert 1 < time.monotonic() - began < 3 * PATIENCE
    assert vendor.seen == []


@over_tls
def test_a_tunnel_that_comes_too_late_carries_no_call(vendor, proxy):
    proxy.delay_s = 0.4
    with pytest.raises(SendTooLate):
        call(vendor, way_of(proxy), send_by=steady_s() + 0.2)
    assert len(proxy.heads) == 1
    assert vendor.seen == []
    assert call(vendor, way_of(proxy), send_by=steady_s() + 5).status == 200
