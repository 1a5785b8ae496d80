"""The smaller endpoints of the three vendors, as the market says: facts, metadata, filters, forms, and every refusal."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from typing import Any

import pytest

from marketfetch.sandbox.faults import Fault
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.page_faults import mislead
from marketfetch.sandbox.reply import Reply
from marketfetch.sandbox.service import Call, Service
from marketfetch.sandbox.symbols import stock

MARKET = Market(seed=3, today=date(2026, 5, 15))
SERVICE = Service(MARKET)


def call(vendor: str, path: str, **query: str) -> Call:
    return Call(vendor, "key", path, {name.replace("__", "."): [value] for name, value in query.items()})


def alpha(function: str, **query: str) -> Reply:
    return SERVICE.answer(call("alpha_vantage", "/query", function=function, **query))


def nasdaq(path: str, **query: str) -> Reply:
    return SERVICE.answer(call("nasdaq", f"/api/v3/{path}", **query))


def document(reply: Reply) -> Any:
    return json.loads(reply.body)


def table(reply: Reply) -> list[dict[str, str]]:
    assert reply.content_type in ("text/csv", "application/x-download")
    return list(csv.DictReader(io.StringIO(reply.body.decode())))


def days_of(name: str) -> Any:
    symbol = stock(name)
    assert symbol
    return MARKET.daily(symbol)


def test_a_quote_is_the_newest_bar_and_its_change():
    days = days_of("QQQQ")
    quote = document(alpha("GLOBAL_QUOTE", symbol="QQQQ"))["Global Quote"]
    assert quote["01. symbol"] == "QQQQ"
    assert float(quote["05. price"]) == pytest.approx(days.close[-1], abs=1e-4)
    assert float(quote["09. change"]) == pytest.approx(days.close[-1] - days.close[-2], abs=2e-4)
    assert quote["10. change percent"].endswith("%")
    (row,) = table(alpha("GLOBAL_QUOTE", symbol="QQQQ", datatype="csv"))
    assert (row["symbol"], row["latestDay"], row["price"]) == ("QQQQ", str(days.day[-1]), quote["05. price"])
    assert document(alpha("GLOBAL_QUOTE", symbol="ZZZZA")) == {"Global Quote": {}}


def test_a_search_finds_by_the_first_letters():
    found = document(alpha("SYMBOL_SEARCH", keywords="ib"))["bestMatches"]
    assert "IBM" in [one["1. symbol"] for one in found]
    assert document(alpha("SYMBOL_SEARCH", keywords=""))["bestMatches"] == []


@pytest.mark.parametrize(
    ("function", "day", "value"), [("SPLITS", "effective_date", "split_factor"), ("DIVIDENDS", "ex_dividend_date", "amount")]
)
def test_splits_and_dividends_are_those_of_the_bars(function, day, value):
    days = days_of("AAPL")
    changes = days.ratio if function == "SPLITS" else days.cash
    expected = {str(at): change for at, change in zip(days.day, changes, strict=True) if change != (function == "SPLITS")}
    rows = document(alpha(function, symbol="AAPL"))["data"]
    assert {one[day]: float(one[value]) for one in rows} == pytest.approx(expected)
    assert [one[day] for one in rows] == sorted(expected, reverse=True), "the newest first"
    assert len(table(alpha(function, symbol="AAPL", datatype="csv"))) == len(rows)
    assert len(table(alpha(function, symbol="IBM", datatype="csv"))) > 0
    assert document(alpha(function, symbol="ZZZZA")) == {}


def test_a_function_that_is_none_or_premium_says_so():
    assert "Error Message" in document(alpha("NO_SUCH_FUNCTION", symbol="IBM"))
    SERVICE.put_account({"provider": "alpha_vantage", "key": "free", "premium": ["SPLITS"]})
    refused = SERVICE.answer(Call("alpha_vantage", "free", "/query", {"function": ["SPLITS"], "symbol": ["IBM"]}))
    assert "premium" in document(refused)["Information"]
    assert not refused.good


def test_a_datasets_parts_and_forms():
    about = document(nasdaq("datasets/WIKI/AAPL/metadata.json"))["dataset"]
    assert (about["dataset_code"], about["frequency"], about["newest_available_date"]) == ("AAPL", "daily", "2018-03-27")
    both = document(nasdaq("datasets/WIKI/AAPL.json", rows="5"))["dataset"]
    assert (len(both["data"]), both["column_names"][0], both["database_code"]) == (5, "Date", "WIKI")
    oldest = document(nasdaq("datasets/EOD/AAPL/data.json", order="asc", limit="3"))["dataset_data"]
    assert [row[0] for row in oldest["data"]] == sorted(row[0] for row in oldest["data"])
    (row,) = table(nasdaq("datasets/WIKI/AAPL/data.csv", start_date="2018-03-27", column_index="4"))
    assert set(row) == {"Date", "Close"}
    assert document(nasdaq("datasets/MULTPL/SP500_PE_RATIO_MONTH/data.json"))["dataset_data"]["frequency"] == "monthly"


@pytest.mark.parametrize(("collapse", "rows"), [("weekly", 52), ("monthly", 12), ("quarterly", 4), ("annual", 1)])
def test_a_collapse_keeps_the_last_row_of_each_period(collapse, rows):
    year = {"start_date": "2017-01-02", "end_date": "2017-12-29", "order": "asc"}
    daily = document(nasdaq("datasets/WIKI/AAPL/data.json", **year))["dataset_data"]["data"]
    found = document(nasdaq("datasets/WIKI/AAPL/data.json", collapse=collapse, **year))["dataset_data"]["data"]
    assert len(found) == rows
    assert found[-1] == daily[-1]
    assert all(row in daily for row in found)


@pytest.mark.parametrize(
    ("path", "query", "code", "status"),
    [
        ("datasets/GONE/X/data.json", {}, "QECx06", 410),
        ("datasets/NONE/X/data.json", {}, "QECx02", 404),
        ("datasets/WIKI/ZZZZA/data.json", {}, "QECx02", 404),
        ("datasets/WIKI/AAPL/data.json", {"start_date": "soon"}, "QESx04", 422),
        ("datasets/WIKI/AAPL/data.json", {"limit": "many"}, "QESx04", 422),
        ("datasets/WIKI/AAPL/data.json", {"order": "up"}, "QESx04", 422),
        ("datasets/WIKI/AAPL/data.json", {"collapse": "hourly"}, "QESx04", 422),
        ("datasets/WIKI/AAPL/data.json", {"column_index": "99"}, "QESx04", 422),
        ("datatables/GONE/X.json", {}, "QECx06", 410),
        ("datatables/NO/TABLE.json", {}, "QECx02", 404),
        ("datatables/WIKI/PRICES.json", {"qopts__columns": "ticker,nothing"}, "QESx04", 422),
        ("datatables/WIKI/PRICES.json", {"close": "5"}, "QESx08", 422),
        ("datatables/WIKI/PRICES.json", {"date__about": "2016-01-04"}, "QESx07", 422),
        ("datatables/WIKI/PRICES.json", {"date": "soon"}, "QESx04", 422),
        ("datatables/WIKI/PRICES.json", {"ticker": "AAPL", "qopts__cursor_id": "!"}, "QESx06", 400),
        ("datatables/WIKI/PRICES.json", {"ticker": "AAPL", "qopts__cursor_id": "djJfMF94"}, "QESx06", 400),
        ("nothing/here", {}, "QECx01", 400),
    ],
)
def test_every_refusal_has_its_code_in_json_and_in_csv(path, query, code, status):
    reply = nasdaq(path, **query)
    assert (document(reply)["quandl_error"]["code"], reply.status, reply.good) == (code, status, False)
    if path.endswith(".json"):
        (row,) = table(nasdaq(path.replace(".json", ".csv"), **query))
        assert row["code"] == code


def rows_of(**query: str) -> list[tuple[str, str]]:
    found = document(nasdaq("datatables/WIKI/PRICES.json", qopts__columns="ticker,date", **query))
    return [tuple(row) for row in found["datatable"]["data"]]


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({"date": "2016-01-05"}, ["2016-01-05"]),
        ({"date": "2016-01-05,2016-01-07"}, ["2016-01-07", "2016-01-05"]),
        ({"date__gte": "2016-01-06", "date__lte": "2016-01-07"}, ["2016-01-07", "2016-01-06"]),
        ({"date__gt": "2016-01-06", "date__lt": "2016-01-08"}, ["2016-01-07"]),
        ({"date": "2016-01-05", "date__gt": "2016-01-05"}, []),
        ({"date__gt": "2016-01-08", "date__lt": "2016-01-08"}, []),
    ],
)
def test_the_filters_of_a_date(query, days):
    assert rows_of(ticker="AAPL", **query) == [("AAPL", day) for day in days]


def test_the_filters_of_a_ticker():
    day = {"date": "2016-01-05"}
    every = [name for name, _ in rows_of(**day)]
    assert every == sorted(every)
    assert "AAPL" in every
    assert [name for name, _ in rows_of(ticker__gte="IBM", **day)] == [name for name in every if name >= "IBM"]
    assert [name for name, _ in rows_of(ticker__lt="IBM", **day)] == [name for name in every if name < "IBM"]
    assert [name for name, _ in rows_of(ticker="MSFT,AAPL", **day)] == ["AAPL", "MSFT"]


def test_a_tables_metadata_forms_and_recording():
    about = document(nasdaq("datatables/SHARADAR/SEP/metadata.json"))["datatable"]
    assert (about["primary_key"], about["filters"]) == (["ticker", "date"], ["ticker", "date"])
    names = [one["name"] for one in about["columns"]]
    (row,) = table(nasdaq("datatables/SHARADAR/SEP.csv", ticker="AAPL", date="2016-01-05"))
    assert list(row) == names
    assert document(nasdaq("datatables/NDAQ/RTAT10.json"))["meta"] == {"next_cursor_id": None}
    assert len(table(nasdaq("datatables/NDAQ/RTAT10.csv"))) == len(
        document(nasdaq("datatables/NDAQ/RTAT10.json"))["datatable"]["data"]
    )


@pytest.mark.parametrize("way", ["circle", "same rows", "empty", "huge cursor"])
def test_pages_that_lead_nowhere_name_a_next_page_and_keep_their_rows(way):
    asked = call("nasdaq", "/api/v3/datatables/WIKI/PRICES.json", ticker="AAPL", date="2016-01-05")
    aggs = call("polygon", "/v2/aggs/ticker/AAPL/range/1/day/2016-01-04/2016-01-08", limit="50000")
    names = []
    for struck in (1, 2, 3):
        fault = Fault("pages", way=way, struck=struck)
        page = document(mislead(asked, fault, SERVICE.answer(asked)))
        assert bool(page["datatable"]["data"]) == (way != "empty")
        bars = document(mislead(aggs, fault, SERVICE.answer(aggs)))
        assert bool(bars.get("results")) == (way != "empty")
        assert bars["next_url"].startswith(
            "https://api.massive.com/v2/aggs/ticker/AAPL/range/1/day/2016-01-04/2016-01-08?cursor="
        )
        names.append((page["meta"]["next_cursor_id"], bars["next_url"]))
    assert (names[0] == names[2]) == (way == "circle")
    assert names[0] != names[1]
    assert (len(names[0][0]) > 5_000_000) == (way == "huge cursor")


def test_a_reply_without_pages_stays_as_it_is():
    fault = Fault("pages", way="circle")
    for asked in (
        call("alpha_vantage", "/query", function="SYMBOL_SEARCH", keywords="IBM"),
        call("nasdaq", "/api/v3/datasets/WIKI/AAPL/data.json", rows="1"),
        call("nasdaq", "/api/v3/datatables/WIKI/PRICES.csv", ticker="AAPL", date="2016-01-05"),
        call("polygon", "/v3/reference/tickers/AAPL"),
    ):
        reply = SERVICE.answer(asked)
        assert mislead(asked, fault, reply).body == reply.body
