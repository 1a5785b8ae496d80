"""A key goes to the host, port and path of base_url and nowhere else, whatever a cursor, a symbol or a dataset holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from marketfetch.schemas.request import Request
from marketfetch.vendors import transport
from marketfetch.vendors.errors import FetchError, PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from tests.vendors.worst_bodies import all_vendors

VENDORS = all_vendors()
EVERY = pytest.mark.parametrize("name", sorted(VENDORS))
SECRET = "S3CR3Tkey0123456789"
PREFIX = "/api/v3"
#: What a writer to Redis could leave in a parked request, as the cursor of its next page, or a caller as its symbol.
ODD = (
    *(".evil.test/x", "@evil.test/x", ":80@evil.test/", "2/hm/steal", "//evil.test/x", "/\\evil.test", "\\\\evil.test"),
    *("/../../steal", "/%2e%2e/%2e%2e/steal", "/x/..%2f..%2fsteal", "/./x", "https://evil.test/x", "?x=y", "#x", "", "/"),
    *("/x\r\nHost: evil.test", "/x\n", "/x\0", "/ x", "/x y", "/\u202ex", "/%00", "..", "../..", "A/../../B", "%2e%2e/B"),
)


@pytest.fixture(scope="module")
def arrivals() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A vendor on loopback: its base URL, and each request line with its Host."""
    seen: list[tuple[str, str]] = []

    class Vendor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Host"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}", seen
        server.shutdown()


def refusal(build: Callable[[], HttpRequest], base_url: str) -> str:
    """Builds and makes the call; returns why it was refused, "" where it was made."""
    try:
        transport.send(
            build(),
            base_url=base_url,
            provider="acme",
            key_label="main",
            key=SecretStr(SECRET),
            timeouts=transport.Timeouts(connect_s=1, read_s=1, total_s=2),
        )
    except (PlanError, FetchError, ValidationError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("where", ["query", "header"])
@pytest.mark.parametrize("path", ODD)
def test_the_path_of_a_call_stays_below_base_url_or_nothing_is_sent(arrivals, path, where):
    base_url, seen = arrivals
    seen.clear()
    said = refusal(lambda: HttpRequest(path=path, params=(), key=KeyPlace(where, "apikey", "{key}")), base_url)
    assert not said or any(reason in said for reason in ("leaves base_url", "has not seen the call")), said
    below_only(base_url, seen)


@EVERY
@pytest.mark.parametrize("odd", ODD)
def test_no_cursor_symbol_or_dataset_leads_a_vendors_call_elsewhere(arrivals, name, odd):
    base_url, seen = arrivals
    known = VENDORS[name]
    seen.clear()
    plain: dict[str, Any] = {"provider": name, "symbol": "IBM", "start": date(2024, 1, 2), "end": date(2024, 1, 5)}
    for how in ({"page": 1, "cursor": odd}, {"symbol": odd}, {"dataset": odd}, {"dataset": f"A/{odd}"}, {"symbol": f"A/{odd}"}):
        options = known.options(base_url=base_url)
        assert SECRET not in refusal(lambda: known.build_request(Request(**plain | how), options), base_url)  # noqa: B023
    below_only(base_url, seen)


def below_only(base_url: str, seen: list[tuple[str, str]]) -> None:
    host = base_url.removeprefix("http://").partition("/")[0]
    for path, said in seen:
        assert said == host
        assert path.startswith(f"{PREFIX}/"), path
        below = path.partition("?")[0].lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\")
        assert ".." not in below.split("/"), path
        assert "\\" not in below


@EVERY
@pytest.mark.parametrize(
    "base_url",
    [
        *(
            "http://user:password@vendor.test",
            "https://vendor.test@evil.test/",
            "ftp://vendor.test",
            "//vendor.test",
            "vendor.test",
        ),
        *("https://vendor.test/?x=y", "https://vendor.test/#x", "https://vendor.test/a b", "https:///x", "", "https://"),
    ],
)
def test_a_base_url_with_a_user_a_query_or_no_host_is_refused(name, base_url):
    with pytest.raises(ValidationError):
        VENDORS[name].options(base_url=base_url)


@pytest.mark.parametrize("name", ["apikey", "ApiKey"])
def test_a_call_that_sets_the_parameter_of_its_key_is_not_sent(arrivals, name):
    base_url, seen = arrivals
    before = len(seen)
    call = HttpRequest("/query", ((name, "another"),), KeyPlace("query", "apikey"))
    assert "sets the parameter apikey itself" in refusal(lambda: call, base_url)
    assert len(seen) == before
