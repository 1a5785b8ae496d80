"""The pages as a browser without JavaScript has them: what they show, their forms, who may do what."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketfetch import connections
from marketfetch.jobs.job_status import status
from marketfetch.ops import access_tokens
from marketfetch.storage.store_errors import StoreUnavailable
from marketfetch.web import pages
from marketfetch.web.guards import AccessRules
from marketfetch.web.pages.html_pages import PAGES
from marketfetch.web.pages.visitors import COOKIE, own_path
from tests.web.conftest import Client, client_of, shared_api
from tests.web.page_scene import Scene, a_scene

HTML = {"Accept": "text/html,application/xhtml+xml"}
FOLDER = Path(pages.__file__).parent
OWN = {"Origin": "http://127.0.0.1:8787", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Browser:
    """Asks for pages and sends forms."""

    client: Client
    cookie: str = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        cookie = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        return self.client.get(path, headers={**HTML, **cookie, **headers})

    def page(self, path: str, status: int = 200) -> str:
        found = self.get(path)
        assert found.status_code == status, found.text
        assert found.headers["content-type"].startswith("text/html")
        return found.text

    def send(self, path: str, headers: dict[str, str] = OWN, **fields: str) -> httpx.Response:
        cookie = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        return self.client.post(path, headers={**HTML, **cookie, **headers}, data=fields)


@pytest.fixture
def scene(redis: Any, valkey_url: str, tmp_path: Path) -> Iterator[Scene]:
    with a_scene(redis, valkey_url, tmp_path) as made:
        yield made


@pytest.fixture
def browser(scene: Scene) -> Browser:
    return Browser(client_of(AccessRules()))


@pytest.fixture
def with_token(scene: Scene) -> Callable[[str], Browser]:
    """A browser whose token has a scope."""

    def made(scope: str) -> Browser:
        client = client_of(AccessRules(tokens_always=True))
        return Browser(client, access_tokens.create(f"of-{scope}", scope=scope).token if scope else "")

    return made


def test_every_page_has_its_data_and_only_what_its_policy_allows(browser, scene):
    says = {
        "/": ("nightly-us", "requests", scene.failed),
        f"/jobs/{scene.running}": ("of 46 requests", "waits", "next call in"),
        f"/jobs/{scene.failed}": ("Retry failed", "HTTP 503 five times"),
        "/keys": ("5/minute", "set aside", "Retry-After: 1500", "parked"),
        "/failures": ("is above open or close", "it is no JSON", "Retry failed"),
        "/schedules": ("nightly-us", "every 6h", "Run now"),
        "/bars": ("BRK.B", "polygon", "raw"),
        "/bars?q=aapl": ("1 series of 14",),
        "/bars/polygon/AAPL?timespan=1d": ("split, 4 new for 1 old", 'class="partial"', 'class="gap"', "<polyline"),
        "/freshness": ("14 series", 'class="lacks"', "Behind their calendar", "a call may bring"),
    }
    for path, words in says.items():
        found = browser.get(path)
        assert found.status_code == 200, found.text
        for word in words:
            assert word in found.text, (path, word)
        assert "unsafe" not in found.headers["content-security-policy"]
        assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|<style", found.text), path
        assert not re.search(r"k-[1-4]-x", found.text), path


def test_a_live_part_is_the_page_without_its_frame(browser):
    part = browser.get("/", **{"HX-Request": "true"}).text
    assert part.strip().startswith('<div id="live"')
    assert "nightly-us" in part
    assert "<nav" not in part
    assert "<html" not in part


def test_the_buttons_of_a_job_do_what_they_say(browser, scene):
    assert "2 failed requests" in browser.page(browser.send(f"/jobs/{scene.failed}/retry").headers["location"])
    assert status(scene.failed).requests.failed == 0
    browser.send(f"/jobs/{scene.running}/cancel")
    assert status(scene.running).requests.cancelled > 0
    assert "lets it go on" in browser.page(f"/jobs/{scene.running}")
    moved = browser.send(f"/jobs/{scene.running}/resume")
    assert moved.status_code == 303
    assert status(scene.running).requests.cancelled == 0
    assert browser.send(f"/jobs/{scene.running}/burn").status_code == 422


def test_keys_rest_and_go_on(browser):
    assert "The key main rests." in browser.page(browser.send("/keys/polygon/main/pause", length="15 min").headers["location"])
    assert "in 15 min" in browser.page("/keys")
    assert "<span>no call until it is resumed" in browser.page("/keys")
    browser.send("/keys/polygon/old/resume")
    assert "set aside" not in browser.page("/keys")
    assert "owner" not in browser.page("/keys"), "no key here has one"
    assert "A pause is" in browser.send("/keys/polygon/main/pause", length="9 y").text


def test_dead_messages_and_schedules_have_their_buttons(browser):
    (message,) = re.findall(r"/failures/dead/([\d-]+)/drop", browser.page("/failures"))
    assert "{" in browser.page(f"/failures?dead={message}")
    assert browser.send(f"/failures/dead/{message}/drop").status_code == 303
    assert "There are no dead messages" in browser.page("/failures")
    browser.send("/schedules/nightly-us/pause")
    assert "paused since" in browser.page("/schedules")
    browser.send("/schedules/nightly-us/resume")
    job = browser.send("/schedules/nightly-us/run").headers["location"]
    assert "schedule:nightly-us" in browser.page(job)


def test_rejects_are_chosen_and_a_word_that_names_none_is_said(browser, scene):
    assert "is above open or close" in browser.page(f"/failures?of={scene.running}")
    assert "is no vendor" in browser.page("/failures?of=NOSUCH")


def test_a_token_sees_the_buttons_of_its_scope_and_no_other_works(with_token, scene):
    reader, submitter, operator = map(with_token, ("read", "submit", "operate"))
    for path, _ in PAGES:
        found = reader.get(path)
        if found.status_code == 200:
            assert re.findall(r'method="post" action="([^"]+)"', found.text) == ["/sign-out"], path
    assert "Retry failed" not in submitter.page(f"/jobs/{scene.failed}"), "the job is another one's"
    assert "Retry failed" in operator.page(f"/jobs/{scene.failed}")
    for path in (f"/jobs/{scene.failed}/retry", "/keys/polygon/main/pause", "/schedules/nightly-us/run"):
        for one in (reader, submitter):
            assert one.send(path).status_code == 403, path
    assert status(scene.failed).requests.failed == 2


def test_a_visitor_signs_in_with_a_token_and_out(with_token):
    browser = with_token("")
    refused = browser.get("/keys?x=1")
    assert (refused.status_code, refused.headers["location"]) == (303, "/sign-in?to=%2Fkeys%3Fx%3D1")
    assert "not known here" in browser.send("/sign-in", token="mft_wrong", to="/keys").text
    token = access_tokens.create("ann").token
    done = browser.send("/sign-in", token=token, to="/keys")
    cookie = done.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}={token}; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie, "loopback has no TLS"
    assert "has not kept the sign-in" in browser.page(done.headers["location"])
    browser.cookie = token
    assert browser.get(done.headers["location"]).headers["location"] == "/keys"
    assert "ann · read" in browser.page("/keys")
    assert "Max-Age=0" in browser.send("/sign-out").headers["set-cookie"]
    access_tokens.revoke("ann")
    shared_api().state.service.tokens._known.clear()
    ended = browser.get("/keys").headers["location"]
    assert "revoked or has expired" in browser.page(ended)
    of_script = browser.get("/keys", **{"HX-Request": "true"})
    assert (of_script.status_code, of_script.headers["content-type"].partition(";")[0]) == (401, "text/html")
    assert "revoked or has expired" in of_script.text
    assert browser.get("/live").status_code in (303, 401)


def test_a_cookie_on_another_host_needs_tls(scene):
    client = client_of(AccessRules(loopback=False, hosts=("data.example",)))
    client.base = "http://data.example"
    token = access_tokens.create("ann").token
    done = client.post("/sign-in", data={"token": token}, headers={"Origin": "http://data.example"})
    assert "Secure" in done.headers["set-cookie"]


@pytest.mark.parametrize("text", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/\n/x"])
def test_a_sign_in_leads_to_no_other_site(text):
    assert own_path(text) == "/"


def test_a_form_of_another_site_or_of_no_page_does_nothing(browser, scene):
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {**OWN, "Sec-Fetch-Site": "cross-site"}):
        assert browser.send(f"/jobs/{scene.running}/cancel", headers).status_code == 403, headers
    assert browser.client.post("/sign-in", json={"token": "x"}, headers=OWN).status_code == 415
    assert browser.client.post("jobs", data={"provider": "polygon"}, headers=OWN).status_code == 415
    assert status(scene.running).state == "running"


def test_a_link_of_another_site_is_asked_about_and_reads_nothing(browser, monkeypatch):
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    monkeypatch.setattr(connections, "recorded", None)
    found = browser.get("/?only=failed", **foreign)
    assert (found.status_code, "Open /" in found.text) == (403, True)
    assert "/?only=failed" in found.text
    assert browser.get("/", **{**foreign, "Sec-Fetch-Mode": "cors"}).status_code == 403
    assert browser.get("/api/v1/jobs", **foreign).status_code == 403


def test_an_outage_is_a_page_that_asks_again_and_what_is_unknown_says_so(browser, monkeypatch):
    def away(*_: object) -> None:
        raise StoreUnavailable("postgresql://svc@10.0.0.7/db")

    with monkeypatch.context() as patch:
        patch.setattr(connections.recorded().database, "read", away)
        found = browser.get("/")
        assert found.status_code == 503
        assert '<meta http-equiv="refresh" content="5">' in found.text
    assert browser.get("/").status_code == 200
    assert "There is no job" in browser.page("/jobs/nosuch", 404)
    assert "There is no page /nosuch" in browser.page("/nosuch", 404)
    assert browser.client.get("/nosuch").headers["content-type"] == "application/problem+json"
    assert "n " in browser.page("/jobs/nosuch?n=many", 422)


def test_a_file_is_kept_for_good_under_the_address_of_its_content(browser):
    addresses = re.findall(r'"(/static/[^"]+)"', browser.page("/"))
    assert len(addresses) >= 4
    for address in addresses:
        found = browser.get(address)
        assert found.status_code == 200
        assert "immutable" in found.headers["cache-control"]
    assert browser.get(addresses[0].replace("/static/", "/static/0")).status_code == 404
    assert browser.get("/static/x/%2e%2e%2fpage_files.py").status_code == 404


def test_vendored_files_are_those_that_their_list_names():
    folder = FOLDER / "static" / "vendored"
    lines = [line.split() for line in (folder / "VERSIONS.txt").read_text().splitlines()[2:]]
    files = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css")}
    assert {line[-1] for line in lines} == files
    for name, _, _, digest, file in lines:
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
        assert (folder / f"{name}.LICENSE.txt").read_text()


def test_a_chart_says_what_is_not_stored_and_its_numbers_are_the_stored_ones(browser):
    assert "No bars of AAPLE are stored. Did you mean AAPL?" in browser.page("/bars/polygon/AAPLE", 422).replace("&#39;", "'")
    assert "No bar of AAPL is stored in this range" in browser.page("/bars/polygon/AAPL?end=1999-01-04")
    found = browser.get("/chart-data/polygon/AAPL?timespan=1d").json()
    assert len(found["ts"]) == len(found["close"]) == 260
    assert [len(found["gaps"]), len(found["actions"]), found["partial"]] == [1, 1, [259]]
    assert len(browser.get("/chart-data/polygon/AAPL?start=2000-01-03").json()["ts"]) > 260


def test_missing_sessions_are_asked_for(browser):
    done = browser.send("/freshness/repair").headers["location"]
    assert "1 job asks for what is missing" in browser.page(done)
    assert "repair" in browser.page("/?tag=repair")
