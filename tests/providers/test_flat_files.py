"""Polygon's files of the whole stock market, whole and damaged: a part is a page, and every row is checked as any bar is."""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketfetch.providers.polygon import flat_file_columns, flat_file_parts

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.planning import make_spec, plan_new
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.polygon_files import HEADER, day_file, minute_file, path_of
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import (
    BadRequest,
    FetchError,
    NotEntitled,
    NotYet,
    RateLimited,
    TooManyRejects,
    Unavailable,
)
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.reading import read

VENDOR = vendor("polygon")
OPTIONS = VENDOR.options(base_url="http://vendor.test")
DAY = date(2024, 7, 3)
MIDNIGHT_MS = 1_719_979_200_000
OPENS_NS = (MIDNIGHT_MS + 34_200_000) * 1_000_000
MARKET = Market(seed=1, today=date(2024, 12, 31))


def asked(timespan: Any = "1d", cursor: str | None = None) -> Request:
    first = Request(provider="polygon", dataset="flat_files", symbol="*", timespan=timespan, start=DAY, end=DAY)
    return first.next_page(cursor) if cursor else first


def page_of(body: bytes, request: Request | None = None, *, status: int = 200, share: float = 0.9, **headers: str) -> Page:
    return read(request or asked(), HttpReply(status, headers, body), OPTIONS, max_reject_share=share)


def csv(*rows: str, header: str = HEADER) -> bytes:
    return "".join(f"{row}\n" for row in (header, *rows)).encode()


def packed(text: bytes) -> bytes:
    # Without the time of day: it would be in the names of tests.
    return gzip.compress(text, mtime=0)


def day_row(ticker: str = "AAPL", **changed: Any) -> str:
    row = {"volume": 10, "open": 2, "close": 3, "high": 4, "low": 1, "start": MIDNIGHT_MS * 1_000_000, "n": 5} | changed
    return ",".join((ticker, *map(str, row.values())))


def minute_row(ticker: str = "AAPL", minute: int = 0, **changed: Any) -> str:
    return day_row(ticker, **{"start": OPENS_NS + minute * 60_000_000_000} | changed)


def closes(page: Page) -> dict[str, float]:
    assert isinstance(page.series, CrossSection)
    assert set(page.series.bars.ts.tolist()) <= {MIDNIGHT_MS}
    return dict(zip(page.series.symbols, page.series.bars.close.tolist(), strict=True))


def bars_of(page: Page) -> list[tuple[str, int, float, float]]:
    return sorted(
        (one.symbol, int(ts), float(close), float(volume))
        for one in page.series
        for ts, close, volume in zip(one.bars.ts, one.bars.close, one.bars.volume, strict=True)
    )


def rejected(page: Page) -> list[tuple[int, str, str, str]]:
    return [(one.row, one.field, one.symbol, one.reason) for one in page.rejects]


SMALL_PARTS = VENDOR.options(page_limit=1_000)


def chain(body: bytes, request: Request | None = None, options: VendorOptions = SMALL_PARTS) -> list[Page]:
    """Every page of a file, by default one of minutes, whose parts have about a thousand rows."""
    request = request or asked("1m")
    pages = [in_parts(body, request, options)]
    while pages[-1].next:
        request = request.next_page(pages[-1].next)
        pages.append(in_parts(body, request, options))
    return pages


def in_parts(body: bytes, request: Request, options: VendorOptions = SMALL_PARTS) -> Page:
    return read(request, HttpReply(200, {}, body), options, max_reject_share=0.9)


# --- what is read ---


def test_a_day_is_a_bar_of_each_stock_at_its_midnight():
    page = page_of(day_file(MARKET, DAY))
    found = closes(page)
    assert len(found) > 60
    assert page.series[0].zone == "America/New_York"
    assert {one.adjustment for one in page.series} == {"raw"}
    assert (page.rejected, page.next) == (0, None)


def test_minutes_are_a_series_of_each_stock_and_their_volume_is_that_of_the_day():
    names = ("AAPL", "IBM", "MSFT")
    days, minutes = page_of(day_file(MARKET, DAY, names)), page_of(minute_file(MARKET, DAY, names), asked("1m"))
    assert [one.symbol for one in minutes.series] == list(names)
    assert {one.timespan for one in minutes.series} == {"1m"}
    for day, series in zip(days.series, minutes.series, strict=True):
        assert series.bars.volume.sum() == day.bars.volume[0]
        assert series.bars.close[-1] == day.bars.close[0]
        assert (np.diff(series.bars.ts) >= 60_000).all()


def test_a_file_is_read_in_parts_that_end_with_a_symbol_and_together_are_the_file():
    body = minute_file(MARKET, DAY, ("AAPL", "IBM", "MSFT", "KO", "PG", "XOM", "CAT", "BA"))
    pages = chain(body)
    assert len(pages) > 2
    symbols = [one.symbol for page in pages for one in page.series]
    assert len(symbols) == len(set(symbols)) == 8
    whole = flat_file_parts.part_of(body, flat_file_parts.Place(), part_bytes=1 << 30)
    assert sum(page.rows for page in pages) == whole.lines.count(b"\n")


@pytest.mark.parametrize("first", ["ticker", "window_start"])
def test_a_part_is_as_long_as_it_may_be_in_whatever_column_the_symbol_stands(first):
    """Of one symbol alone, of many, and in a file by time: a part of a row each would be a page each."""
    header = HEADER if first == "ticker" else "window_start,ticker,volume,open,close,high,low,transactions"

    def parts_of(rows: list[tuple[str, int]]) -> list[list[str]]:
        lines = [minute_row(ticker, minute).split(",") for ticker, minute in rows]
        body = csv(*(",".join(one if first == "ticker" else [one[6], *one[:6], one[7]]) for one in lines), header=header)
        place, found = flat_file_parts.Place(), []
        while place:
            part = flat_file_parts.part_of(body, place, part_bytes=6_000)
            found.append([line.split(",")[header.split(",").index("ticker")] for line in part.lines.decode().splitlines()])
            place = part.next
        assert [one for part in found for one in part] == [ticker for ticker, _ in rows]
        return found

    assert len(parts_of([("AAPL", minute) for minute in range(900)])) < 11
    of_many = parts_of([(f"T{n:03}", minute) for n in range(40) for minute in range(20)])
    assert len(of_many) < 12
    assert not any(set(one) & set(other) for one, other in pairwise(of_many)), "each symbol is in one part"
    assert len(parts_of([(f"T{n:03}", minute) for minute in range(20) for n in range(40)])) < 11


@given(
    st.lists(st.tuples(st.sampled_from(["A", "AB", "B", "BRK.B"]), st.integers(0, 40)), min_size=1, unique=True),
    st.integers(80, 400),
    st.booleans(),
)
def test_parts_of_any_size_of_rows_in_any_order_are_all_rows_once(rows, part_bytes, packed):
    text = csv(*(minute_row(ticker, minute) for ticker, minute in rows))
    body, place, found, numbers = gzip.compress(text) if packed else text, flat_file_parts.Place(), b"", []
    while place is not None:
        part = flat_file_parts.part_of(body, place, part_bytes=part_bytes)
        assert len(part.lines) <= max(part_bytes, 80)
        found += part.lines
        numbers.append((part.row, part.lines.count(b"\n")))
        place = flat_file_parts.place_of(part.next.cursor) if part.next else None
    assert found == text.partition(b"\n")[2]
    assert [row for row, _ in numbers] == [sum(count for _, count in numbers[:i]) for i in range(len(numbers))]


def test_extra_columns_and_columns_in_another_order_change_nothing():
    header = "window_start,close,open,otc,high,low,transactions,volume,ticker"
    body = csv(f"{MIDNIGHT_MS * 1_000_000},3,2,true,4,1,5,10,AAPL", header=header)
    assert closes(page_of(body)) == closes(page_of(csv(day_row()))) == {"AAPL": 3}


def test_a_saved_file_says_itself_what_it_is():
    unknown = Request(provider="polygon", dataset="flat_files", symbol="*")
    assert closes(page_of(day_file(MARKET, DAY), unknown)) == closes(page_of(day_file(MARKET, DAY)))
    minutes = minute_file(MARKET, DAY, ("AAPL", "IBM"))
    assert bars_of(page_of(minutes, unknown)) == bars_of(page_of(minutes, asked("1m")))


# --- rows that are bad ---


HOSTILE = (
    minute_row(),
    minute_row(minute=1, open="x"),
    minute_row(minute=2, close=""),
    minute_row(minute=3, high=0.5),
    minute_row(minute=4, low=-1),
    minute_row(minute=5, open=9e11, high=9e11, close=9e11),
    minute_row(minute=6, volume=-1),
    minute_row(minute=7, n=1.5),
    minute_row("", 8),
    minute_row("A B", 9),
    minute_row(start=OPENS_NS + 86_400_000_000_000),
    minute_row(start=OPENS_NS // 1_000),
    minute_row(start=OPENS_NS + 1),
    minute_row(start=OPENS_NS + 5_000_000_000),
    minute_row("TWO", 1),
    minute_row("TWO", 1, close=3.5),
    minute_row("TWIN", 1),
    minute_row("TWIN", 1),
    minute_row("SHORT", 1).rpartition(",")[0],
    minute_row(minute=10, close="inf"),
    minute_row("IBM"),
)


def test_each_bad_row_is_a_reject_with_its_reason_and_costs_no_other():
    page = page_of(csv(*HOSTILE), asked("1m"))
    assert [one[:2] for one in bars_of(page)] == [
        ("AAPL", OPENS_NS // 1_000_000),
        ("IBM", OPENS_NS // 1_000_000),
        ("TWIN", OPENS_NS // 1_000_000 + 60_000),
    ]
    by_row = {row: (field, reason) for row, field, _, reason in rejected(page)}
    assert by_row == {
        1: ("open", "not a number"),
        2: ("close", "required field is missing or not a number"),
        3: ("high", "high is below open or close"),
        4: ("low", "price is not finite and positive"),
        5: ("open", "price is above 1e+10"),
        6: ("volume", "volume is negative or not finite"),
        7: ("transactions", "trades is not a whole number"),
        8: ("ticker", "not a symbol: it has characters that no symbol has"),
        9: ("ticker", "not a symbol: it has characters that no symbol has"),
        10: ("window_start", "timestamp is outside the asked day"),
        11: ("window_start", "timestamp is outside the asked day"),
        12: ("window_start", "not a date or time of this exchange"),
        13: ("window_start", "timestamp is not the start of a minute"),
        14: ("close", "two rows of one time differ"),
        15: ("close", "two rows of one time differ"),
        18: ("window_start", "not a date or time of this exchange"),
        19: ("close", "price is not finite and positive"),
    }
    assert [(one.name, one.rows) for one in page.quirks] == [("identical row", 1)]


@settings(deadline=None)  # the first example imports pyarrow
@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=12))
def test_the_quick_way_and_the_way_by_row_are_the_same_bars_and_the_same_rejects(rows):
    part = flat_file_parts.part_of(csv(*rows), flat_file_parts.Place())
    header = HEADER.split(",")
    quick = flat_file_columns._quick(header, part)
    by_row = flat_file_columns._by_row(header, part)
    if quick is None:
        return
    assert [quick.names[code] for code in quick.codes] == [by_row.names[code] for code in by_row.codes]
    assert quick.numbers.tolist() == by_row.numbers.tolist()
    for name in ("ts", "open", "high", "low", "close", "volume", "trades"):
        np.testing.assert_array_equal(getattr(quick.bars, name), getattr(by_row.bars, name))


def test_a_daily_bar_of_another_day_is_a_reject_and_a_ticker_that_comes_twice_is_judged_as_in_grouped():
    late = (MIDNIGHT_MS + 86_400_000) * 1_000_000
    rows = (day_row(), day_row("LATE", start=late), day_row("BAUG"), day_row("BAUG"), day_row("TWO"), day_row("TWO", close=3.5))
    page = page_of(csv(*rows))
    assert closes(page) == {"AAPL": 3, "BAUG": 3}
    assert [one[:3] for one in rejected(page)] == [(1, "window_start", "LATE"), (4, "close", "TWO"), (5, "close", "TWO")]


@pytest.mark.parametrize("timespan", ["1d", "1m"])
def test_rows_of_one_symbol_and_time_in_two_parts_are_judged_as_in_one(timespan):
    """In a file that is not sorted. The earlier part is stored by then: its row counts, and other values are a reject."""
    row = day_row if timespan == "1d" else minute_row
    fillers = [row(f"M{a}{b}") for a in "ABCDE" for b in "ABCDEFGH"]
    bad = row("BAD", close=-1)
    first = [row("SAME"), row("TWO"), row("VOL", volume=7), row("NUL", open=0, high=0, low=0), bad]
    second = [row("SAME"), row("TWO", close=3.5), row("VOL"), row("NUL", open=0, high=0, low=0), row("BAD"), row("ZED")]
    body = csv(*first, *fillers, *second, *fillers, row("TWO", close=3.5), row("ZOO"))
    pages = chain(body, asked(timespan), VENDOR.options(page_limit=10))
    assert len(pages) > 4
    bars = [(one.symbol, float(one.bars.close[0])) for page in pages for one in page.series]
    assert sorted(bars) == sorted(
        [("SAME", 3), ("TWO", 3), ("VOL", 3), ("NUL", 3), ("BAD", 3), ("ZED", 3), ("ZOO", 3)]
        + [(f"M{a}{b}", 3) for a in "ABCDE" for b in "ABCDEFGH"]
    )
    again = len(first) + len(fillers)
    differ = "two rows of one time differ"
    assert [one for page in pages for one in rejected(page)] == [
        (4, "close", "BAD", "price is not finite and positive"),
        (again + 1, "close", "TWO", differ),
        (again + 2, "volume", "VOL", differ),
        (again + len(second) + len(fillers), "close", "TWO", differ),
    ]
    values = [one.value for page in pages for one in page.rejects]
    assert values[1:3] == ["3.5, in an earlier part of the file 3.0", "10.0, in an earlier part of the file 7.0"]


def test_the_parts_of_a_sorted_file_are_read_once(monkeypatch):
    body = minute_file(MARKET, DAY, ("AAPL", "IBM", "MSFT", "KO", "PG", "XOM", "CAT", "BA"))
    monkeypatch.setattr("marketfetch.providers.polygon.flat_files.EarlierRows", None)
    assert len(chain(body)) > 2


def test_a_file_of_mostly_bad_rows_fails_and_keeps_its_rejects():
    with pytest.raises(TooManyRejects) as caught:
        page_of(csv(*(day_row(f"A{chr(65 + i)}", close=-1) for i in range(25)), day_row()), share=0.5)
    assert caught.value.page is not None
    assert caught.value.page.rejected == 25


# --- files that are damaged ---


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (csv(day_row(), header=HEADER.replace("ticker", "symbol")), BadRequest, "no column ticker"),
        (csv(day_row(), header=HEADER.replace("window_start", "time")), BadRequest, "Its columns are ticker, volume"),
        (packed(csv()), Unavailable, "a header and no rows"),
        (packed(csv(day_row()))[:-9], Unavailable, "ended in the middle"),
        (packed(csv(day_row()))[:30], Unavailable, "ended in the middle"),
        (csv(day_row())[:-1], Unavailable, "truncated"),
        (packed(csv(day_row(n=50))[:-2]), Unavailable, "truncated"),
        (packed(HEADER.encode()), Unavailable, "truncated"),
        (b"", Unavailable, "empty body"),
        (b"<html>blocked</html>", Unavailable, "HTML"),
        (b"\x1f\x8bnot gzip at all", Unavailable, "damaged"),
        (csv('"AAPL,1'), Unavailable, "quotation mark"),
    ],
    ids=[
        "no ticker",
        "no time",
        "no rows",
        "cut",
        "cut early",
        "cut text",
        "cut and packed",
        "header alone",
        "nothing",
        "HTML",
        "no gzip",
        "no CSV",
    ],
)
def test_what_is_no_whole_file_gives_no_row(body, error, says):
    with pytest.raises(error, match=says):
        page_of(body)


def test_a_flipped_byte_anywhere_in_a_gzip_gives_no_row():
    body = bytearray(gzip.compress(csv(*(day_row(f"A{chr(65 + i)}") for i in range(20)))))
    for place in range(12, len(body), 7):
        changed = body.copy()
        changed[place] ^= 0xFF
        with pytest.raises(FetchError):
            page_of(bytes(changed))


def test_a_bomb_is_given_up_at_its_limit_and_never_unpacked_whole(monkeypatch):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\n" * (1 << 20)) for _ in range(70)) + packer.flush()
    assert len(bomb) < 300_000
    with pytest.raises(Unavailable, match="larger than 67108864 bytes and was given up"):
        page_of(bomb)


def test_several_gzip_members_are_one_file_and_zeros_behind_them_are_nothing():
    text = csv(day_row(), day_row("IBM"))
    body = gzip.compress(text[:40]) + gzip.compress(text[40:]) + b"\0" * 100
    assert closes(page_of(body)) == {"AAPL": 3, "IBM": 3}


def test_a_file_that_was_published_anew_between_two_parts_is_refused():
    first = minute_file(MARKET, DAY, ("AAPL", "IBM", "MSFT", "KO"))
    following = in_parts(first, asked("1m")).next
    assert following
    with pytest.raises(BadRequest, match="anew"):
        page_of(minute_file(MARKET, DAY, ("AAPL", "IBM", "MSFT", "PG")), asked("1m", following))
    with pytest.raises(BadRequest, match="named by its place"):
        page_of(first, asked("1m", "/v2/elsewhere"))


# --- what the service says ---


def said(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>in its words</Message></Error>'.encode()


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (403, said("AccessDenied"), NotEntitled, "does not include the file of 2024-07-03"),
        (403, said("InvalidAccessKeyId"), NotEntitled, "correct file_keys"),
        (403, said("SignatureDoesNotMatch"), NotEntitled, "correct file_keys"),
        (403, said("RequestTimeTooSkewed"), BadRequest, "clock"),
        (403, b"", Unavailable, "empty body"),
        (404, said("NoSuchBucket"), BadRequest, "files_url"),
        (404, b"Not Found", BadRequest, "files_url"),
        (503, said("SlowDown"), RateLimited, "too often"),
        (429, b"", RateLimited, "too often"),
        (503, b"", Unavailable, "503"),
        (500, said("InternalError"), Unavailable, "500"),
        (400, said("MalformedHeader"), BadRequest, "in its words"),
    ],
)
def test_an_error_of_the_service_is_its_class_and_never_blames_the_key_of_the_api(status, body, error, says):
    with pytest.raises(error, match=says) as caught:
        read(asked(), HttpReply(status, {"retry-after": "7"}, body), OPTIONS, max_reject_share=0.9)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after_ms == 7_000


def test_a_file_that_is_not_there_is_not_there_yet_in_its_first_week_and_missing_after_it():
    with pytest.raises(NotYet) as caught:
        page_of(said("NoSuchKey"), status=404, date="Thu, 04 Jul 2024 14:00:00 GMT")
    assert caught.value.retry_after_ms == 1_800_000
    with pytest.raises(BadRequest, match="no file of 2024-07-03"):
        page_of(said("NoSuchKey"), status=404, date="Thu, 01 Aug 2024 14:00:00 GMT")


# --- wishes ---


@pytest.fixture
def with_credentials(monkeypatch):
    ours = VENDOR.options(file_keys={"*": "id:secret"})
    monkeypatch.setattr("marketfetch.jobs.planning.options", lambda provider: ours)


def wish(symbols: tuple[str, ...] = ("*",), **more: Any) -> list[Request]:
    asked_for: dict[str, Any] = {"dataset": "flat_files", "timespan": "1d", "start": DAY, "end": DAY} | more
    return plan_new(make_spec("polygon", symbols, again=False, **asked_for))


def test_a_wish_is_a_request_a_session(with_credentials):
    requests = wish(start="2024-07-03", end="2024-07-08", timespan="1m")
    assert [str(one.start) for one in requests] == ["2024-07-03", "2024-07-05", "2024-07-08"]
    assert {one.symbol for one in requests} == {"*"}
    path = VENDOR.build_request(requests[0], OPTIONS).path
    assert path == path_of(DAY, timespan="1m") == "/flatfiles/us_stocks_sip/minute_aggs_v1/2024/07/2024-07-03.csv.gz"


def test_a_session_whose_file_is_not_there_yet_is_left_out_and_refused_where_nothing_is_left(with_credentials, monkeypatch):
    at = datetime(2024, 7, 9, 15, 0, tzinfo=UTC)  # 11:00 in New York
    monkeypatch.setattr("marketfetch.jobs.planning.wished_at", lambda: at)
    assert [str(one.start) for one in wish(start="2024-07-03", end="2024-07-09")] == ["2024-07-03", "2024-07-05"]
    with pytest.raises(BadRequestError, match="2024-07-08 is not there before 2024-07-09 11:30 in America/New_York"):
        wish(start="2024-07-08", end="2024-07-08")
    monkeypatch.setattr("marketfetch.jobs.planning.wished_at", lambda: at + timedelta(hours=1))
    assert [str(one.start) for one in wish(start="2024-07-08", end="2024-07-09")] == ["2024-07-08"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"timespan": "5m"}, "bars of 1d or 1m"),
        ({"adjustment": "split"}, "are raw"),
        ({"symbols": ("AAPL",)}, "leave the symbols out"),
        ({"start": "2024-07-06", "end": "2024-07-07"}, "no session"),
        ({"start": "2003-01-02", "end": "2024-07-07"}, "begin on 2003-09-10"),
    ],
)
def test_a_wish_that_no_file_can_fulfil_is_refused_before_anything_is_sent(with_credentials, wrong, says):
    with pytest.raises(BadRequestError, match=says):
        wish(**wrong)


def test_the_planner_may_choose_files_where_there_are_credentials_after_grouped():
    with_files = VENDOR.options(file_keys={"*": "id:secret"})
    assert [one.dataset for one in VENDOR.market_ways("bars", "1d", "raw", OPTIONS, "paid")] == ["grouped"]
    grouped, files = VENDOR.market_ways("bars", "1d", "raw", with_files, "paid")
    assert (grouped.dataset, files.dataset) == ("grouped", "flat_files")
    assert files.after_close_minutes > grouped.after_close_minutes
    assert files.serves("AAPL")
    assert not files.serves("X:BTCUSD")


def test_the_planner_is_given_no_file_of_a_session_before_the_first_one():
    spec = make_spec("polygon", ["*"], again=False, dataset="flat_files", start="2003-09-08", end="2003-09-11")
    assert [str(one.start) for one in VENDOR.plan(spec, OPTIONS)] == ["2003-09-10", "2003-09-11"]
    assert VENDOR.plan(spec.model_copy(update={"end": date(2003, 9, 9)}), OPTIONS) == []


def test_without_credentials_the_wish_names_the_setting(monkeypatch):
    monkeypatch.setattr("marketfetch.jobs.planning.options", lambda provider: VENDOR.options())
    with pytest.raises(BadRequestError, match=r"providers\.polygon\.file_keys"):
        wish()
