"""Alpha Vantage's replies beyond the recordings: time zones, ranges, disguised errors, odd rows."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from marketfetch.providers.alpha_vantage.options import AlphaVantageOptions

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

RECORDINGS = Path(__file__).parent.parent / "recordings" / "alpha_vantage"
OPTIONS = AlphaVantageOptions(base_url="http://vendor.test")


def asked(dataset: str, start: date, end: date, **more: object) -> Request:
    wish = {"provider": "alpha_vantage", "dataset": dataset, "symbol": "IBM", "start": start, "end": end, **more}
    return Request.model_validate(wish)


def saved(dataset: str = "bars", **more: object) -> Request:
    return Request.model_validate({"provider": "alpha_vantage", "dataset": dataset, "symbol": "IBM", **more})


def read_body(body: object, request: Request | None = None, *, status: int = 200, share: float = 1.0) -> Page:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(request or saved(), HttpReply(status, {}, data), OPTIONS, max_reject_share=share)


def row(price: str = "10.0", **fields: str) -> dict[str, str]:
    return {"1. open": price, "2. high": price, "3. low": price, "4. close": price, "5. volume": "7", **fields}


def intraday(*walls: str, zone: str = "US/Eastern", key: str = "Time Series (30min)") -> bytes:
    """Built as text, because the hour that is lived twice has equal keys."""
    rows = ",".join(f'"{wall}": {json.dumps(row())}' for wall in walls)
    return f'{{"Meta Data": {{"6. Time Zone": "{zone}"}}, "{key}": {{{rows}}}}}'.encode()


def utc(page: Page) -> list[str]:
    return [datetime.fromtimestamp(int(ts) / 1000, UTC).strftime("%m-%d %H:%M") for ts in page.series[0].bars.ts]


def test_wall_time_becomes_utc_on_both_sides_of_the_spring_change():
    page = read_body(intraday("2025-03-10 09:30:00", "2025-03-07 09:30:00"))
    assert utc(page) == ["03-07 14:30", "03-10 13:30"]


def test_a_time_that_the_spring_change_skips_is_a_reject():
    page = read_body(intraday("2025-03-09 03:00:00", "2025-03-09 02:30:00", "2025-03-09 01:30:00"))
    assert utc(page) == ["03-09 06:30", "03-09 07:00"]
    assert [(one.row, one.field, one.value) for one in page.rejects] == [(1, "timestamp", "2025-03-09 02:30:00")]


def test_the_autumn_hour_that_is_lived_twice_gives_both_its_bars():
    walls = ["00:30", "01:00", "01:30", "01:00", "01:30", "02:00"]
    times = [f"2025-11-02 {wall}:00" for wall in walls]
    expected = ["11-02 04:30", "11-02 05:00", "11-02 05:30", "11-02 06:00", "11-02 06:30", "11-02 07:00"]
    assert utc(read_body(intraday(*times))) == expected
    assert utc(read_body(intraday(*reversed(times)))) == expected


def test_an_ambiguous_time_that_comes_once_is_its_first_passing():
    assert utc(read_body(intraday("2025-11-02 01:30:00", "2025-11-02 00:30:00"))) == ["11-02 04:30", "11-02 05:30"]


def test_the_zone_in_the_reply_counts_and_an_unknown_one_is_no_guess():
    assert utc(read_body(intraday("2025-07-01 09:30:00", zone="UTC"))) == ["07-01 09:30"]
    with pytest.raises(errors.Unavailable, match="time zone"):
        read_body(intraday("2025-07-01 09:30:00", zone="Mars/Base"))


def test_a_zone_in_the_settings_counts_for_its_symbol():
    options = AlphaVantageOptions(base_url="http://vendor.test", zones={"IBM": "Europe/London"})
    body = (RECORDINGS / "ts_daily_IBM.csv").read_bytes()
    page = read(saved(), HttpReply(200, {}, body), options, max_reject_share=0)
    assert utc(page)[0] == "12-22 00:00"


def test_crypto_and_fx_days_begin_at_midnight_utc():
    fx = {"Meta Data": {}, "Time Series FX (Daily)": {"2021-04-23": row()}}
    assert utc(read_body(fx)) == ["04-23 00:00"]


def test_old_crypto_keys_are_read_in_the_markets_currency():
    old = {f"{i}{letter}. {name} ({money})": price for i, name in enumerate(("open", "high", "low", "close"), 1)
           for letter, money, price in (("a", "CNY", "70.0"), ("b", "USD", "10.0"))}  # fmt: skip
    body = {"Time Series (Digital Currency Daily)": {"2021-04-23": {**old, "5. volume": "3", "6. market cap (USD)": "1"}}}
    bars = read_body(body).series[0].bars
    assert (bars.open[0], bars.close[0], bars.volume[0]) == (70.0, 70.0, 3.0)


def test_rows_outside_the_asked_range_are_left_out_and_are_no_rejects():
    body = (RECORDINGS / "ts_daily_IBM.csv").read_bytes()
    page = read_body(body, asked("TIME_SERIES_DAILY", date(2026, 1, 5), date(2026, 1, 9)), share=0)
    assert utc(page) == [f"01-{day:02} 05:00" for day in (5, 6, 7, 8, 9)]
    assert page.rejects == ()


def test_a_range_without_any_row_is_no_data():
    with pytest.raises(errors.NoData, match="requested range"):
        read_body((RECORDINGS / "ts_daily_IBM.csv").read_bytes(), asked("daily", date(2020, 1, 1), date(2020, 2, 1)))


def test_a_week_is_kept_where_any_of_its_days_was_asked_for():
    body = (RECORDINGS / "weekly_adjusted.json").read_bytes()
    request = asked("TIME_SERIES_WEEKLY_ADJUSTED", date(2021, 4, 15), date(2021, 4, 20), timespan="1w", symbol="TSLA")
    assert utc(read_body(body, request)) == ["04-12 04:00", "04-19 04:00"]


def test_a_compact_reply_that_does_not_reach_back_names_the_full_one_as_its_next_page():
    days = {f"2026-{month:02}-{day:02}": row() for month in range(1, 6) for day in range(1, 21)}
    body = {"Meta Data": {"4. Output Size": "Compact"}, "Time Series (Daily)": days}
    request = asked("TIME_SERIES_DAILY", date(2025, 12, 20), date(2026, 5, 20), cursor="compact")
    assert read_body(body, request).next == "full"
    assert read_body(body, request.model_copy(update={"start": date(2026, 1, 1)})).next is None
    assert read_body(body, request.next_page("full")).next is None


def test_another_series_than_the_asked_one_is_never_stored():
    with pytest.raises(errors.Unavailable, match="asked for"):
        read_body(
            (RECORDINGS / "weekly_adjusted.json").read_bytes(),
            asked("TIME_SERIES_DAILY", date(2021, 1, 1), date(2021, 4, 23)),
        )


def test_rows_without_the_adjusted_close_of_their_function_are_refused():
    wish = asked("TIME_SERIES_DAILY_ADJUSTED", date(2021, 4, 19), date(2021, 4, 23))
    wish = wish.model_copy(update={"adjustment": "split_dividend", "symbol": "TSLA"})
    whole = json.loads((RECORDINGS / "daily_adjusted_small.json").read_bytes())
    assert {one.adjustment for one in read_body(whole, wish).series} == {"raw", "split_dividend"}
    rows = whole["Time Series (Daily)"].items()
    renamed = {day: {name.replace("adjusted", "adj."): value for name, value in one.items()} for day, one in rows}
    for body in (
        whole | {"Time Series (Daily)": renamed},
        b"timestamp,open,high,low,close,volume\n2021-04-23,2,4,1,3,7\n",
    ):
        with pytest.raises(errors.Unavailable, match="returned no adjusted close for TSLA, but "):
            read_body(body, wish)
    with pytest.raises(errors.NoData):
        read_body({"Time Series (Daily)": {}}, wish)


def test_a_response_with_two_series_is_refused_as_either_may_be_the_one_that_was_asked_for():
    two = {"Time Series (Daily)": {"2021-04-23": row()}, "Weekly Time Series": {"2021-04-23": row()}}
    with pytest.raises(errors.Unavailable, match="2 series in one response"):
        read_body(two)
    twice = b'{"Time Series (Daily)": {"2021-04-22": %s}, "Time Series (Daily)": {"2021-04-23": %s}}'
    one = json.dumps(row()).encode()
    with pytest.raises(errors.Unavailable, match="2 series in one response"):
        read_body(twice % (one, one))


def test_a_bad_row_is_set_aside_with_its_own_number_and_value_and_the_others_stay():
    body = json.loads((RECORDINGS / "daily_adjusted_small.json").read_bytes())
    body["Time Series (Daily)"]["2021-04-22"]["2. high"] = "n/a"
    body["Time Series (Daily)"]["2021-04-21"] = row("-4", **{"5. adjusted close": "1"})
    body["Time Series (Daily)"]["not a day"] = row()
    page = read_body(body)
    assert [len(one.bars) for one in page.series] == [1, 1]
    assert [(one.row, one.field, one.value) for one in page.rejects] == [
        (1, "2. high", "n/a"),
        (2, "1. open", "-4.0"),
        (3, "timestamp", "not a day"),
    ]


def two_rows_of_a_day(first: dict[str, str], second: dict[str, str]) -> bytes:
    days = tuple(json.dumps(one).encode() for one in (first, second))
    return b'{"Time Series (Daily)": {"2021-04-23": %s, "2021-04-23": %s}}' % days


def test_a_day_that_stands_twice_is_one_bar():
    page = read_body(two_rows_of_a_day(row(), row()))
    assert len(page.series[0].bars) == 1
    assert page.rejects == ()
    assert [(one.name, one.rows) for one in page.quirks] == [("identical row", 1)]


def test_two_rows_of_a_day_that_differ_are_rejects_with_both_values():
    page = read_body(two_rows_of_a_day(row(), row(**{"5. volume": "9"})))
    assert page.rows == 0
    assert [(one.row, one.field, one.value) for one in page.rejects] == [
        (0, "5. volume", "7.0, in row 1 9.0"),
        (1, "5. volume", "9.0, in row 0 7.0"),
    ]


@pytest.mark.parametrize("stray", ["5", "null", '"none"', "[]", "{}"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_what_is_no_row_of_a_day_that_stands_twice_is_a_reject_and_the_row_stays(stray: str, first: bool):
    pair = [stray, json.dumps(row())] if first else [json.dumps(row()), stray]
    page = read_body(b'{"Time Series (Daily)" : {"2021-04-23" : %s, "2021-04-23" : %s}}' % tuple(map(str.encode, pair)))
    assert [(one.row, one.field) for one in page.rejects] == [(0 if first else 1, "1. open")]
    assert page.rejects[0].reason == "required field is missing or not a number"
    assert page.series[0].bars.close.tolist() == [10.0]


def test_a_flood_of_what_is_no_row_is_given_up():
    strays = b'"2021-04-23":5,' * 60_000
    with pytest.raises(errors.TooManyRows, match="60,000 rows in one reply"):
        read_body(b'{"Time Series (Daily)":{%s"2021-04-23":%s}}' % (strays, json.dumps(row()).encode()))


DAILY_CAP = "We have detected your API key as QWERTYUIOPASDFGH and our standard API rate limit is 25 requests per day."
BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly "
    "(1 request per second). You may subscribe to lift the free key rate limit (25 requests per day), raise the "
    "per-second burst limit, and unlock all premium endpoints"
)
PREMIUM = "The outputsize=full parameter value is a premium feature for the TIME_SERIES_DAILY endpoint. You may subscribe"
DEMO = "The **demo** API key is for demo purposes only. Please claim your free API key"
KEY = "the parameter apikey is invalid or missing. Please claim your free API key"


@pytest.mark.parametrize("field", ["Information", "Note", "Error Message"])
@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize(
    ("sentence", "kind", "scope"),
    [
        (DAILY_CAP, errors.RateLimited, "day"),
        (BURST, errors.RateLimited, "second"),
        ("Our standard API call frequency is 5 calls per minute and 500 calls per day.", errors.RateLimited, "minute"),
    ],
)
def test_a_throttle_is_known_by_its_sentence_wherever_it_stands(field, status, sentence, kind, scope):
    with pytest.raises(kind) as caught:
        read_body({field: sentence}, status=status)
    assert caught.value.scope == scope
    assert "QWERTY" not in repr(caught.value)


@pytest.mark.parametrize("field", ["Information", "Error Message"])
@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        (PREMIUM, errors.NotEntitled),
        ("Thank you! This is a premium endpoint. You may subscribe", errors.NotEntitled),
        (DEMO, errors.BadCredentials),
        (KEY, errors.BadCredentials),
        ("Invalid API call. Please retry or visit the documentation", errors.UnknownSymbol),
    ],
)
def test_a_refusal_is_known_by_its_sentence_wherever_it_stands(field, sentence, kind):
    with pytest.raises(kind):
        read_body({field: sentence})


def test_the_burst_says_to_come_back_in_about_a_second():
    with pytest.raises(errors.RateLimited) as caught:
        read_body({"Information": BURST})
    assert caught.value.retry_after_ms == 1_100


def test_an_error_in_json_where_csv_was_asked_is_an_error_and_no_row():
    reply = HttpReply(200, {"content-type": "application/x-download"}, json.dumps({"Information": BURST}).encode())
    with pytest.raises(errors.RateLimited):
        read(saved("TIME_SERIES_DAILY"), reply, OPTIONS, max_reject_share=1)


def test_made_up_sample_quotes_are_not_entitled():
    body = {"endpoint": "Realtime Bulk Quotes", "message": "This is a premium endpoint.", "data": [{"symbol": "MSFT"}]}
    with pytest.raises(errors.NotEntitled, match="made up"):
        read_body(body)


@pytest.mark.parametrize(
    "body",
    [
        {"Global Quote": {}},
        {"bestMatches": []},
        {"symbol": "IBM", "data": []},
        {"Meta Data": {}, "Time Series (Daily)": {}},
        b"timestamp,open,high,low,close,volume\r\n",
        b"symbol,open,high,low,price,volume,latestDay,previousClose,change,changePercent\r\n",
    ],
)
def test_an_empty_answer_is_no_data(body):
    with pytest.raises(errors.NoData):
        read_body(body)


def test_a_notice_that_nobody_knows_yet_is_asked_again_and_not_quoted():
    with pytest.raises(errors.Unavailable) as caught:
        read_body({"Information": "Your key QWERTYUIOPASDFGH is on holiday"})
    assert "QWERTY" not in str(caught.value)


def test_a_json_quote_and_json_splits_are_read():
    quote = {"01. symbol": "IBM", "05. price": "219.30", "07. latest trading day": "2026-05-15"}
    (record,) = read_body({"Global Quote - DATA DELAYED BY 15 MINUTES": quote}).records.named()
    assert record["price"] == 219.3
    (split,) = read_body({"symbol": "KD", "data": [{"effective_date": "2021-11-04", "split_factor": "1.0460"}]}).records.named()
    assert (split["symbol"], split["new_shares"]) == ("KD", 1.046)


def test_a_record_with_a_bad_value_is_a_reject():
    page = read_body(b"effective_date,split_factor\n2021-11-04,1.5\n2020-01-01,-2\n")
    assert len(page.records) == 1
    assert [(one.row, one.field, one.value) for one in page.rejects] == [(1, "split_factor", "-2")]


def test_windows_line_ends_are_read():
    body = (RECORDINGS / "ts_daily_IBM.csv").read_bytes().replace(b"\n", b"\r\n")
    assert read_body(body, share=0).rows == 100


def test_an_unknown_dataset_of_a_saved_reply_is_named_with_the_nearest_one():
    with pytest.raises(errors.BadRequest, match="Did you mean TIME_SERIES_DAILY"):
        read_body({"Time Series (Daily)": {"2021-04-23": row()}}, saved("TIME_SERIES_DALY"))


def test_bars_of_currencies_at_a_weekend_are_stored_and_counted():
    days = {"2024-01-05": row(), "2024-01-06": row(), "2024-01-07": row()}
    page = read_body({"Time Series FX (Daily)": days}, saved("FX_DAILY", symbol="EUR/USD"))
    assert page.rows == 3
    assert ("FX bar on a weekend", 2) in [(one.name, one.rows) for one in page.quirks]
