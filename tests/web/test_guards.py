"""What is refused before a route sees it: other names, other sites, large and slow bodies. Nothing of it names a secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from marketfetch.web import guards
from marketfetch.web.guards import bare_host, host_of, is_loopback
from tests.web.conftest import Client

OTHERS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8787", "169.254.169.254", "[fe80::1]", "a@b"]
WISH = {"provider": "polygon", "symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-31"}


def test_every_response_says_what_a_browser_may_do_with_it(client):
    for response in (client.get("jobs"), client.get("nothing"), client.post("jobs", content=b"x")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in response.headers
        assert "server" not in response.headers


@pytest.mark.parametrize("host", OTHERS)
def test_a_name_that_is_not_this_servers_is_refused(client, host):
    assert "does not have the name" in client.refused(client.get("jobs", headers={"host": host}), 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8787", "[::1]:8787", "127.8.8.8", "LOCALHOST"])
def test_the_names_of_this_machine_are_let_in(client, host):
    assert client.get("jobs", headers={"host": host}).status_code == 200


def test_a_proxy_and_its_name_need_a_token(make_client):
    client = make_client(hosts=("data.example",))
    response = client.get("jobs", headers={"host": "data.example"})
    assert "no request without a token. Send it" in client.refused(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert client.get("jobs").status_code == 200


def test_an_ipv6_address_that_is_let_in_is_no_other_name(make_client):
    client = make_client(hosts=("2001:db8::1",))
    assert "without a token" in client.refused(client.get("jobs", headers={"host": "[2001:DB8::1]:443"}), 401)
    assert "does not have the name" in client.refused(client.get("jobs", headers={"host": "2001"}), 421)


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-IP", "Via", "CF-Ray",
     "CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "Fly-Client-IP", "X-Amzn-Trace-Id", "CDN-Loop"],
)  # fmt: skip
def test_what_a_header_of_a_proxy_has_needs_a_token(client, name):
    said = client.refused(client.get("jobs", headers={name: "10.0.0.7"}), 401)
    assert f"without a token: it has the header {name.casefold()}, which proxies add." in said


def test_what_is_http_1_0_needs_a_token(client):
    """nginx's `proxy_pass` without a further line: HTTP/1.0, the Host of this server, and no header of its own."""
    old = Client(
        lambda scope, receive, send: client.app({**scope, "http_version": "1.0"}, receive, send), service=client.service
    )
    assert "without a token: it is HTTP/1.0, which proxies speak." in client.refused(old.get("jobs"), 401)
    assert old.get("health").status_code == 200


def test_a_token_can_be_needed_always(make_client):
    client = make_client(tokens_always=True)
    assert "without a token" in client.refused(client.get("jobs"), 401)


@pytest.mark.parametrize("given", ["Bearer wrong", "Basic YTpi", "Bearer", ""])
def test_a_token_that_is_none_is_refused_also_where_none_is_needed(client, given):
    response = client.get("jobs", headers={"authorization": given})
    assert "not known here" in client.refused(response, 401)
    assert "wrong" not in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8787", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client, headers):
    assert "may not change anything" in client.refused(client.post("jobs", json=WISH, headers=headers), 403)
    assert client.get("jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}, {"origin": "null"}],
)
def test_a_page_of_another_site_causes_no_work(make_client, headers):
    client = make_client(origins=("https://app.example",))
    for path in ("jobs", "bars", "gaps", "health", "openapi.json"):
        assert "may not read anything here" in client.refused(client.get(path, headers=headers), 403)
    assert client.get("/docs", headers=headers).status_code == 200, "a page may link to it"
    let_in = {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    assert client.get("jobs", headers=let_in).status_code == 200
    assert client.get("jobs", headers={"sec-fetch-site": "none"}).status_code == 200


def test_a_page_of_this_server_and_a_site_that_is_let_in_may(make_client):
    client = make_client(origins=("https://app.example",))
    for origin in ("http://127.0.0.1:8787", "https://app.example"):
        assert client.post("plan", json=WISH, headers={"origin": origin}).status_code == 200
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    allowed = client.ask("OPTIONS", "jobs", headers=preflight)
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in allowed.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_form_of_another_site_is_no_json(client, kind):
    headers = {"content-type": kind} if kind else {}
    assert "A body is JSON" in client.refused(client.post("jobs", content=b'{"a": 1}', headers=headers), 415)


class Body:
    """A body that counts what is read of it."""

    def __init__(self, chunks: int, *, stalls: bool = False) -> None:
        self.chunks, self.stalls, self.read = chunks, stalls, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.chunks):
            self.read += 1 << 16
            yield bytes(1 << 16)
        if self.stalls:
            await asyncio.Event().wait()


def test_a_body_of_a_gigabyte_is_refused_without_reading_it(client):
    body = Body(1 << 14)
    headers = {"content-type": "application/json", "content-length": str(1 << 30)}
    response = client.post("jobs", content=body, headers=headers)
    assert "at most 1,048,576 bytes" in client.refused(response, 413)
    assert response.headers["connection"] == "close"
    assert body.read == 0


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large(client):
    body = Body(1 << 14)
    response = client.post("jobs", content=body, headers={"content-type": "application/json"})
    assert "at most" in client.refused(response, 413)
    assert body.read <= 2 << 20


def test_a_body_that_never_ends_is_refused(client, monkeypatch):
    monkeypatch.setattr(guards, "BODY_S", 0.05)
    response = client.post("jobs", content=Body(1, stalls=True), headers={"content-type": "application/json"})
    assert "was not there after" in client.refused(response, 408)


def test_a_fault_is_a_problem_too_and_says_no_more_than_its_class(make_client):
    client = make_client()

    async def faulty(scope, receive, send):
        raise ValueError("the secret of the key")

    broken = Client(guards.Guards(faulty, guards.AccessRules()))
    response = broken.get("jobs")
    assert "ValueError" in client.refused(response, 500)
    assert "secret" not in response.text


def test_hosts_are_read_as_browsers_write_them():
    assert host_of("Data.Example:443") == "data.example"
    assert host_of("https://data.example/") == "data.example"
    assert host_of("[::1]:80") == "::1"
    assert host_of("[2001:DB8:0::1]:80") == bare_host("2001:db8::1") == bare_host("[2001:0DB8::1]") == "2001:db8::1"
    assert bare_host("Data.Example") == "data.example"
    assert host_of("[") == host_of("") == ""
    assert is_loopback("localhost.")
    assert not is_loopback("localhost.example")


def test_there_is_nothing_beside_the_routes(client):
    assert "There is nothing at /api/v1/nothing" in client.refused(client.get("nothing"), 404)
    assert "has no method DELETE" in client.refused(client.ask("DELETE", "jobs"), 405)
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert client.get(path).status_code in (404, 200)


def test_a_client_that_takes_nothing_of_a_response_is_cut(monkeypatch):
    monkeypatch.setattr(guards, "SEND_S", 0.01)
    cut = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    scope["state"] = {"cut": lambda: cut.append(1)}
    asyncio.run(guards.Guards(app, guards.AccessRules())(scope, receive, send))
    assert cut == [1]


def test_a_browser_gets_each_refusal_of_the_guards_as_a_page_and_a_program_as_a_document(make_client):
    client = make_client(most_body_bytes=10)
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    own = {"Origin": client.base, "Content-Type": "application/x-www-form-urlencoded"}
    cases = [
        (421, "GET", "/", {"Host": "evil.example"}, b""),
        (403, "GET", "/keys", foreign, b""),
        (403, "POST", "/sign-out", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1"),
        (413, "POST", "/sign-in", own, b"token=" + b"x" * 100),
        (415, "POST", "/sign-in", {"Origin": client.base, "Content-Type": "application/json"}, b"{}"),
        (405, "DELETE", "/keys", {"Origin": client.base}, b""),
    ]
    for status, method, path, headers, body in cases:
        for accept, kind in (("text/html,*/*", "text/html"), ("*/*", "application/problem+json")):
            found = client.ask(method, path, headers={**headers, "Accept": accept}, content=body)
            assert found.status_code == status, (path, found.text)
            assert found.headers["content-type"].startswith(kind), (status, accept)
        assert (
            client.ask(method, f"/api/v1{path}", headers={**headers, "Accept": "text/html"}, content=body)
            .headers["content-type"]
            .startswith("application/problem+json")
        )


def test_a_method_that_a_path_has_not_is_refused_with_those_that_it_has(client):
    found = client.ask("POST", "settings/max_reject_share", json={})
    assert (found.status_code, found.headers["allow"]) == (405, "DELETE, GET, PUT")
    assert "it has DELETE, GET, PUT" in found.json()["detail"]
