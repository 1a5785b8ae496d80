"""The vendors of a test that runs in one process: which reply a call gets."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import SecretStr

import marketfetch.testing
from marketfetch.testing.simulated_vendors import SimulatedVendors
from marketfetch.vendors.errors import BadRequest
from marketfetch.vendors.http import HttpReply, HttpRequest, KeyPlace


@pytest.fixture
def vendors() -> SimulatedVendors:
    return SimulatedVendors(seed=1, today=date(2026, 5, 15))


def ask(vendors: SimulatedVendors, symbol: str, provider: str = "polygon") -> HttpReply:
    path = f"/v2/aggs/ticker/{symbol}/range/1/day/2024-01-02/2024-01-05"
    asked = HttpRequest(path, (), KeyPlace("header", "Authorization", "Bearer {key}"))
    return vendors.send(asked, base_url="http://vendor", provider=provider, key_label="main", key=SecretStr("k"))


def test_the_latest_scripted_reply_that_matches_a_call_is_sent(vendors: SimulatedVendors) -> None:
    vendors.script({"of": "any"}, symbol=None, provider="polygon", status=200, headers={})
    vendors.script("too busy", symbol="IBM", provider="polygon", status=503, headers={"Retry-After": "3"})
    vendors.script(b"\xff\xfe", symbol="IBM", provider="nasdaq", status=200, headers={})
    busy = ask(vendors, "IBM")
    assert (busy.status, busy.body) == (503, b"too busy")
    assert busy.headers == {"content-type": "text/plain", "retry-after": "3"}
    other = ask(vendors, "AAPL")
    assert (other.status, other.body, other.headers["content-type"]) == (200, b'{"of": "any"}', "application/json")
    assert [(one.symbol, one.status) for one in vendors.calls] == [("IBM", 503), ("AAPL", 200)]


def test_a_vendor_that_is_not_simulated_needs_a_reply_of_the_test(vendors: SimulatedVendors) -> None:
    with pytest.raises(BadRequest, match="the sandbox does not simulate acme: write its reply"):
        ask(vendors, "IBM", provider="acme")
    vendors.script("[]", symbol=None, provider="acme", status=200, headers={})
    assert ask(vendors, "IBM", provider="acme").body == b"[]"


def test_the_package_has_no_other_names() -> None:
    assert marketfetch.testing.InProcessSandbox.__name__ == "InProcessSandbox"
    with pytest.raises(AttributeError, match="has no attribute 'Sandbox'"):
        _ = marketfetch.testing.Sandbox  # type: ignore[attr-defined]
