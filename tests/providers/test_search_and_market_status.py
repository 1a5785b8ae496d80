"""Symbols that a search finds, and the status of the markets: as the vendors send them, and as the sandbox does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import make_spec, plan_new
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors, vendor
from marketfetch.vendors.http import HttpReply
from tests.providers.test_lists_of_records import asked_of_the_sandbox, page_of

RECORDINGS = Path(__file__).parent.parent / "recordings"
STATUS = json.loads((RECORDINGS / "polygon" / "mock_marketstatus_now.json").read_bytes())


def asked(provider: str, symbol: str, dataset: str) -> tuple[Request, dict[str, str]]:
    """The one request of a wish, and the parameters of its call."""
    (request,) = plan_new(make_spec(provider, [symbol], again=False, dataset=dataset))
    call = vendor(provider).build_request(request, vendor(provider).options(base_url="http://vendor.test"))
    return request, dict(call.params)


def test_the_words_of_a_search_are_sent_as_they_are_meant() -> None:
    request, params = asked("polygon", "bank+of+america", "search")
    assert (request.start, request.records, params["search"]) == (None, True, "bank of america")
    assert asked("alpha_vantage", "Nestl%C3%A9", "SYMBOL_SEARCH")[1]["keywords"] == "Nestlé"
    # Words that would be another vendor's spelling of a symbol are none here.
    for provider in ("polygon", "alpha_vantage"):
        assert asked(provider, "aapl", "search")[0].symbol == "aapl"
        assert asked(provider, "EUR/USD", "search")[0].symbol == "EUR/USD"
    with pytest.raises(BadRequestError, match="alpha_vantage and polygon have it"):
        make_spec("nasdaq", ["gold"], again=False, dataset="search")


def test_what_a_search_finds_is_neither_active_nor_delisted() -> None:
    body = (RECORDINGS / "alpha_vantage" / "symbol_search_MSF.json").read_bytes()
    (row,) = page_of(body, provider="alpha_vantage", dataset="search", symbol="MSF").records.named()
    assert {name: row[name] for name in ("symbol", "status", "kind", "market", "currency", "exchange")} == {
        "symbol": "MSF0.FRK", "status": "found", "kind": "Equity", "market": "Frankfurt", "currency": "EUR", "exchange": "",
    }  # fmt: skip
    page = page_of((RECORDINGS / "polygon" / "mock_tickers_page1.json").read_bytes(), dataset="search", symbol="agilent")
    assert {row["status"] for row in page.records.named()} == {"found"}
    assert len(page.records) == 2
    assert page.next is None, "a word that half the market has costs one call"
    with pytest.raises(errors.NoData):
        page_of(b'{"bestMatches": []}', provider="alpha_vantage", dataset="search", symbol="xyzzy")


@pytest.mark.parametrize("provider", ["polygon", "alpha_vantage"])
def test_the_sandbox_finds_symbols_and_says_which_markets_are_open(provider: str) -> None:
    found = asked_of_the_sandbox(provider, "search", "aap")
    assert [row["symbol"] for row in found] == ["AAPL"]
    markets = asked_of_the_sandbox(provider, "market_status", "*")
    assert {row["status"] for row in markets} <= {"open", "closed", "extended-hours"}
    assert len({(row["kind"], row["market"]) for row in markets}) == len(markets) >= 5


def test_the_status_of_each_market_is_a_row_at_the_vendors_time() -> None:
    page = page_of(json.dumps(STATUS).encode(), dataset="market_status", symbol="*")
    rows: list[dict[str, Any]] = page.records.named()
    assert {row["taken_at"] for row in rows} == {"2022-04-28T20:48:08Z"}
    assert {(row["kind"], row["market"]): row["status"] for row in rows} == {
        ("market", "stocks"): "extended-hours",
        **{("exchanges", one): "extended-hours" for one in ("nyse", "nasdaq", "otc")},
        **{("currencies", one): "open" for one in ("fx", "crypto")},
    }
    body = (RECORDINGS / "alpha_vantage" / "market_status.json").read_bytes()
    row = page_of(body, provider="alpha_vantage", dataset="market_status", symbol="*").records.named()[0]
    assert (row["kind"], row["market"], row["taken_at"], row["opens"]) == ("Equity", "United States", "", "09:30")


@pytest.mark.parametrize("moment", [None, 0, "soon", "2022-04-28T16:48:08"])
def test_a_status_without_a_time_that_can_be_read_is_no_row(moment: object) -> None:
    fields = {"market": "open", "serverTime": moment, "exchanges": {"nyse": "open"}}
    request = Request(provider="polygon", dataset="market_status", symbol="*", generation="2026-05-15T10:00Z")
    page = vendor("polygon").read_reply(
        request, HttpReply(200, {}, json.dumps(fields).encode()), vendor("polygon").options(base_url="http://vendor.test")
    )
    if moment is None:
        assert not page.rejects
    else:
        assert [one.field for one in page.rejects] == ["serverTime", "serverTime"]


def test_a_status_of_another_shape_is_an_error() -> None:
    with pytest.raises(errors.Unavailable, match="unknown shape"):
        page_of(b'{"status": "OK", "exchanges": {}}', dataset="market_status", symbol="*")
    with pytest.raises(errors.NotEntitled):
        page_of(
            b'{"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}',
            dataset="market_status",
            symbol="*",
        )
