"""The whole stock market of a day, as Polygon sends it, and as it has sent it in bad weeks."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import make_spec, plan_new
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import BadRequest, NoData, NotYet, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

BODY = (Path(__file__).parent.parent / "recordings" / "polygon" / "docs_grouped_2020-10-14.json").read_bytes()
DAY = date(2020, 10, 14)
MIDNIGHT_MS = 1_602_648_000_000
CLOSE_MS = 1_602_705_600_000
VENDOR = vendor("polygon")
OPTIONS = VENDOR.options(base_url="http://vendor.test")


def asked(day: date | None = DAY, adjustment: Any = "raw") -> Request:
    return Request(provider="polygon", dataset="grouped", symbol="*", adjustment=adjustment, start=day, end=day)


def page_of(body: bytes, request: Request | None = None) -> Page:
    return read(request or asked(), HttpReply(200, {}, body), OPTIONS, max_reject_share=0.9)


def row(ticker: Any = "AAPL", **more: Any) -> dict[str, Any]:
    return {"T": ticker, "v": 10, "vw": 2.5, "o": 2, "c": 3, "h": 4, "l": 1, "t": CLOSE_MS, "n": 5} | more


def body(*rows: Any, **more: Any) -> bytes:
    said = {"adjusted": False, "queryCount": len(rows), "resultsCount": len(rows), "status": "OK", "results": list(rows)} | more
    return json.dumps(said).encode()


def closes(page: Page) -> dict[str, float]:
    assert isinstance(page.series, CrossSection)
    assert set(page.series.bars.ts.tolist()) <= {MIDNIGHT_MS}
    return dict(zip(page.series.symbols, page.series.bars.close.tolist(), strict=True))


def rejected(page: Page) -> list[tuple[int, str, str, str]]:
    return [(one.row, one.field, one.symbol, one.reason) for one in page.rejects]


def test_the_vendors_own_example_is_three_daily_bars_of_that_session():
    page = page_of(BODY, asked(adjustment="split"))
    assert closes(page) == {"KIMpL": 25.9102, "TANH": 23.4, "VSAT": 34.24}
    assert isinstance(page.series, CrossSection)
    assert (page.series.timespan, page.series.adjustment, page.series.zone) == ("1d", "split", "America/New_York")
    assert page.series.bars.trades.tolist() == [74, 1096, 4966]
    assert closes(page_of(BODY, asked(day=None))) == closes(page)


def test_a_clean_reply_and_one_in_other_letters_are_the_same_bars():
    rows = [row("B", vw=None), row("A"), row("BRK.B", otc=True)]
    quick, by_contract = (
        page_of(body(*rows)),
        page_of(json.dumps(json.loads(body(*rows)) | {"é": 1}, ensure_ascii=False).encode()),
    )
    assert closes(quick) == closes(by_contract) == {"A": 3, "B": 3, "BRK.B": 3}
    assert rejected(quick) == rejected(by_contract) == []


def test_tickers_of_another_fields_bytes_and_prices_beyond_all_are_rejects():
    """https://github.com/polygon-io/issues/issues/138: eleven bytes of rubbish as a ticker, 9.04e11 as every price."""
    rubbish = "\x00HTLB^\ufffd\ufffd\x16\x14\ufffd"
    page = page_of(body(row(rubbish, o=9.04e11, c=9.04e11, h=9.04e11, l=9.04e11), row(), row("HTLD", o=2, h=9.04e11)))
    assert closes(page) == {"AAPL": 3}
    assert rejected(page) == [
        (0, "T", "", "not a symbol: it has characters that no symbol has"),
        (2, "h", "HTLD", "price is above 1e+10"),
    ]
    assert page.rejects[0].value.isprintable()


def test_a_ticker_that_comes_twice_is_one_bar_where_its_rows_are_equal_and_two_rejects_where_they_are_not():
    """https://github.com/polygon-io/issues/issues/153"""
    page = page_of(body(row("BAUG"), row("BAUG"), row("TWO"), row("TWO", c=3.5), row()))
    assert closes(page) == {"AAPL": 3, "BAUG": 3}
    assert [one[:3] for one in rejected(page)] == [(2, "c", "TWO"), (3, "c", "TWO")]
    assert [(one.name, one.rows) for one in page.quirks] == [("identical row", 1)]


@pytest.mark.parametrize("t", [CLOSE_MS - 86_400_000, CLOSE_MS + 86_400_000, MIDNIGHT_MS - 3_600_000])
def test_a_bar_of_another_day_is_a_reject(t):
    page = page_of(body(row(), row("LATE", t=t)))
    assert closes(page) == {"AAPL": 3}
    assert [one[:3] for one in rejected(page)] == [(1, "t", "LATE")]


def test_a_row_that_breaks_the_contract_costs_no_other():
    rows = (row(), row(None), row(7), {"T": "X"}, "no row", row("MSFT", c="3"), row("IBM"), row("X", t=1e300), row("Y", o=None))
    page = page_of(body(*rows, {"T": "QUIET", "c": 3, "t": CLOSE_MS}, row("Z", h=0, l=0, o=0)))
    assert closes(page) == {"AAPL": 3, "IBM": 3, "QUIET": 3, "Z": 3}
    assert [one[0] for one in rejected(page)] == [1, 2, 3, 4, 5, 7, 8]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (body(row(), resultsCount=2), Unavailable),
        (body(row(), status="ERROR"), Unavailable),
        (b"T,c\nAAPL,3\n", Exception),
    ],
)
def test_half_a_reply_is_what_it_is_for_a_single_ticker(answer, error):
    with pytest.raises(error):
        page_of(answer)


def test_a_session_without_a_bar_is_never_an_empty_reply_that_would_count_as_fetched():
    nothing = b'{"queryCount":0,"resultsCount":0,"adjusted":true,"status":"OK"}'
    with pytest.raises(NotYet, match="no bars of 2020-10-14 for the whole market yet") as caught:
        read(asked(), HttpReply(200, {"date": "Thu, 15 Oct 2020 01:00:00 GMT"}, nothing), OPTIONS, max_reject_share=0.9)
    assert caught.value.retry_after_ms == 1_800_000
    with pytest.raises(BadRequest, match="no empty session: ask for the symbols by themselves"):
        read(asked(), HttpReply(200, {"date": "Fri, 23 Oct 2020 01:00:00 GMT"}, nothing), OPTIONS, max_reject_share=0.9)
    # Under load the vendor sends null although it has data: a second one would prove nothing.
    with pytest.raises(NotYet, match="null"):
        page_of(body(results=None))
    with pytest.raises(NoData):
        page_of(nothing, asked(day=None))


def test_bars_of_another_adjustment_than_was_asked_for_are_refused():
    with pytest.raises(Unavailable, match="adjustment split for \\*, but the request asked for raw"):
        page_of(body(row(), adjusted=True))
    assert page_of(body(row(), adjusted=True), asked(adjustment="split")).series[0].adjustment == "split"


def requests_of(**wish: Any) -> list[Request]:
    days: dict[str, Any] = {"start": date(2024, 7, 1), "end": date(2024, 7, 8), "dataset": "grouped"}
    return plan_new(make_spec("polygon", wish.pop("symbols", ["*"]), again=False, **(days | wish)))


def test_there_is_a_call_for_each_session_and_none_for_a_holiday_or_a_weekend():
    days = [one.start for one in requests_of()]
    assert [day.day for day in days if day] == [1, 2, 3, 5, 8]
    (call,) = {VENDOR.build_request(one, OPTIONS).params for one in requests_of()}
    assert call == (("adjusted", "false"), ("include_otc", "false"))
    assert VENDOR.build_request(requests_of()[0], OPTIONS).path == "/v2/aggs/grouped/locale/us/market/stocks/2024-07-01"
    otc = VENDOR.options(base_url="http://vendor.test", grouped_otc=True)
    assert dict(VENDOR.build_request(requests_of(adjustment="split")[0], otc).params) == {
        "adjusted": "true",
        "include_otc": "true",
    }


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"start": date(2024, 7, 6), "end": date(2024, 7, 7)}, "no session of the New York exchanges"),
        ({"symbols": ["AAPL"]}, "leave the symbols out"),
        ({"dataset": "bars"}, "ask for the dataset grouped"),
        ({"timespan": "1m"}, "daily bars"),
        ({"adjustment": "split_dividend"}, "raw or split"),
    ],
)
def test_a_wish_that_brings_nothing_is_refused_with_what_to_write(wish, words):
    with pytest.raises(BadRequestError, match=words):
        requests_of(**wish)


def test_a_vendor_without_such_a_call_refuses_the_whole_market():
    with pytest.raises(BadRequestError, match="name the symbols"):
        plan_new(make_spec("alpha_vantage", ["*"], again=False, start=DAY, end=DAY))
