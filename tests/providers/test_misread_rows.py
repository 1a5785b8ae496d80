"""Replies whose rows could be taken for others: of another symbol, of a shorter timespan, of several series, of zeros."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors, vendor
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(120)]
SESSIONS = [day for day in DAYS if day.weekday() < 5]
PRICES = {"1. open": "10", "2. high": "11", "3. low": "9", "4. close": "10", "5. volume": "7"}


def answer(
    provider: str,
    body: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    **asked: object,
) -> Page:
    wish = {"provider": provider, "symbol": "IBM", "start": DAYS[0], "end": DAYS[-1], **asked}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    chosen = vendor(provider).options(base_url="http://vendor.test", **(options or {}))
    return read(Request.model_validate(wish), HttpReply(status, dict(headers or {}), data), chosen, max_reject_share=0.2)


def table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], *, cursor: str | None = None) -> object:
    named = [{"name": name, "type": kind} for name, kind in columns]
    return {"datatable": {"columns": named, "data": rows}, "meta": {"next_cursor_id": cursor}}


TICKER, DATE, CLOSE = ("ticker", "String"), ("date", "Date"), ("close", "double")


# --- a shorter timespan ---


@pytest.mark.parametrize("timespan", ["1w", "1mo"])
def test_daily_rows_are_no_weeks_and_no_months(timespan):
    rows = [["IBM", str(day), 10.0] for day in SESSIONS]
    with pytest.raises(errors.TooManyRejects, match="bars of a shorter timespan"):
        answer("nasdaq", table([TICKER, DATE, CLOSE], rows), dataset="A/B", timespan=timespan)
    bars = [{"t": 1704085200000 + 86_400_000 * n, "o": 1, "h": 1, "l": 1, "c": 1} for n in range(30)]
    with pytest.raises(errors.TooManyRejects, match="bars of a shorter timespan"):
        answer("polygon", {"status": "OK", "results": bars}, timespan=timespan)


def test_the_current_week_may_come_beside_the_former_one_and_as_of_two_days():
    days = ("2024-01-05", "2024-01-12", "2024-01-17", "2024-01-18")
    page = answer(
        "alpha_vantage",
        {"Weekly Time Series": {day: {**PRICES, "4. close": str(10 + n / 10)} for n, day in enumerate(days)}},
        dataset="TIME_SERIES_WEEKLY",
        timespan="1w",
    )
    assert page.series[0].bars.close.tolist() == [10.0, 10.1, 10.3]


def test_a_sunday_of_currencies_belongs_to_the_week_that_follows():
    page = answer(
        "alpha_vantage",
        {"Time Series FX (Weekly)": {"2024-01-07": PRICES, "2024-01-05": PRICES}},
        dataset="FX_WEEKLY",
        symbol="EUR/USD",
        timespan="1w",
    )
    assert len(page.series[0].bars) == 2


# --- another symbol ---


@pytest.mark.parametrize(
    ("meta", "key", "asked"),
    [
        ({"2. Symbol": "MSFT"}, "Time Series (Daily)", {"dataset": "TIME_SERIES_DAILY"}),
        (
            {"2. From Symbol": "GBP", "3. To Symbol": "JPY"},
            "Time Series FX (Daily)",
            {"dataset": "FX_DAILY", "symbol": "EUR/USD"},
        ),
        (
            {"2. Digital Currency Code": "ETH", "4. Market Code": "EUR"},
            "Time Series (Digital Currency Daily)",
            {"dataset": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC/EUR"},
        ),
    ],
)
def test_bars_of_another_symbol_are_never_stored(meta, key, asked):
    with pytest.raises(errors.Unavailable, match="another symbol"):
        answer("alpha_vantage", {"Meta Data": meta, key: {"2024-01-05": PRICES}}, **asked)


def test_a_pair_in_another_spelling_is_the_same_pair():
    meta = {"2. From Symbol": "EUR", "3. To Symbol": "USD"}
    body = {"Meta Data": meta, "Time Series FX (Daily)": {"2024-01-05": PRICES}}
    assert answer("alpha_vantage", body, dataset="FX_DAILY", symbol="C:EURUSD").rows == 1


@pytest.mark.parametrize(
    "body", [b'{"status":"OK","results":[{"T":"A","t":1,"o":1,"h":1,"l":1,"c":1}]}', b"T,t,o,h,l,c\nA,1,1,1,1,1\n"]
)
def test_bars_of_many_tickers_are_not_read_as_one_series(body):
    with pytest.raises(errors.BadRequest, match="many tickers"):
        answer("polygon", body)


# --- several series ---


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (("expiration", "Date"), ["2024-03-15", "2024-06-21"]),
        (("strike", "double"), [100.0, 110.0]),
        (("isin", "String"), ["037833100", "594918104"]),
        (("local", "String"), ["7203", "6758"]),
        (("country", "text"), ["DE", "FR"]),
    ],
)
def test_a_key_of_dates_numbers_or_digits_is_doubtful(column, values):
    rows = [["IBM", str(day), 10.0, values[n // 25]] for n, day in enumerate(SESSIONS[:50])]
    assert answer("nasdaq", table([TICKER, DATE, CLOSE, column], rows), dataset="A/B").check == f"metadata:{column[0]}"


def test_rows_of_one_date_name_the_columns_in_which_they_differ():
    rows = [["IBM", str(day), 10.0 * leg, leg] for day in SESSIONS[:10] for leg in (1, 2, 3)]
    page = answer("nasdaq", table([TICKER, DATE, CLOSE, ("leg", "Integer")], rows), dataset="A/B")
    assert page.check == "metadata:leg"


def test_today_is_no_exception_to_rows_of_one_date():
    rows = [["IBM", "2024-01-02", 10.0 * leg] for leg in (1, 2, 3)]
    headers = {"date": "Tue, 02 Jan 2024 20:00:00 GMT"}
    with pytest.raises(errors.TooManyRejects, match="two rows of one time differ"):
        answer("nasdaq", table([TICKER, DATE, CLOSE], rows), headers=headers, dataset="A/B")


def test_a_column_with_one_value_is_doubtful_while_pages_follow():
    rows = [["IBM", str(day), 10.0, "north"] for day in SESSIONS]
    columns = [TICKER, DATE, CLOSE, ("area", "String")]
    assert answer("nasdaq", table(columns, rows, cursor="abc"), dataset="A/B").check == "metadata:area"
    assert answer("nasdaq", table(columns, rows), dataset="A/B").rows == len(SESSIONS)


def test_a_doubtful_column_may_have_any_name():
    rows = [["IBM", str(day), 10.0, "EUR" if n % 2 else "USD"] for n, day in enumerate(SESSIONS)]
    page = answer("nasdaq", table([TICKER, DATE, CLOSE, ("Währung, lokal", "String")], rows), dataset="A/B")
    assert page.check is not None
    assert page.check.isascii()
    error = {"quandl_error": {"code": "QECx02", "message": "no"}}
    with pytest.raises(errors.BadRequest, match="values of Währung, lokal differ"):
        answer("nasdaq", error, status=404, dataset="A/B", cursor=page.check)


def test_dates_of_an_update_and_absent_texts_divide_nothing():
    rows = [["IBM", str(day), 10.0, str(day), None if n % 2 else "USD"] for n, day in enumerate(SESSIONS)]
    columns = [TICKER, DATE, CLOSE, ("lastupdated", "Date"), ("currency", "String")]
    assert answer("nasdaq", table(columns, rows), dataset="A/B").rows == len(SESSIONS)


@pytest.mark.parametrize("status", [403, 404])
def test_an_error_of_the_metadata_is_no_verdict_on_the_rows(status):
    with pytest.raises(errors.BadRequest, match="values of area differ"):
        answer("nasdaq", {"quandl_error": {"code": "QEPx04" if status == 403 else "QECx02", "message": "no"}}, status=status,
               dataset="A/B", cursor="metadata:area")  # fmt: skip


def test_a_key_is_compared_without_blanks_and_without_a_fraction_and_none_that_fits_is_named():
    mapping = {"A/B": {"symbol": ["ticker", "tenor"], "raw": {"close": "close"}}}
    columns = [TICKER, DATE, CLOSE, ("tenor", "double")]
    page = answer("nasdaq", table(columns, [["IBM ", "2024-01-02", 1.0, 5.0]]), dataset="A/B", symbol="IBM+5",
                  options={"tables": mapping})  # fmt: skip
    assert [(one.symbol, len(one.bars)) for one in page.series] == [("IBM+5", 1)]
    with pytest.raises(errors.BadRequest, match=r"the first one is of IBM\.US"):
        answer("nasdaq", table([TICKER, DATE, CLOSE], [["IBM.US", "2024-01-02", 1.0]]), dataset="A/B")


# --- zeros ---


def futures(*rows: Sequence[object]) -> Page:
    columns = ["Date", "Open", "High", "Low", "Settle", "Volume"]
    data = [[str(day), *row] for day, row in zip(SESSIONS, rows, strict=False)]
    return answer("nasdaq", {"dataset_data": {"column_names": columns, "data": data}}, dataset="datasets", symbol="CHRIS/X")


def test_a_zero_that_is_no_price_is_absent_and_a_row_of_zeros_a_reject():
    good = (5.0, 5.2, 4.9, 5.1, 3)
    page = futures(good, (0, 0, 0, 0, 0), (5.1, 5.2, 0, 5.1, 3), (0, 5.2, 0, 5.1, 3), (5.1, 0, 5.0, 5.1, 3))
    assert [(one.row, one.reason) for one in page.rejects] == [(1, "all prices are 0")]
    bars = page.series[0].bars
    assert [str(one) for one in bars.low] == ["4.9", "nan", "nan", "5.0"]
    assert [str(one) for one in bars.open] == ["5.0", "5.1", "nan", "5.1"]
    assert [str(one) for one in bars.high] == ["5.2", "5.2", "5.2", "nan"]


def test_an_open_of_0_is_absent_in_a_bar_of_trades_too():
    body = {"status": "OK", "results": [{"t": 1704171600000, "o": 0, "h": 11, "l": 9, "c": 10, "v": 5}]}
    page = answer("polygon", body)
    assert (str(page.series[0].bars.open[0]), page.quirks[0].name) == ("nan", "open of 0")


# --- a share counts for its own series ---


def sharadar(days: int, *, bad: int) -> object:
    columns = [(name, "double") for name in ("open", "high", "low", "close", "volume", "closeadj", "closeunadj")]
    rows = [["IBM", str(day), 1, 1, 1, 1, 5, None if n < bad else 1, 1] for n, day in enumerate(SESSIONS[:days])]
    return table([TICKER, DATE, *columns], rows)


@pytest.mark.parametrize(("days", "bad"), [(60, 30), (20, 6)])
def test_bad_adjusted_values_fail_the_request_and_leave_the_other_series(days, bad):
    with pytest.raises(errors.TooManyRejects, match=f"{bad} of {days} rows of IBM split_dividend") as caught:
        answer("nasdaq", sharadar(days, bad=bad), dataset="SHARADAR/SEP")
    assert caught.value.page is not None
    assert [(one.adjustment, len(one.bars)) for one in caught.value.page.series] == [("raw", days), ("split", days)]


def test_few_bad_adjusted_values_prove_nothing():
    page = answer("nasdaq", sharadar(19, bad=10), dataset="SHARADAR/SEP")
    assert [len(one.bars) for one in page.series] == [19, 19, 9]
    assert {(one.field, one.value) for one in page.rejects} == {("closeadj", "")}


# --- sentences and statuses ---


def test_a_check_of_a_ticker_is_believed_only_where_the_vendor_lists_it():
    check: dict[str, Any] = {"cursor": "/v3/reference/tickers/IBM"}
    with pytest.raises(errors.NoData, match="lists IBM"):
        answer("polygon", {"status": "OK", "results": {"ticker": "IBM"}}, **check)
    with pytest.raises(errors.UnknownSymbol):
        answer("polygon", {"status": "NOT_FOUND"}, **check)
    with pytest.raises(errors.RateLimited):
        answer("polygon", {"status": "ERROR", "error": "You've exceeded the maximum requests per minute"}, **check)
    for body in (b"hello", {"status": "OK"}):
        with pytest.raises(errors.Unavailable):
            answer("polygon", body, **check)


@pytest.mark.parametrize(
    "said", ["This API function (FOO) does not exist.", "Invalid inputs. Please refer to the API documentation."]
)
def test_a_final_sentence_is_no_reason_to_ask_again(said):
    with pytest.raises(errors.BadRequest):
        answer("alpha_vantage", {"Error Message": said})


def test_the_sentence_of_a_429_names_its_span():
    said = "We have detected your API key as X and our standard API rate limit is 25 requests per day."
    with pytest.raises(errors.RateLimited) as caught:
        answer("alpha_vantage", {"Information": said}, status=429)
    assert caught.value.scope == "day"


def test_json_that_is_labelled_as_html_is_json():
    with pytest.raises(errors.BadCredentials):
        answer("polygon", {"status": "ERROR", "error": "Unknown API Key"}, status=401, headers={"content-type": "text/html"})


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_a_csv_without_its_last_line_end_is_whole_where_http_says_how_long_it_is(prefix):
    body = prefix + b"t,o,h,l,c\n1704171600000,1,1,1,1"
    assert answer("polygon", body, headers={"content-length": str(len(body))}).rows == 1
    assert answer("polygon", body, headers={"transfer-encoding": "chunked"}).rows == 1
    for headers in ({}, {"content-length": str(len(body) + 1)}):
        with pytest.raises(errors.Unavailable, match="truncated"):
            answer("polygon", body, headers=headers)


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("polygon", b"t,o,h,l,c\n1704171600000,1,1,1\n1704258000000,1,1,1,1\n"),
        ("alpha_vantage", b"timestamp,open,high,low,close,volume\n2024-01-02,1,1,1,1\n2024-01-03,1,1,1,1,5\n"),
        ("nasdaq", b"Date,Open,High,Low,Close\n2024-01-02,1,1,1\n2024-01-03,1,1,1,1\n"),
    ],
)
def test_a_short_row_in_the_middle_is_a_reject(provider, body):
    page = answer(provider, body, dataset={"nasdaq": "datasets", "alpha_vantage": "TIME_SERIES_DAILY"}.get(provider, "bars"),
                  symbol="DB/CODE" if provider == "nasdaq" else "IBM")  # fmt: skip
    assert (page.rows, page.bad_rows) == (1, 1)
