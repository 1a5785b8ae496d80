"""The latest price of a stock, with the vendor's own time; what is not known yet is absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import make_spec, plan_new
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import NoData, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

RECORDINGS = Path(__file__).parent.parent / "recordings"
MOCK = json.loads((RECORDINGS / "polygon" / "mock_snapshot_AAPL.json").read_bytes())


def page_of(provider: str, body: bytes, symbol: str = "AAPL") -> Page:
    request = Request(provider=provider, dataset="snapshots", symbol=symbol, generation="2026-01-01T00:00Z")
    options = vendor(provider).options(base_url="http://vendor.test")
    return read(request, HttpReply(200, {}, body), options, max_reject_share=1.0)


def with_ticker(**more: Any) -> bytes:
    return json.dumps(MOCK | {"ticker": MOCK["ticker"] | more}).encode()


def row(page: Page) -> dict[str, Any]:
    (found,) = page.records.named()
    return dict(found)


def test_polygons_own_example_is_one_row_at_its_nanosecond():
    assert row(page_of("polygon", json.dumps(MOCK).encode())) == {
        "symbol": "AAPL", "taken_at": "2022-04-29T17:05:48.294080343Z", "day": "2022-04-29", "price": 159.99,
        "open": 161.84, "high": 166.2, "low": 159.8, "volume": 68840127, "previous_close": 163.64,
    }  # fmt: skip


def test_zeros_before_the_open_are_absent_and_a_plan_without_trades_has_the_minutes_close():
    none = dict.fromkeys(("o", "h", "l", "c", "v"), 0)
    early = row(page_of("polygon", with_ticker(day=none, min=none, lastTrade={"p": 0})))
    assert {name for name, value in early.items() if value is None} == {"price", "open", "high", "low", "volume"}
    assert early["previous_close"] == 163.64
    assert row(page_of("polygon", with_ticker(lastTrade=None)))["price"] == 160.3


@pytest.mark.parametrize("updated", [0, None, "soon", 10**30])
def test_a_snapshot_without_a_time_is_a_reject(updated):
    page = page_of("polygon", with_ticker(updated=updated), symbol="AAPL") if updated != "raises" else None
    assert page is not None
    assert len(page.records) == 0
    assert len(page.rejects) == 1


def test_the_snapshot_of_another_ticker_is_refused():
    with pytest.raises(Unavailable, match="another ticker than MSFT"):
        page_of("polygon", json.dumps(MOCK).encode(), symbol="MSFT")


def test_alpha_vantages_quote_is_taken_on_its_trading_day():
    found = row(page_of("alpha_vantage", (RECORDINGS / "alpha_vantage" / "global_quote_IBM.csv").read_bytes(), symbol="IBM"))
    assert (found["taken_at"], found["day"], found["price"]) == ("2026-05-15", "2026-05-15", 219.3)
    with pytest.raises(NoData):
        page_of("alpha_vantage", b'{"Global Quote": {}}', symbol="IBM")


def test_snapshots_have_one_name_at_both_vendors_and_nasdaq_has_none():
    for provider, name in (("polygon", "snapshots"), ("alpha_vantage", "snapshots"), ("alpha_vantage", "GLOBAL_QUOTE")):
        (request,) = plan_new(make_spec(provider, ["IBM"], again=False, dataset=name))
        assert (request.dataset, request.start) == ("snapshots", None)
        vendor(provider).build_request(request, vendor(provider).options(base_url="http://vendor.test"))
    with pytest.raises(BadRequestError, match="alpha_vantage and polygon have it"):
        make_spec("nasdaq", ["IBM"], again=False, dataset="snapshots")
