"""Polygon's replies beyond the recordings: pages, empties that lie, bad rows, weeks, and the time it takes."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketfetch.providers import polygon
from marketfetch.providers.polygon.options import PolygonOptions

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

RECORDING = Path(__file__).parent.parent / "recordings" / "polygon" / "openbb_equity_daily_AAPL_2023-01-01_2023-01-10.json"
OPTIONS = PolygonOptions(base_url="http://vendor.test")
SAVED = Request(provider="polygon", dataset="bars", symbol="AAPL", adjustment="split")
ASKED = SAVED.model_copy(update={"start": date(2023, 1, 1), "end": date(2023, 1, 10)})


def recorded(**changes: object) -> dict[str, object]:
    body: dict[str, object] = json.loads(RECORDING.read_bytes())
    return {name: value for name, value in (body | changes).items() if value is not ...}


def bars(*moments: int, **fields: object) -> dict[str, object]:
    rows = [{"t": t, "o": 1.0, "h": 2.0, "l": 0.5, "c": 1.5, "v": 3.0, **fields} for t in moments]
    return {"status": "OK", "results": rows, "resultsCount": len(rows)}


def read_body(body: object, request: Request = SAVED, *, status: int = 200, share: float = 1.0, retry_after: str = "") -> Page:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(request, HttpReply(status, {"retry-after": retry_after}, data), OPTIONS, max_reject_share=share)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


T = ms("2024-01-02T05:00")


def test_results_null_is_suspect_and_no_results_is_no_data():
    with pytest.raises(errors.SuspectEmpty):
        read_body(recorded(results=None, resultsCount=0, queryCount=0))
    with pytest.raises(errors.NoData):
        read_body(recorded(results=[], resultsCount=0, queryCount=0))
    with pytest.raises(errors.NoData):
        read_body(recorded(results=..., resultsCount=0, queryCount=0))


@pytest.mark.parametrize("changes", [{"resultsCount": 7}, {"results": ...}, {"results": []}])
def test_fewer_rows_than_the_reply_counts_mean_that_it_is_cut(changes):
    with pytest.raises(errors.Unavailable, match="the response is truncated"):
        read_body(recorded(**changes))


def test_more_rows_than_the_reply_counts_are_read_and_a_doubled_one_is_one_bar():
    body = recorded(resultsCount=6)
    rows = body["results"]
    assert isinstance(rows, list)
    rows.append(rows[-1])
    page = read_body(body)
    assert (page.rows, page.rejects) == (6, ())


@pytest.mark.parametrize("path", ["/v2/a\x00b", "/v2/a\x7fb", "/v2/\u00e9"])
def test_a_next_page_that_is_no_text_is_a_damaged_reply(path):
    """Else it would stop its request for ever where it is to be written down."""
    with pytest.raises(errors.Unavailable, match="no text"):
        read_body(recorded(next_url=f"http://vendor.test{path}"))


def test_delayed_data_is_data():
    assert read_body(recorded(status="DELAYED")).rows == 6


@pytest.mark.parametrize(
    ("status", "kind"),
    [("NOT_AUTHORIZED", errors.NotEntitled), ("ERROR", errors.Unavailable), (..., errors.Unavailable)],
)
def test_a_200_that_says_to_be_an_error_is_one(status, kind):
    with pytest.raises(kind):
        read_body(recorded(status=status))


def test_a_throttle_inside_a_200_is_a_rate_limit():
    with pytest.raises(errors.RateLimited):
        read_body({"status": "ERROR", "error": "You've exceeded the maximum requests per minute, please wait"})


def test_a_plan_that_does_not_reach_back_is_not_entitled_with_advice():
    text = "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"
    with pytest.raises(errors.NotEntitled, match="later start"):
        read_body({"status": "NOT_AUTHORIZED", "message": text}, status=403)


def test_a_missing_ticker_is_an_unknown_symbol():
    with pytest.raises(errors.UnknownSymbol, match="case-sensitive"):
        read_body({"status": "NOT_FOUND", "message": "Ticker not found."}, status=404)


def test_retry_after_is_taken_where_it_is_given():
    with pytest.raises(errors.RateLimited) as caught:
        read_body({"status": "ERROR"}, status=429, retry_after="9")
    assert caught.value.retry_after_ms == 9_000
    with pytest.raises(errors.Unavailable) as away:
        read_body(b"", status=503, retry_after="4")
    assert away.value.retry_after_ms == 4_000


def test_another_tickers_bars_are_never_stored():
    with pytest.raises(errors.Unavailable, match="another ticker"):
        read_body(recorded(ticker="MSFT"), ASKED)


def test_the_reply_says_whether_it_is_adjusted_and_other_bars_than_were_asked_for_are_refused():
    assert read_body(recorded(adjusted=False)).series[0].adjustment == "raw"
    assert read_body(recorded(adjusted=...), ASKED).series[0].adjustment == "split"
    raw = ASKED.model_copy(update={"adjustment": "raw"})
    for body, request, said in (
        (recorded(adjusted=False), ASKED, "adjustment raw for AAPL, but the request asked for split"),
        (recorded(adjusted=True), raw, "adjustment split for AAPL, but the request asked for raw"),
    ):
        with pytest.raises(errors.Unavailable, match=said):
            read_body(body, request)
    currencies = raw.model_copy(update={"symbol": "C:EURUSD"})
    assert read_body(recorded(adjusted=True, ticker=...), currencies).series[0].adjustment == "raw", "what has no splits"


def test_bad_rows_keep_their_own_numbers_and_the_good_ones_stay():
    body = recorded()
    rows = body["results"]
    assert isinstance(rows, list)
    del rows[0]["c"]
    rows[2]["o"] = "130.28"
    rows[3]["t"] = 1672981200000.5
    rows[4]["l"] = 999.0
    rows[5]["v"] = None
    page = read_body(body, ASKED)
    assert [(one.row, one.field, one.value) for one in page.rejects] == [
        (0, "c", ""),
        (2, "o", "130.28"),
        (3, "t", "1672981200000.5"),
        (4, "l", "999.0"),
    ]
    assert page.series[0].bars.ts.tolist() == [1672808400000, 1673326800000]


def test_a_row_that_is_no_object_is_a_reject():
    page = read_body({"status": "OK", "resultsCount": 2, "results": [5, bars(T)["results"][0]]})  # type: ignore[index]
    assert [(one.row, one.value) for one in page.rejects] == [(0, "5")]
    assert page.rows == 1


def test_an_index_without_volume_and_a_stock_without_trade_count_are_whole():
    body = bars(ms("2024-01-02T05:00"))
    del body["results"][0]["v"]  # type: ignore[index]
    page = read_body(body, share=0)
    assert page.rows == 1


def test_bars_outside_the_asked_range_are_rejects():
    page = read_body(recorded(), ASKED.model_copy(update={"end": date(2023, 1, 9)}))
    assert [(one.row, one.field) for one in page.rejects] == [(5, "t")]


def test_bars_that_step_back_or_repeat_are_sorted_and_one():
    page = read_body(bars(T, T + 60_000, T + 60_000, T + 30_000, T + 120_000))
    assert page.rejects == ()
    assert (page.series[0].bars.ts - T).tolist() == [0, 30_000, 60_000, 120_000]


def test_a_vwap_outside_the_bar_is_only_counted():
    page = read_body(bars(ms("2024-01-02T05:00"), vw=9.0), share=0)
    assert [(one.name, one.rows) for one in page.quirks] == [("vwap outside the bar", 1)]


def test_fx_bars_of_a_weekend_are_only_counted():
    request = SAVED.model_copy(update={"symbol": "C:EURUSD"})
    page = read_body(bars(ms("2024-01-05"), ms("2024-01-06"), ms("2024-01-07"), ms("2024-01-08")), request, share=0)
    assert [(one.name, one.rows) for one in page.quirks] == [("FX bar on a weekend", 2)]
    assert page.series[0].adjustment == "raw"


def test_polygons_sunday_weeks_start_on_our_monday_and_months_on_the_first():
    weekly = SAVED.model_copy(update={"timespan": "1w"})
    page = read_body(bars(ms("2024-03-03T05:00"), ms("2024-03-10T05:00")), weekly, share=0)
    assert page.series[0].bars.ts.tolist() == [ms("2024-03-04T05:00"), ms("2024-03-11T04:00")]
    monthly = SAVED.model_copy(update={"timespan": "1mo"})
    assert read_body(bars(ms("2024-03-01T05:00")), monthly).series[0].bars.ts.tolist() == [ms("2024-03-01T05:00")]


def test_a_next_url_loses_its_host_and_its_key():
    url = "https://evil.test/v2/aggs/ticker/AAPL/range/1/day/1/2?cursor=abc&apiKey=SECRET&apikey=SECRET"
    page = read_body(recorded(next_url=url), ASKED)
    assert page.next == "/v2/aggs/ticker/AAPL/range/1/day/1/2?cursor=abc"
    built = polygon.build_request(ASKED.next_page(page.next), OPTIONS)
    assert (built.path, built.params) == ("/v2/aggs/ticker/AAPL/range/1/day/1/2", (("cursor", "abc"),))


def test_a_next_url_is_not_given_the_path_of_the_base_twice():
    options = PolygonOptions(base_url="http://gateway.test/polygon")
    body = json.dumps(recorded(next_url="http://gateway.test/polygon/v2/aggs/x?cursor=abc")).encode()
    page = read(ASKED, HttpReply(200, {}, body), options, max_reject_share=0)
    assert page.next == "/v2/aggs/x?cursor=abc"


@given(url=st.text(max_size=60) | st.from_regex(r"(https?:)?//[a-z@:.\\/]{1,20}/[a-z/?=&%]{0,30}", fullmatch=True))
@settings(deadline=None)
def test_whatever_a_next_url_holds_the_cursor_stays_below_the_base(url):
    try:
        cursor = read_body(recorded(next_url=url), ASKED).next
    except errors.Unavailable:
        return
    assert cursor is None or (cursor.startswith("/") and not cursor.startswith("//"))


def test_an_empty_page_with_a_next_one_is_no_end():
    page = read_body({"status": "OK", "resultsCount": 0, "next_url": "https://h.test/v2/aggs/x?cursor=abc"})
    assert (page.rows, page.next) == (0, "/v2/aggs/x?cursor=abc")


def test_a_saved_csv_is_read():
    page = read_body(b"c,h,l,n,o,t,v,vw\n1.5,2,1,7,1.2,1672722000000,1e3,1.4\n1.5,2,1,7,x,1672722060000,1e3,1.4\n")
    assert (page.series[0].bars.trades[0], page.series[0].bars.volume[0]) == (7.0, 1000.0)
    assert [(one.row, one.field, one.value) for one in page.rejects] == [(1, "o", "x")]


@pytest.mark.parametrize("bad_rows", [0, 50])
def test_fifty_thousand_bars_are_read_in_well_under_a_second(bad_rows):
    start = ms("2024-01-02T05:00")
    body = bars(*range(start, start + 50_000 * 60_000, 60_000), vw=1.1, n=5)
    for i in range(bad_rows):
        body["results"][i * 1_000]["o"] = None  # type: ignore[index]
    data = json.dumps(body).encode()
    request = SAVED.model_copy(
        update={"timespan": "1m", "start": date(2024, 1, 2), "end": date(2024, 1, 2) + timedelta(days=40)}
    )
    best = min(_seconds(data, request, rows=50_000 - bad_rows) for _ in range(3))
    assert best < 1.0


def _seconds(data: bytes, request: Request, *, rows: int) -> float:
    began = time.process_time()
    page = read_body(data, request)
    took = time.process_time() - began
    assert page.rows == rows
    return took
