"""A key's limits as each vendor enforces them, and what it says when they are passed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests

from marketfetch.local.sandbox_process import Sandbox
from tests.waiting import eventually

ASKED = {
    "alpha_vantage": "/query?function=GLOBAL_QUOTE&symbol=IBM&apikey={key}",
    "polygon": "/v2/aggs/ticker/IBM/range/1/day/2024-01-02/2024-01-05?apiKey={key}",
    "nasdaq": "/api/v3/datasets/WIKI/IBM/data.json?rows=1&api_key={key}",
}


def ask(sandbox: Sandbox, vendor: str, key: str = "k") -> requests.Response:
    return requests.get(sandbox.url + ASKED[vendor].format(key=key), timeout=300)


@pytest.mark.parametrize("vendor", ASKED)
def test_the_call_after_the_last_is_refused_and_other_keys_are_not(sandbox: Sandbox, vendor: str) -> None:
    sandbox.control.keys(vendor, "k", limits=["2/minute", "100/day"])
    good = ask(sandbox, vendor).content
    assert ask(sandbox, vendor).content.partition(b"request_id")[0] == good.partition(b"request_id")[0]
    refused = ask(sandbox, vendor)
    assert refused.status_code == (200 if vendor == "alpha_vantage" else 429)
    assert refused.content != good
    assert ask(sandbox, vendor, "other").content.partition(b"request_id")[0] == good.partition(b"request_id")[0]
    keys = sandbox.control.log()["providers"][vendor]
    assert (keys["k"]["violations"], keys["other"]["violations"]) == (1, 0)


def test_a_default_account_is_every_keys_that_has_none_and_counts_each_alone(sandbox: Sandbox) -> None:
    sandbox.control.keys("polygon", limits=["1/minute"])
    assert [ask(sandbox, "polygon", key).status_code for key in ("a", "b", "a")] == [200, 200, 429]


@pytest.mark.parametrize(
    ("limit", "field", "words"),
    [
        ("1/second", "Information", "1 request per second"),
        ("1/minute", "Note", "1 calls per minute"),
        ("1/day", "Information", "detected your API key as k "),
        ("1/day@America/New_York", "Information", "1 requests per day"),
    ],
)
def test_alpha_vantage_words_its_refusals_by_window_and_calls_them_200(
    sandbox: Sandbox, limit: str, field: str, words: str
) -> None:
    sandbox.control.keys("alpha_vantage", "k", limits=[limit])
    ask(sandbox, "alpha_vantage")
    refused = ask(sandbox, "alpha_vantage")
    assert refused.status_code == 200
    assert words in refused.json()[field]
    mine = sandbox.control.log()["providers"]["alpha_vantage"]["k"]
    # A refusal is no answer, whatever its status.
    assert (mine["served"], mine["statuses"]) == ({"IBM": 1}, {"200": 1, "200 refused": 1})


def test_polygon_and_nasdaq_have_their_own_error_bodies(sandbox: Sandbox) -> None:
    for vendor in ("polygon", "nasdaq"):
        sandbox.control.keys(vendor, "k", limits=["1/10seconds"])
        ask(sandbox, vendor)
    polygon, nasdaq = ask(sandbox, "polygon"), ask(sandbox, "nasdaq")
    assert polygon.json()["status"] == "ERROR"
    assert "maximum requests per minute" in polygon.json()["error"]
    assert polygon.headers["X-Request-Id"] == polygon.json()["request_id"]
    assert nasdaq.json()["quandl_error"]["code"] == "QELx04"
    assert "Retry-After" not in polygon.headers


def test_nasdaq_tells_what_is_left_of_the_day(sandbox: Sandbox) -> None:
    sandbox.control.keys("nasdaq", "k", limits=["300/10seconds", "1000/day"])
    headers = [ask(sandbox, "nasdaq").headers for _ in range(2)]
    assert [one["x-ratelimit-limit"] for one in headers] == ["1000", "1000"]
    assert [one["x-ratelimit-remaining"] for one in headers] == ["999", "998"]


@pytest.mark.parametrize(("vendor", "status"), [("alpha_vantage", 200), ("polygon", 401), ("nasdaq", 400)])
def test_a_refused_key_hears_so(sandbox: Sandbox, vendor: str, status: int) -> None:
    sandbox.control.keys(vendor, "known-as-bad", refused=True)
    for key in ("known-as-bad", "refused-7"):
        reply = ask(sandbox, vendor, key)
        assert reply.status_code == status
        assert any(word in reply.text for word in ("apikey is invalid", "Unknown API Key", "QEAx01"))


@pytest.mark.parametrize(("vendor", "status"), [("alpha_vantage", 200), ("polygon", 401), ("nasdaq", 403)])
def test_a_missing_key_hears_so(sandbox: Sandbox, vendor: str, status: int) -> None:
    reply = ask(sandbox, vendor, "")
    assert reply.status_code == status
    assert any(word in reply.text for word in ("apikey is invalid or missing", "API Key was not provided", "QEPx04"))


@pytest.mark.parametrize("enforce", [True, False])
def test_open_calls_beyond_the_cap_are_violations_until_a_reply_is_sent(sandbox: Sandbox, enforce: bool) -> None:
    sandbox.control.keys("polygon", "k", concurrency=1, enforce=enforce)
    sandbox.control.faults(kind="hang", count=1)
    hanging = requests.Session()

    def hang() -> None:
        with pytest.raises(requests.exceptions.ReadTimeout):
            hanging.get(sandbox.url + ASKED["polygon"].format(key="k"), timeout=(5, 1.5))

    thread = threading.Thread(target=hang)
    thread.start()
    eventually(lambda: report(sandbox).get("open") == 1)
    assert ask(sandbox, "polygon").status_code == (429 if enforce else 200)
    thread.join()
    hanging.close()
    eventually(lambda: report(sandbox).get("open") == 0)
    assert ask(sandbox, "polygon").status_code == 200
    found = report(sandbox)
    assert found["concurrency"] == {"cap": 1, "most": 2, "violations": 1}
    assert found["statuses"]["hang"] == 1


def test_one_call_after_another_never_breaks_a_cap_of_one(sandbox: Sandbox) -> None:
    sandbox.control.keys("polygon", "k", concurrency=1)
    for _ in range(100):
        # A new connection each time: the next call arrives by another way than the last reply left.
        assert ask(sandbox, "polygon").status_code == 200
    assert report(sandbox)["violations"] == 0


def report(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.control.log()["providers"].get("polygon", {}).get("k", {})
    return found
