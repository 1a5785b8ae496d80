"""The vendors' own Python clients fetch from the sandbox and get what its market and its recordings hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest

from marketfetch.local.sandbox_process import Sandbox
from marketfetch.sandbox import recorded
from marketfetch.sandbox.intraday import minutes
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.sessions import FIRST
from marketfetch.sandbox.symbols import stock, ticker
from tests.sandbox import vendor_libraries as clients

MARKET = Market(seed=1, today=date(2026, 5, 15))


def daily(name: str, first: str, last: str) -> Any:
    symbol = ticker(name)
    assert symbol is not None
    return MARKET.daily(symbol).between(date.fromisoformat(first), date.fromisoformat(last))


@pytest.fixture
def series(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(clients.AlphaVantage, "_ALPHA_VANTAGE_API_URL", f"{sandbox.url}/query?")
    return clients.TimeSeries(key="AVK")


@pytest.fixture
def polygon(sandbox: Sandbox) -> Any:
    return clients.RESTClient(api_key="PK", base=sandbox.url)


@pytest.fixture
def nasdaq(sandbox: Sandbox) -> Iterator[Any]:
    config = clients.nasdaqdatalink.ApiConfig
    names = ("api_base", "api_key", "api_protocol", "use_retries")
    before = {name: getattr(config, name) for name in names}
    config.api_base, config.api_key, config.api_protocol = f"{sandbox.url}/api/v3", "NDK", "http://"
    config.use_retries = False
    yield clients.nasdaqdatalink
    for name, value in before.items():
        setattr(config, name, value)


def test_alpha_vantages_client_reads_the_recorded_compact_days(series: Any) -> None:
    rows, meta = series.get_daily(symbol="IBM")
    assert meta["2. Symbol"] == "IBM"
    assert meta["4. Output Size"] == "Compact"
    assert next(iter(rows)) == meta["3. Last Refreshed"] == "2026-05-15"
    expected = recorded.daily()["IBM"]
    assert {at: tuple(float(value) for value in row.values()) for at, row in rows.items()} == {
        at: row[:5] for at, row in expected.items()
    }


def test_alpha_vantages_client_reads_the_full_history_in_the_generators_numbers(series: Any) -> None:
    rows, _ = series.get_daily(symbol="NVDA", outputsize="full")
    days = daily("NVDA", "1999-11-08", "2026-05-15")
    assert list(rows) == [str(day) for day in days.day[::-1]]
    closes = [float(row["4. close"]) for row in rows.values()]
    assert closes == days.close[::-1].tolist()


def test_alpha_vantages_client_reads_the_recorded_minutes(series: Any) -> None:
    # The client's own method lacks `month`, its call underneath does not.
    rows, meta = series.get_intraday(symbol="MSFT", interval="1min", outputsize="full", month="2017-12", adjusted="false")
    assert meta["6. Time Zone"] == "US/Eastern"
    for at, row in recorded.minutes()["MSFT"].items():
        assert tuple(float(value) for value in rows[at].values()) == row[:5]


def test_alpha_vantages_client_reads_adjusted_weeks_as_recorded(series: Any) -> None:
    rows, _ = series.get_weekly_adjusted(symbol="IBM")
    weeks = recorded.weekly_adjusted("IBM")
    assert len(weeks) == 1384
    assert {at: tuple(row.values()) for at, row in rows.items()} == weeks


def test_alpha_vantages_client_reads_currencies(series: Any) -> None:
    assert series is not None  # points the class at the sandbox
    rows, meta = clients.ForeignExchange(key="AVK").get_currency_exchange_daily(from_symbol="EUR", to_symbol="USD")
    assert meta["6. Time Zone"] == "UTC"
    assert float(rows["2026-05-15"]["4. close"]) == 1.1625
    assert len(rows) == 100


def test_alpha_vantages_client_raises_the_vendors_words(series: Any, sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match=r"Invalid API call.*TIME_SERIES_DAILY"):
        series.get_daily(symbol="ZZZZ")
    sandbox.control.keys("alpha_vantage", "AVK", premium=["TIME_SERIES_DAILY_ADJUSTED"])
    with pytest.raises(ValueError, match="premium endpoint"):
        series.get_daily_adjusted(symbol="IBM")
    sandbox.control.keys("alpha_vantage", "AVK", limits=["1/minute"])
    with pytest.raises(ValueError, match="1 calls per minute"):
        series.get_daily(symbol="IBM")


def test_polygons_client_reads_the_recorded_days(polygon: Any) -> None:
    bars = list(polygon.list_aggs("AAPL", 1, "day", "2023-01-01", "2023-01-10"))
    recording = recorded.document("aggs_daily_AAPL.json")["results"]
    names = {
        "o": "open",
        "h": "high",
        "l": "low",
        "c": "close",
        "v": "volume",
        "vw": "vwap",
        "n": "transactions",
        "t": "timestamp",
    }
    assert [{short: getattr(bar, long) for short, long in names.items()} for bar in bars] == [
        {short: row[short] for short in names} for row in recording
    ]


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize(("multiplier", "span", "limit"), [(1, "day", 50), (1, "week", 40), (1, "month", 100), (2, "day", 7)])
def test_polygons_client_pages_through_without_losing_or_doubling_a_bar(
    polygon: Any, sandbox: Sandbox, multiplier: int, span: str, limit: int, sort: str
) -> None:
    asked: Any = {"from_": "2019-01-01", "to": "2020-12-31", "sort": sort}
    whole = list(polygon.list_aggs("TSLA", multiplier, span, **asked, limit=50_000))
    before = sandbox.control.log()["calls"]
    paged = list(polygon.list_aggs("TSLA", multiplier, span, **asked, limit=limit))
    assert paged == whole
    assert sandbox.control.log()["calls"] - before > 4
    times = [bar.timestamp for bar in whole]
    assert times == sorted(set(times), reverse=sort == "desc")


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize(("multiplier", "span"), [(1, "minute"), (5, "minute"), (1, "hour")])
def test_polygons_client_pages_through_minutes(polygon: Any, multiplier: int, span: str, sort: str) -> None:
    asked: Any = {"from_": "2024-03-01", "to": "2024-03-19", "sort": sort}
    whole = list(polygon.list_aggs("AMD", multiplier, span, **asked, limit=50_000))
    assert list(polygon.list_aggs("AMD", multiplier, span, **asked, limit=1000)) == whole
    symbol = stock("AMD")
    assert symbol is not None
    base = minutes(MARKET, symbol, first=date(2024, 3, 1), last=date(2024, 3, 19))
    if (multiplier, span) == (1, "minute"):
        rows = whole if sort == "asc" else whole[::-1]
        assert [bar.timestamp for bar in rows] == base.ts.tolist()
        assert [bar.close for bar in rows] == np.round(base.close / base.split, 4).tolist()
    assert sum(bar.volume or 0 for bar in whole) == pytest.approx((base.volume * base.split).sum())


def test_polygons_client_undoes_splits_only_if_asked(polygon: Any) -> None:
    raw = list(polygon.list_aggs("AAPL", 1, "day", "2014-06-02", "2014-06-13", adjusted=False))
    split = list(polygon.list_aggs("AAPL", 1, "day", "2014-06-02", "2014-06-13", adjusted=True))
    days = daily("AAPL", "2014-06-02", "2014-06-13")
    assert [bar.close for bar in raw] == days.close.tolist()
    # Seven new shares on 2014-06-09 and four on 2020-08-31.
    assert [round(before.close / after.close) for before, after in zip(raw, split, strict=True)] == [28] * 5 + [4] * 5


def test_polygons_client_sees_refusals_as_the_vendor_words_them(polygon: Any, sandbox: Sandbox) -> None:
    assert list(polygon.list_aggs("ZZZZ", 1, "day", "2023-01-01", "2023-01-10")) == []
    sandbox.control.keys("polygon", "PK", years=2)
    with pytest.raises(clients.BadResponse, match="doesn't include this data timeframe"):
        list(polygon.list_aggs("AAPL", 1, "day", "2019-01-01", "2019-01-10"))
    with pytest.raises(clients.BadResponse, match="Unknown API Key"):
        list(clients.RESTClient(api_key="refused-1", base=sandbox.url).list_aggs("AAPL", 1, "day", "2026-01-01", "2026-01-10"))


def test_polygons_client_lists_reference_data(polygon: Any) -> None:
    splits = list(polygon.list_splits(ticker="AAPL"))
    assert [(one.execution_date, one.split_to) for one in splits][:2] == [("2020-08-31", 4.0), ("2014-06-09", 7.0)]
    paid = [day for day, _ in recorded.dividends("IBM") or () if day >= str(FIRST)]
    assert [one.ex_dividend_date for one in polygon.list_dividends(ticker="IBM", limit=10)] == paid[::-1]
    assert polygon.get_ticker_details("AAPL").name == "AAPL (simulated)"
    with pytest.raises(clients.BadResponse, match="Ticker not found"):
        polygon.get_ticker_details("ZZZZ")
    tickers = [one.ticker for one in polygon.list_tickers(limit=20)]
    assert tickers == sorted(set(tickers))
    assert len(tickers) > 60


def test_nasdaqs_client_reads_the_recorded_table(nasdaq: Any) -> None:
    frame = nasdaq.get_table(
        "WIKI/PRICES", ticker=["AAPL", "MSFT"], date={"gte": "2014-01-01", "lte": "2014-12-31"}, paginate=True
    )
    rows = {(row["ticker"], row["date"]): row for row in recorded.wiki_prices()}
    assert len(frame) == 504
    for _, row in frame.iterrows():
        known = rows[row["ticker"], f"{row['date']:%Y-%m-%d}"]
        for name in ("open", "high", "low", "close", "volume", "ex-dividend", "split_ratio", "adj_close", "adj_volume"):
            assert row[name] == float(known[name])


def test_nasdaqs_client_pages_by_cursor(nasdaq: Any, sandbox: Sandbox) -> None:
    asked: Any = {"ticker": "NVDA", "date": {"gte": "2020-01-01"}, "qopts": {"columns": ["date", "close"], "per_page": 500}}
    frame = nasdaq.get_table("QUOTEMEDIA/PRICES", **asked, paginate=True)
    days = daily("NVDA", "2020-01-01", "2026-05-15")
    assert frame["close"].tolist() == days.close[::-1].tolist()
    assert sandbox.control.log()["providers"]["nasdaq"]["NDK"]["calls"] == 4


# The client still sets its frame's index in place, which pandas 3 warns of.
@pytest.mark.filterwarnings("ignore:The inplace keyword:pandas.errors.Pandas4Warning")
def test_nasdaqs_client_reads_datasets(nasdaq: Any) -> None:
    frame = nasdaq.get("WIKI/AAPL", start_date="2014-01-02", end_date="2014-01-07", order="asc")
    assert frame["Close"].tolist() == [553.13, 540.98, 543.93, 540.0375]
    assert frame["Adj. Close"].tolist()[0] == 73.523423281972
    newest = nasdaq.get("EOD/NVDA", rows=3, column_index=4)
    assert newest["Close"].tolist() == daily("NVDA", "2026-05-01", "2026-05-15").close[-3:].tolist()
    ratios = nasdaq.get("MULTPL/SP500_PE_RATIO_MONTH", returns="numpy")
    assert len(ratios) == 12


def test_nasdaqs_client_raises_the_vendors_errors(nasdaq: Any, sandbox: Sandbox) -> None:
    errors = clients.nasdaqdatalink
    with pytest.raises(errors.NotFoundError, match="QECx02"):
        nasdaq.get("WIKI/ZZZZ")
    with pytest.raises(errors.DataLinkError, match="410"):
        nasdaq.get("GONE/ANY")
    with pytest.raises(errors.InvalidRequestError, match="QESx08"):
        nasdaq.get_table("WIKI/PRICES", open=3)
    sandbox.control.keys("nasdaq", "NDK", limits=["1/10seconds"])
    with pytest.raises(errors.LimitExceededError, match="QELx04"):
        nasdaq.get("WIKI/AAPL")
    errors.ApiConfig.api_key = "refused"
    with pytest.raises(errors.DataLinkError, match="QEAx01"):
        nasdaq.get("WIKI/AAPL")
