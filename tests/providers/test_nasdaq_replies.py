"""Nasdaq Data Link's replies beyond the recordings: every error code, mappings, unsorted rows, cursors, old dates."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from marketfetch.providers.nasdaq.column_mapping import ColumnMapping, PriceColumns
from marketfetch.providers.nasdaq.options import NasdaqOptions

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

RECORDINGS = Path(__file__).parent.parent / "recordings" / "nasdaq"
OPTIONS = NasdaqOptions(base_url="http://vendor.test")


def asked(dataset: str, symbol: str, **more: object) -> Request:
    wish = {"provider": "nasdaq", "dataset": dataset, "symbol": symbol, "start": date(2014, 1, 1), "end": date(2014, 12, 31)}
    return Request.model_validate({**wish, **more})


SAVED = Request(provider="nasdaq", dataset="bars", symbol="ASKED")


def read_body(
    body: object, request: Request = SAVED, *, status: int = 200, options: NasdaqOptions = OPTIONS, **headers: str
) -> Page:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(request, HttpReply(status, headers, data), options, max_reject_share=1.0)


def dataset(columns: list[str], rows: list[list[object]], frequency: str = "daily") -> dict[str, object]:
    return {"dataset_data": {"column_names": columns, "frequency": frequency, "data": rows}}


def table(columns: list[str], rows: list[list[object]], cursor: str | None = None) -> dict[str, object]:
    named = [{"name": name, "type": "text"} for name in columns]
    return {"datatable": {"data": rows, "columns": named}, "meta": {"next_cursor_id": cursor}}


CODES = [
    ("QELx01", 429, errors.RateLimited, "day"),
    ("QELx02", 429, errors.RateLimited, "day"),
    ("QELx03", 429, errors.RateLimited, "day"),
    ("QELx04", 429, errors.RateLimited, "window"),
    ("QELx05", 429, errors.RateLimited, "window"),
    ("QELx06", 422, errors.BadRequest, None),
    ("QELx07", 414, errors.BadRequest, None),
    ("QELx08", 413, errors.BadRequest, None),
    ("QEAx01", 400, errors.BadCredentials, None),
    ("QEAx02", 422, errors.BadCredentials, None),
    ("QEAx03", 403, errors.BadCredentials, None),
    ("QEAx05", 401, errors.BadCredentials, None),
    ("QEAx06", 429, errors.RateLimited, "window"),
    ("QEPx01", 401, errors.BadCredentials, None),
    ("QEPx02", 403, errors.NotEntitled, None),
    ("QEPx04", 403, errors.NotEntitled, None),
    ("QEPx05", 403, errors.BadCredentials, None),
    ("QEPx06", 403, errors.NotEntitled, None),
    ("QESx02", 422, errors.BadRequest, None),
    ("QESx05", 406, errors.BadRequest, None),
    ("QESx06", 400, errors.BadRequest, None),
    ("QESx08", 422, errors.BadRequest, None),
    ("QECx01", 400, errors.BadRequest, None),
    ("QECx02", 404, errors.UnknownSymbol, None),
    ("QECx03", 404, errors.UnknownSymbol, None),
    ("QECx05", 422, errors.BadRequest, None),
    ("QECx06", 404, errors.Gone, None),
    ("QEMx01", 500, errors.Unavailable, None),
    ("QEXx01", 503, errors.Unavailable, None),
    ("QEXx02", 502, errors.Unavailable, None),
    ("QEZx99", 400, errors.BadRequest, None),
]


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize(("code", "status", "kind", "scope"), CODES)
def test_every_code_is_its_class_in_json_and_in_csv(form, code, status, kind, scope):
    body: object = {"quandl_error": {"code": code, "message": "No."}}
    if form == "csv":
        body = f"code,message\n{code},No.\n".encode()
    with pytest.raises(kind) as caught:
        read_body(body, status=status)
    assert type(caught.value) is kind
    assert getattr(caught.value, "scope", None) == scope


def test_an_error_with_status_200_is_an_error():
    with pytest.raises(errors.UnknownSymbol):
        read_body({"quandl_error": {"code": "QECx02", "message": "No."}})
    with pytest.raises(errors.UnknownSymbol):
        read_body(b"code,message\nQECx02,You have submitted an incorrect code\n")


def test_a_202_that_asks_for_patience_says_when_to_come_back():
    with pytest.raises(errors.Unavailable) as caught:
        read_body({"quandl_error": {"code": "QEAx07", "message": "try again in 30 seconds"}}, status=202)
    assert caught.value.retry_after_ms == 30_000


def test_too_many_calls_at_once_is_told_from_too_many_calls():
    message = "You have exceeded the limit. Try reducing the number of requests made at the same time."
    with pytest.raises(errors.RateLimited) as caught:
        read_body({"quandl_error": {"code": "QELx04", "message": message}}, status=429)
    assert caught.value.scope == "concurrency"


def test_a_forbidden_that_wants_a_key_is_about_the_key():
    message = "A valid API key is required to retrieve data."
    with pytest.raises(errors.BadCredentials):
        read_body({"quandl_error": {"code": "QEPx04", "message": message}}, status=403)


def test_a_block_by_the_network_in_front_is_no_word_about_the_key():
    with pytest.raises(errors.Unavailable, match="nothing about the key"):
        read_body(b"<html><body>Request unsuccessful. Incapsula incident</body></html>", status=403)


def test_rows_that_come_in_any_order_are_sorted_and_rejects_keep_their_own_numbers():
    lines = (RECORDINGS / "wiki_prices_table_export.csv").read_bytes().splitlines()
    body = b"\n".join([lines[0], *reversed(lines[1:])]) + b"\n"
    page = read_body(body, asked("WIKI/PRICES", "AAPL,BRK_A,MSFT,ZEN"))
    whole = read_body(b"\n".join(lines) + b"\n", asked("WIKI/PRICES", "AAPL,BRK_A,MSFT,ZEN"))
    assert page.rejects == ()
    for one, other in zip(page.series, whole.series, strict=True):
        assert one.bars.ts.tolist() == other.bars.ts.tolist()
        assert one.bars.close.tolist() == other.bars.close.tolist()


def test_a_day_of_a_symbol_that_stands_twice_is_one_bar():
    lines = (RECORDINGS / "wiki_prices_table_export.csv").read_bytes().splitlines()
    page = read_body(b"\n".join([*lines, lines[5]]) + b"\n", asked("WIKI/PRICES", "AAPL,BRK_A,MSFT,ZEN"))
    assert page.reply_rows == 916
    assert page.rejects == ()
    assert [(one.name, one.rows) for one in page.quirks] == [("identical row", 1)]


def test_rows_of_symbols_that_were_not_asked_for_are_counted_and_not_kept():
    body = (RECORDINGS / "datatable_NDAQ_RTAT10_excerpt.json").read_bytes()
    request = asked("NDAQ/RTAT10", "tsla", start=date(2024, 6, 1), end=date(2024, 6, 30))
    page = read_body(body, request)
    assert [(one.symbol, len(one.bars)) for one in page.series] == [("tsla", 2)]
    assert [(one.name, one.rows) for one in page.quirks] == [("row of a symbol that was not asked for", 10)]


def test_a_csvs_cursor_is_in_its_header():
    body = (RECORDINGS / "wiki_prices_table_export.csv").read_bytes()
    assert read_body(body, cursor_id="djFf").next == "djFf"
    assert read_body(body, cursor_id="").next is None


def test_an_empty_page_before_the_last_goes_on_and_an_empty_last_page_is_no_data():
    assert read_body(table(["ticker", "date", "close"], [], cursor="x")).next == "x"
    with pytest.raises(errors.NoData):
        read_body(table(["ticker", "date", "close"], []))
    with pytest.raises(errors.NoData):
        read_body(b"Date,Open,High,Low,Close\n")


@pytest.mark.parametrize(
    "columns",
    [
        ["Date", "Open", "High", "Low", "Close", "Volume"],
        ["Date", "Open", "High", "Low", "Settle", "Volume"],
        ["Trade Date", "open", "HIGH", "low", "Last", "Volume"],
    ],
)
def test_a_dataset_with_plain_names_needs_no_mapping(columns):
    page = read_body(dataset(columns, [["2014-01-02", 2, 3, 1, 2.5, 7]]), asked("datasets", "DB/CODE"))
    bars = page.series[0].bars
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]) == (2, 3, 1, 2.5, 7)
    assert page.series[0].symbol == "DB/CODE"


def test_adjusted_columns_become_a_series_of_their_own():
    names = ["Open", "High", "Low", "Close", "Volume"]
    columns = ["Date", *names, "Ex-Dividend", "Split Ratio", *(f"Adj. {name}" for name in names)]
    page = read_body(dataset(columns, [["2014-01-02", 20, 30, 10, 25, 7, 0, 1, 2, 3, 1, 2.5, 70]]))
    assert [(one.adjustment, one.bars.close[0], one.bars.volume[0]) for one in page.series] == [
        ("raw", 25, 7),
        ("split_dividend", 2.5, 70),
    ]


GOLD = ["Date", "USD (AM)", "USD (PM)", "GBP (AM)"]


def test_columns_that_are_not_told_by_name_are_listed_with_the_setting_to_write():
    with pytest.raises(errors.BadRequest) as caught:
        read_body(dataset(GOLD, [["2014-01-02", 1200, 1201, 700]]), asked("datasets", "LBMA/GOLD"))
    assert "USD (AM), USD (PM)" in str(caught.value)
    assert '[providers.nasdaq.tables."LBMA/GOLD"]' in str(caught.value)


def test_a_mapping_from_the_settings_is_followed_and_a_wrong_one_named():
    good = ColumnMapping(kind="dataset", zone="Europe/London", raw=PriceColumns(close="usd_(pm)"))
    options = NasdaqOptions(base_url="http://vendor.test", tables={"lbma/gold": good})
    body = dataset(GOLD, [["2014-01-02", 1200, 1201, 700], ["2014-01-03", 1200, None, 700]])
    page = read_body(body, asked("datasets", "LBMA/GOLD"), options=options)
    assert page.series[0].bars.close.tolist() == [1201]
    assert [(one.row, one.field, one.value) for one in page.rejects] == [(1, "usd_(pm)", "")]
    wrong = good.model_copy(update={"raw": PriceColumns(close="EUR")})
    options = NasdaqOptions(base_url="http://vendor.test", tables={"LBMA/GOLD": wrong})
    with pytest.raises(errors.BadRequest, match="no column 'EUR'"):
        read_body(body, asked("datasets", "LBMA/GOLD"), options=options)


def test_months_before_1900_are_read_whichever_day_they_are_dated_by():
    body = dataset(["Date", "Value"], [["1871-01-01", 11.1], ["1871-02-28", 11.2]], "monthly")
    request = asked("datasets", "MULTPL/X", timespan="1mo", start=date(1871, 1, 15), end=date(1871, 2, 20))
    page = read_body(body, request)
    assert page.rejects == ()
    assert len(page.series[0].bars) == 2


def test_a_frequency_that_is_not_what_was_asked_is_told():
    body = dataset(["Date", "Value"], [["2014-01-01", 1.5]], "monthly")
    with pytest.raises(errors.BadRequest, match="ask for 1mo"):
        read_body(body, asked("datasets", "DB/CODE"))
    with pytest.raises(errors.BadRequest, match="quarterly"):
        read_body(dataset(["Date", "Value"], [["2014-01-01", 1.5]], "quarterly"), asked("datasets", "DB/CODE"))


def test_a_row_that_is_too_short_or_has_no_symbol_is_a_reject():
    rows: list[list[object]] = [["A", "2014-01-02"], [None, "2014-01-02", 1.5], ["A", "2014-01-02", 1.5], ["A", "soon", 1.5]]
    page = read_body(table(["ticker", "date", "close"], rows))
    assert [(one.row, one.field) for one in page.rejects] == [(0, "row"), (1, "ticker"), (3, "date")]
    assert page.rows == 1


def test_a_saved_dataset_is_called_by_its_own_name():
    body = (RECORDINGS / "dataset_MULTPL_SP500_PE_excerpt.json").read_bytes()
    request = Request(provider="nasdaq", dataset="MULTPL/SP500_PE_RATIO_MONTH", symbol="ASKED")
    assert [one.symbol for one in read_body(body, request).series] == ["MULTPL/SP500_PE_RATIO_MONTH"]
