"""Lists of records as vendors send them: twins, corrections, other tickers, listings of a reused symbol."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from marketfetch.sandbox.market import Market
from marketfetch.sandbox.service import Call, Service
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors, vendor
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

SERVICE = Service(Market(seed=7, today=date(2026, 5, 15)))
SPLIT = {"id": "E1", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "AAPL"}


def body_of(rows: list[Any], **more: Any) -> bytes:
    return json.dumps({"status": "OK", "request_id": "r", "results": rows, **more}).encode()


def page_of(body: bytes, *, provider: str = "polygon", dataset: str = "splits", symbol: str = "AAPL") -> Page:
    request = Request(provider=provider, dataset=dataset, symbol=symbol, generation="2026-05-15T10:00Z")
    options = vendor(provider).options(base_url="http://vendor.test")
    return read(request, HttpReply(200, {}, body), options, max_reject_share=0.5)


def asked_of_the_sandbox(provider: str, dataset: str, symbol: str) -> list[dict[str, Any]]:
    """Every row of every page, as a worker would read them; a reject is a failure here."""
    options = vendor(provider).options()
    request = Request(provider=provider, dataset=dataset, symbol=symbol, generation="2026-05-15T10:00Z")
    found: list[dict[str, Any]] = []
    for _ in range(10):
        call = vendor(provider).build_request(request, options)
        reply = SERVICE.answer(Call(provider, "k", call.path, {name: [value] for name, value in call.params}))
        page = vendor(provider).read_reply(request, HttpReply(reply.status, {}, reply.body), options)
        assert not page.rejects
        found += page.records.named()
        if page.next is None:
            return found
        request = request.next_page(page.next)
    raise AssertionError("the pages have no end")


def test_identical_twins_are_one_row_and_different_ones_are_both_kept() -> None:
    page = page_of(body_of([SPLIT, {**SPLIT, "id": "E2"}, {**SPLIT, "split_to": 2}, {**SPLIT, "execution_date": "2014-06-09"}]))
    assert [(row["ex_date"], row["new_shares"]) for row in page.records.named()] == [
        ("2014-06-09", 4.0),
        ("2020-08-31", 2.0),
        ("2020-08-31", 4.0),
    ]
    assert {one.name: one.rows for one in page.quirks} == {
        "row that repeats another": 1,
        "another row of the same symbol and date": 1,
    }
    assert not page.rejects


def test_of_two_rows_of_one_key_the_one_that_says_more_is_kept_in_any_order() -> None:
    rows = [
        {"ticker": "KO", "ex_dividend_date": "2024-03-14", "cash_amount": 0.485, "pay_date": None},
        {"ticker": "KO", "ex_dividend_date": "2024-03-14", "cash_amount": 0.485, "pay_date": "2024-04-01", "id": "x"},
    ]
    for some in (rows, rows[::-1]):
        (row,) = page_of(body_of(some), dataset="dividends", symbol="KO").records.named()
        assert (row["paid"], row["vendor_id"]) == ("2024-04-01", "x")


@pytest.mark.parametrize(
    ("changed", "field", "reason"),
    [
        ({"split_to": 0}, "split_to", "must be more than 0"),
        ({"split_from": -1}, "split_from", "must be more than 0"),
        ({"split_to": 9e11}, "split_to", "must be less than 1e+09"),
        ({"split_to": "x"}, "split_to", "must be a number"),
        ({"split_to": None}, "split_to", "required field is missing"),
        ({"execution_date": "0001-01-01"}, "execution_date", "outside of the years"),
        ({"execution_date": "2020-02-30"}, "execution_date", "must be a date"),
        ({"execution_date": 1598832000}, "execution_date", "not a date such as"),
        ({"execution_date": "20200831"}, "execution_date", "not a date such as"),
        ({"id": "a\u202eb"}, "id", "can't be printed"),
    ],
)
def test_a_bad_value_is_a_reject_with_the_vendors_field(changed: dict[str, Any], field: str, reason: str) -> None:
    page = page_of(body_of([{**SPLIT, **changed}, {**SPLIT, "execution_date": "2014-06-09"}]))
    assert len(page.records) == 1
    (reject,) = page.rejects
    assert (reject.row, reject.field) == (0, field)
    assert reason in reject.reason


@pytest.mark.parametrize("rows", [[{**SPLIT, "ticker": "MSFT"}], [SPLIT, {**SPLIT, "ticker": "aapl"}]])
def test_a_list_of_another_ticker_is_refused_whole(rows: list[Any]) -> None:
    with pytest.raises(errors.Unavailable, match="another ticker than AAPL"):
        page_of(body_of(rows))
    with pytest.raises(errors.Unavailable, match="another symbol than AAPL"):
        page_of(
            b'{"symbol": "MSFT", "data": [{"effective_date": "2020-08-31", "split_factor": "4"}]}', provider="alpha_vantage"
        )


def test_a_list_that_is_cut_or_null_is_no_list() -> None:
    with pytest.raises(errors.Unavailable, match="truncated"):
        page_of(body_of([SPLIT], count=2))
    with pytest.raises(errors.SuspectEmpty):
        page_of(json.dumps({"status": "OK", "results": None}).encode())
    with pytest.raises(errors.NoData, match="no splits for AAPL"):
        page_of(body_of([]))


def test_both_vendors_lists_of_the_market_have_the_same_symbols() -> None:
    listed = {name: asked_of_the_sandbox(name, "symbols", "*") for name in ("polygon", "alpha_vantage")}
    assert [row["symbol"] for row in listed["polygon"]] == [row["symbol"] for row in listed["alpha_vantage"]]
    assert len(listed["polygon"]) > 60
    assert {(row["status"], row["delisted"]) for rows in listed.values() for row in rows} == {("active", None)}
    ended = {name: asked_of_the_sandbox(name, "delisted", "*") for name in listed}
    for rows in ended.values():
        assert [(row["symbol"], row["delisted"]) for row in rows if row["symbol"] in ("Q", "TWTR")] == [
            ("Q", "2000-06-30"),
            ("Q", "2011-04-01"),
            ("TWTR", "2022-10-27"),
        ]
        assert {row["status"] for row in rows} == {"delisted"}


def test_a_symbol_that_is_a_word_for_absence_is_a_symbol_and_a_short_row_is_a_reject() -> None:
    header = "symbol,name,exchange,assetType,ipoDate,delistingDate,status"
    lines = [
        *("NA,Nano,NASDAQ,Stock,2020-01-02,null,Active", "NAN,Nuveen,NYSE,Stock,null,null,Active"),
        *("A,Agilent,NYSE,Stock", "B,Old,NYSE,Stock,2020-01-02,2019-01-02,Delisted", "C,Odd,NYSE,Stock,null,null,Suspended"),
        "D,Dominion,NYSE,Stock,1984-01-02,null,Active",
    ]
    body = "\r\n".join([header, *lines, ""]).encode()
    page = page_of(body, provider="alpha_vantage", dataset="symbols", symbol="*")
    assert [(row["symbol"], row["listed"]) for row in page.records.named()] == [
        ("D", "1984-01-02"),
        ("NA", "2020-01-02"),
        ("NAN", None),
    ]
    assert [(one.row, one.reason.split(",")[0].split("'")[0]) for one in page.rejects] == [
        (2, "required field is missing"),
        (3, "it is delisted before it is listed"),
        (4, "must be one of "),
    ]


def test_holidays_are_a_bare_list_and_an_error_is_still_an_error() -> None:
    rows = asked_of_the_sandbox("polygon", "holidays", "*")
    assert {row["exchange"] for row in rows} == {"NYSE", "NASDAQ"}
    assert ("2026-11-26", "closed", "") in {(row["day"], row["status"], row["closes"]) for row in rows}
    (early,) = {row["closes"] for row in rows if row["status"] == "early-close"}
    assert early == "2026-11-27T18:00:00.000Z"
    for body, kind in ((b'[{"date": "2026-11-26"', errors.Unavailable), (b"[]", errors.NoData), (b"{}", errors.Unavailable)):
        with pytest.raises(kind):
            page_of(body, dataset="holidays", symbol="*")
    bad = [
        {"date": "2026-11-27", "exchange": "NYSE", "status": "early-close"},
        {"date": "x", "exchange": "NYSE", "status": "closed"},
    ]
    with pytest.raises(errors.TooManyRejects) as caught:
        page_of(json.dumps(bad).encode(), dataset="holidays", symbol="*")
    assert caught.value.page is not None
    assert [one.row for one in caught.value.page.rejects] == [0, 1]
