"""Plans: every asked day once, the same every time, and refused with advice where the vendor can't serve the wish."""

from __future__ import annotations

from datetime import date, timedelta
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketfetch.providers.nasdaq.column_mapping import ColumnMapping, PriceColumns

from marketfetch import vendors
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest
from marketfetch.vendors.protocol import VendorOptions

AS_OF = "2026-11-20"


def spec(provider: str, *symbols: str, **wish: object) -> JobSpec:
    wish = {"start": date(2024, 1, 1), "end": date(2024, 12, 31), "as_of": AS_OF, **wish}
    return JobSpec.model_validate({"provider": provider, "symbols": symbols or ("AAPL",), **wish})


def options_of(provider: str, **more: object) -> VendorOptions:
    return vendors.vendor(provider).options(base_url="http://vendor.test", **more)


def plan(provider: str, *symbols: str, options: VendorOptions | None = None, **wish: object) -> list[Request]:
    return vendors.vendor(provider).plan(spec(provider, *symbols, **wish), options or options_of(provider))


def call(request: Request, options: VendorOptions | None = None) -> HttpRequest:
    return vendors.vendor(request.provider).build_request(request, options or options_of(request.provider))


def params(request: Request, options: VendorOptions | None = None) -> dict[str, str]:
    return dict(call(request, options).params)


_day = st.dates(min_value=date(1990, 1, 1), max_value=date(2026, 11, 19))
_cases = st.sampled_from(
    [("polygon", "AAPL"), ("polygon", "X:BTCUSD"), ("polygon", "I:NDX"), ("alpha_vantage", "IBM"), ("nasdaq", "AAPL")]
)


@settings(deadline=None)
@given(
    case=_cases,
    days=st.tuples(_day, _day),
    timespan=st.sampled_from(["1m", "5m", "1h", "1d", "1w", "1mo"]),
    page_limit=st.none() | st.integers(min_value=1, max_value=50_000),
)
def test_the_requests_cover_every_asked_day_exactly_once_and_every_time_alike(case, days, timespan, page_limit):
    provider, symbol = case
    if provider == "nasdaq":
        timespan = "1d"
    options = options_of(provider, page_limit=page_limit)
    wish = {"start": min(days), "end": max(days), "timespan": timespan}
    if timespan == "1m":
        wish["start"] = max(min(days), max(days) - timedelta(days=400))
    requests = plan(provider, symbol, options=options, **wish)
    assert requests == plan(provider, symbol, options=options, **wish)
    assert len({request.id for request in requests}) == len(requests)
    expected = wish["start"]
    for request in requests:
        assert request.start == expected
        assert request.end is not None
        assert request.end >= request.start
        expected = request.end + timedelta(days=1)
    assert expected == wish["end"] + timedelta(days=1)


@settings(deadline=None)
@given(days=st.tuples(_day, _day), page_limit=st.integers(min_value=2_000, max_value=50_000))
def test_a_polygon_piece_never_has_more_minutes_than_a_page(days, page_limit):
    end = max(days)
    options = options_of("polygon", page_limit=page_limit)
    wish = {"start": max(min(days), end - timedelta(days=300)), "end": end, "timespan": "5m"}
    for symbol, minutes, week in (("X:BTCUSD", 1_440, 7), ("AAPL", 960, 5)):
        for request in plan("polygon", symbol, options=options, **wish):
            assert request.start is not None
            assert request.end is not None
            span = (request.end - request.start).days + 1
            open_days = sum((request.start + timedelta(days=i)).weekday() < week for i in range(span))
            assert open_days * minutes <= page_limit


def test_overlapping_jobs_share_the_pieces_between_them():
    first = plan("polygon", timespan="1m", start=date(2024, 1, 1), end=date(2024, 6, 30))
    second = plan("polygon", timespan="1m", start=date(2024, 3, 1), end=date(2024, 12, 31))
    assert {request.id for request in first} & {request.id for request in second} == {first[1].id, first[2].id}


@pytest.mark.parametrize(
    ("dataset", "timespan", "adjustment", "function"),
    [
        ("bars", "1d", None, "TIME_SERIES_DAILY"),
        ("bars", "1d", "split_dividend", "TIME_SERIES_DAILY_ADJUSTED"),
        ("bars", "1w", "raw", "TIME_SERIES_WEEKLY"),
        ("bars", "1mo", "split_dividend", "TIME_SERIES_MONTHLY_ADJUSTED"),
        ("bars", "15m", None, "TIME_SERIES_INTRADAY"),
        ("fx", "1d", None, "FX_DAILY"),
        ("fx", "1w", None, "FX_WEEKLY"),
        ("crypto", "1mo", None, "DIGITAL_CURRENCY_MONTHLY"),
        ("time_series_weekly_adjusted", "1d", None, "TIME_SERIES_WEEKLY_ADJUSTED"),
        ("Daily", "1d", None, "TIME_SERIES_DAILY"),
        ("DIGITAL_CURRENCY_DAILY", "1d", None, "DIGITAL_CURRENCY_DAILY"),
    ],
)
def test_alpha_vantages_function_follows_from_dataset_timespan_and_adjustment(dataset, timespan, adjustment, function):
    symbol = "EUR/USD" if function.startswith(("FX", "DIGITAL")) else "IBM"
    (*_, last) = plan("alpha_vantage", symbol, dataset=dataset, timespan=timespan, adjustment=adjustment)
    assert last.dataset == function
    assert params(last)["function"] == function


def test_an_intraday_month_asks_for_that_month_with_its_adjustment():
    (request,) = plan("alpha_vantage", "IBM", timespan="1h", start=date(2024, 3, 5), end=date(2024, 3, 9))
    asked = params(request)
    assert (asked["month"], asked["interval"], asked["outputsize"], asked["adjusted"]) == (
        "2024-03", "60min", "full", "true",
    )  # fmt: skip
    (raw,) = plan("alpha_vantage", timespan="1h", adjustment="raw", start=date(2024, 3, 5), end=date(2024, 3, 9))
    assert params(raw)["adjusted"] == "false"
    assert request.id != raw.id


def test_outputsize_is_compact_only_where_a_hundred_points_surely_reach_back():
    recent = plan("alpha_vantage", start=date(2026, 8, 25), end=date(2026, 11, 20))[0]
    old = plan("alpha_vantage", start=date(2026, 8, 1), end=date(2026, 8, 5))[0]
    assert params(recent)["outputsize"] == "compact"
    assert params(old)["outputsize"] == "full"
    assert params(recent.next_page("full"))["outputsize"] == "full"
    assert "outputsize" not in params(plan("alpha_vantage", timespan="1w")[0])


@pytest.mark.parametrize("symbol", ["EURUSD", "EUR/USD", "EUR-USD", "eur/usd", "C:EURUSD"])
def test_a_pair_is_understood_in_every_usual_form_and_keeps_its_name(symbol):
    (request,) = plan("alpha_vantage", symbol, dataset="fx")
    assert request.symbol == symbol
    assert (params(request)["from_symbol"], params(request)["to_symbol"]) == ("EUR", "USD")


@pytest.mark.parametrize(
    ("symbol", "base", "market"),
    [("BTC/EUR", "BTC", "EUR"), ("X:BTCUSD", "BTC", "USD"), ("BTCUSDT", "BTC", "USDT"), ("DOGEUSD", "DOGE", "USD")],
)
def test_a_crypto_pair_is_split_at_its_market(symbol, base, market):
    (request,) = plan("alpha_vantage", symbol, dataset="crypto")
    assert (params(request)["symbol"], params(request)["market"]) == (base, market)


def test_polygon_asks_in_ascending_order_with_the_most_base_bars_and_the_key_in_a_header():
    (request,) = plan("polygon", "X:BTCUSD")
    built = call(request)
    assert built.path == "/v2/aggs/ticker/X:BTCUSD/range/1/day/2024-01-01/2024-12-31"
    assert dict(built.params) == {"adjusted": "true", "sort": "asc", "limit": "50000"}
    assert (built.key.where, built.key.form) == ("header", "Bearer {key}")
    assert params(plan("polygon", adjustment="raw")[0])["adjusted"] == "false"
    assert "BRK%2FB" in call(plan("polygon", "BRK/B")[0]).path


def test_polygons_weeks_are_asked_whole_from_sunday_to_saturday():
    (request,) = plan("polygon", timespan="1w", start=date(2024, 1, 3), end=date(2024, 1, 10))
    assert call(request).path.endswith("/2023-12-31/2024-01-13")


@given(text=st.text(max_size=30), host=st.sampled_from(["evil.test", "api.massive.com"]))
def test_a_polygon_cursor_is_only_ever_a_path_on_the_configured_host(text, host):
    request = plan("polygon")[0].next_page(f"/v2/aggs/x?cursor={quote(text)}")
    built = call(request)
    assert built.path == "/v2/aggs/x"
    assert built.params == (("cursor", text),)
    assert host not in built.path


def test_nasdaq_puts_several_tickers_into_one_request():
    options = options_of("nasdaq", symbols_per_request=2)
    requests = plan("nasdaq", "A", "B", "C", options=options)
    assert [request.symbol for request in requests] == ["A,B", "C"]
    assert call(requests[0], options).path == "/datatables/WIKI/PRICES.json"
    assert params(requests[0], options) == {
        "ticker": "A,B",
        "date.gte": "2024-01-01",
        "date.lte": "2024-12-31",
        "qopts.per_page": "10000",
    }
    assert params(requests[0].next_page("abc"), options)["qopts.cursor_id"] == "abc"


def test_a_nasdaq_symbol_with_a_slash_is_a_dataset():
    table, dataset = plan("nasdaq", "AAPL", "WIKI/AAPL")
    assert (table.dataset, dataset.dataset) == ("WIKI/PRICES", "datasets")
    assert call(dataset).path == "/datasets/WIKI/AAPL/data.json"
    assert params(dataset)["start_date"] == "2024-01-01"


def test_a_monthly_dataset_is_asked_by_whole_months():
    (request,) = plan("nasdaq", "MULTPL/X", timespan="1mo", start=date(2024, 1, 15), end=date(2024, 2, 3))
    assert (params(request)["start_date"], params(request)["end_date"]) == ("2024-01-01", "2024-02-29")


def test_a_mapping_names_the_filters_of_its_table():
    mapping = ColumnMapping(date="day", symbol="isin", raw=PriceColumns(close="px"))
    options = options_of("nasdaq", tables={"ACME/PX": mapping})
    (request,) = plan("nasdaq", "DE0001", dataset="acme/px", options=options)
    assert params(request, options)["isin"] == "DE0001"
    assert params(request, options)["day.gte"] == "2024-01-01"


@pytest.mark.parametrize(
    ("provider", "symbol", "wish", "advice"),
    [
        ("polygon", "AAPL", {"adjustment": "split_dividend"}, "ask a vendor that has split_dividend"),
        ("polygon", "C:EURUSD", {"adjustment": "split"}, "raw"),
        ("polygon", "AAPL", {"dataset": "bras"}, "Did you mean bars"),
        ("alpha_vantage", "IBM", {"adjustment": "split"}, "ask another vendor"),
        ("alpha_vantage", "IBM", {"dataset": "TIME_SERIES_DALY"}, "Did you mean TIME_SERIES_DAILY"),
        ("alpha_vantage", "IBM", {"dataset": "TIME_SERIES_DAILY", "timespan": "5m"}, "has 1d bars"),
        ("alpha_vantage", "IBM", {"dataset": "TIME_SERIES_INTRADAY"}, "ask for 1m"),
        ("alpha_vantage", "IBM", {"dataset": "TIME_SERIES_DAILY", "adjustment": "split_dividend"}, "_ADJUSTED"),
        ("alpha_vantage", "EURO", {"dataset": "fx"}, "EUR/USD"),
        ("alpha_vantage", "EUR/USD", {"dataset": "fx", "timespan": "5m"}, "start on 2026-10-21"),
        ("alpha_vantage", "EUR/USD", {"dataset": "fx", "adjustment": "split_dividend"}, "raw"),
        ("nasdaq", "AAPL", {"timespan": "5m"}, "another vendor"),
        ("nasdaq", "AAPL", {"adjustment": "split"}, "raw or split_dividend"),
        ("nasdaq", "AAPL", {"dataset": "datasets"}, "DATABASE/CODE"),
        ("nasdaq", "AAPL", {"dataset": "barz"}, "Did you mean bars"),
        ("nasdaq", "MULTPL/SP500_PE_RATIO_MONTH", {}, "ask for 1mo"),
    ],
)
def test_a_wish_that_the_vendor_cannot_serve_is_refused_with_what_to_ask_instead(provider, symbol, wish, advice):
    with pytest.raises(PlanError, match=advice):
        plan(provider, symbol, **wish)


def test_an_unknown_vendor_is_named_with_those_that_exist():
    with pytest.raises(vendors.UnknownVendor, match="Did you mean 'polygon'") as caught:
        vendors.vendor("polygone")
    assert "alpha_vantage" in str(caught.value)
