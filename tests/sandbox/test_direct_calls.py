"""The vendors of the sandbox as a function: what each says of a call at the edge of what it has, without a server."""

from __future__ import annotations

import gzip
import json
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from marketfetch.sandbox.damage import KINDS
from marketfetch.sandbox.direct_calls import add_fault, new_state, reply_to
from marketfetch.sandbox.polygon_files import HEADER, day_file
from marketfetch.sandbox.reply import Reply
from marketfetch.sandbox.state import State

AGGS = "/v2/aggs/ticker/{name}/range/{multiplier}/{span}/{first}/{last}?apiKey=k"
QUERY = "/query?apikey=k&function="


@pytest.fixture
def state() -> State:
    return new_state(seed=3, today=date(2026, 5, 15))


def ask(state: State, url: str, **headers: str) -> Reply:
    parts = urlsplit(url)
    return reply_to(state, parts.path, parse_qs(parts.query, keep_blank_values=True), headers)


def document(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)
    return found


def aggs(state: State, name: str, span: str, first: str, last: str, *, multiplier: int = 1, more: str = "") -> Reply:
    return ask(state, AGGS.format(name=name, multiplier=multiplier, span=span, first=first, last=last) + more)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"span": "fortnight"}, "timespan or multiplier is invalid: 1/fortnight"),
        ({"multiplier": 0}, "timespan or multiplier is invalid: 0/day"),
        ({"more": "&limit=0"}, "timespan or multiplier is invalid"),
        ({"first": "2024-01-05", "last": "2024-01-02"}, "'to' cannot be a time that occurs before 'from'"),
    ],
)
def test_polygon_refuses_a_range_that_none_can_mean(state: State, wish: dict[str, Any], words: str) -> None:
    reply = aggs(state, "IBM", **{"span": "day", "first": "2024-01-02", "last": "2024-01-05", **wish})
    assert reply.status == 400
    assert words in document(reply)["error"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_polygon_bar_of_more_base_bars_than_the_limit_makes_the_last_page_alone(state: State, order: str) -> None:
    found = document(aggs(state, "IBM", "day", "2024-01-01", "2024-01-31", multiplier=40, more=f"&limit=3&sort={order}"))
    assert "next_url" not in found
    assert found["queryCount"] > 3
    assert len(found["results"]) == 1
    whole = document(aggs(state, "IBM", "day", "2024-01-01", "2024-01-31", multiplier=40, more=f"&sort={order}"))
    assert found["results"] == whole["results"]


def test_polygon_has_no_minutes_of_days_without_a_session(state: State) -> None:
    found = document(aggs(state, "IBM", "minute", "2024-01-06", "2024-01-07"))
    assert (found["status"], found["queryCount"], found["resultsCount"]) == ("OK", 0, 0)
    assert "results" not in found or found["results"] == []


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_minutes_is_full_where_sessions_have_few_of_them(state: State, order: str) -> None:
    # So few of these shares changed hands that most minutes have no bar.
    asked = (state, "BRK_A", "minute", "2014-04-21", "2014-05-02")
    whole = document(aggs(*asked, more=f"&limit=50000&sort={order}"))
    assert whole["queryCount"] < 10 * 390
    page = document(aggs(*asked, more=f"&limit=700&sort={order}"))
    assert page["queryCount"] == 700
    assert page["results"] == whole["results"][:700]


@pytest.mark.parametrize(("day", "bars"), [("2024-01-06", 0), ("2024-01-05", 1)])
def test_polygons_grouped_reply_of_a_day_without_a_session_has_no_results(state: State, day: str, bars: int) -> None:
    found = document(ask(state, f"/v2/aggs/grouped/locale/us/market/stocks/{day}?apiKey=k"))
    assert found["queryCount"] == found["resultsCount"] == found["count"]
    assert min(found["count"], 1) == bars
    assert ("results" in found) is bool(bars)


def test_polygons_plan_bounds_grouped_days_too(state: State) -> None:
    state.service.put_account({"provider": "polygon", "key": "k", "years": 2})
    refused = ask(state, "/v2/aggs/grouped/locale/us/market/stocks/2020-01-06?apiKey=k")
    assert (refused.status, document(refused)["status"]) == (403, "NOT_AUTHORIZED")
    assert ask(state, "/v2/aggs/grouped/locale/us/market/stocks/2026-01-06?apiKey=k").status == 200


@pytest.mark.parametrize("name", ["C:EURUSD", "no ticker"])
def test_polygon_has_a_snapshot_of_stocks_alone(state: State, name: str) -> None:
    assert ask(state, f"/v2/snapshot/locale/us/markets/stocks/tickers/{name}?apiKey=k").status == 404


@pytest.mark.parametrize("path", ["/v1/reference/nothing", "/v3/reference/nothing", "/v3/reference/splits/IBM"])
def test_polygon_has_no_other_reference_data(state: State, path: str) -> None:
    reply = ask(state, f"{path}?apiKey=k")
    assert (reply.status, document(reply)["message"]) == (404, "Data not found.")


def test_alpha_vantages_weeks_are_the_recorded_ones_where_there_are_some(state: State) -> None:
    newest = {}
    for name in ("IBM", "TSLA", "MSFT"):
        weeks = document(ask(state, f"{QUERY}TIME_SERIES_WEEKLY_ADJUSTED&symbol={name}"))["Weekly Adjusted Time Series"]
        newest[name] = next(iter(weeks.items()))
    assert newest["IBM"][0] == newest["TSLA"][0]
    assert {*newest["IBM"][1]} == {*newest["TSLA"][1]} == {*newest["MSFT"][1]}
    assert len({week["5. adjusted close"] for _, week in newest.values()}) == 3


def test_alpha_vantage_has_pairs_of_currencies_and_of_coins_apart(state: State) -> None:
    forex = document(ask(state, f"{QUERY}FX_DAILY&from_symbol=EUR&to_symbol=USD"))
    assert forex["Meta Data"]["2. From Symbol"] == "EUR"
    coins = document(ask(state, f"{QUERY}DIGITAL_CURRENCY_DAILY&symbol=BTC&market=EUR"))
    assert coins["Meta Data"]["2. Digital Currency Code"] == "BTC"
    for wrong in ("FX_DAILY&from_symbol=BTC&to_symbol=EUR", "DIGITAL_CURRENCY_DAILY&symbol=EUR&market=USD"):
        assert "Error Message" in document(ask(state, QUERY + wrong))


def test_alpha_vantage_keeps_the_full_size_of_days_for_its_premium_keys(state: State) -> None:
    state.service.put_account({"provider": "alpha_vantage", "key": "k", "premium": ["outputsize=full"]})
    refused = document(ask(state, f"{QUERY}TIME_SERIES_DAILY&symbol=IBM&outputsize=full"))
    assert [*refused] == ["Information"]
    assert "outputsize=full" in refused["Information"]
    assert "Time Series (Daily)" in document(ask(state, f"{QUERY}TIME_SERIES_DAILY&symbol=IBM"))


@pytest.mark.parametrize(
    ("vendor", "url", "status", "words"),
    [
        ("polygon", AGGS.format(name="IBM", multiplier=1, span="day", first="2024-01-02", last="2024-01-05"), 429, "exceeded"),
        ("nasdaq", "/api/v3/datasets/WIKI/IBM/data.json?rows=1&api_key=k", 429, "one call at a time"),
        ("alpha_vantage", f"{QUERY}GLOBAL_QUOTE&symbol=IBM", 200, "1 request per second"),
    ],
)
def test_calls_that_are_open_together_are_refused_in_each_vendors_words(
    state: State, vendor: str, url: str, status: int, words: str
) -> None:
    state.service.put_account({"provider": vendor, "key": "k", "concurrency": 1, "enforce": True})
    assert words not in ask(state, url).body.decode()
    # A call of the same key that has not ended.
    state.service.judge.of(vendor, "k").arrive(0.0, 0.0, "IBM")
    refused = ask(state, url)
    assert refused.status == status
    assert words in refused.body.decode()


@pytest.mark.parametrize(
    ("vendor", "url"),
    [
        ("polygon", AGGS.format(name="IBM", multiplier=1, span="day", first="2024-01-01", last="2024-03-01")),
        ("alpha_vantage", f"{QUERY}TIME_SERIES_DAILY&symbol=IBM"),
        ("nasdaq", "/api/v3/datasets/WIKI/IBM/data.json?rows=40&api_key=k"),
        ("nasdaq", "/api/v3/datatables/WIKI/PRICES.json?ticker=IBM&qopts.per_page=40&api_key=k"),
    ],
)
def test_bad_rows_are_one_of_each_kind_and_are_listed(state: State, vendor: str, url: str) -> None:
    add_fault(state, kind="bad_rows", provider=vendor)
    spoilt, good = document(ask(state, url)), document(ask(state, url))
    assert [one["kind"] for one in state.damaged] == [*KINDS]
    assert {(one["provider"], one["symbol"]) for one in state.damaged} == {(vendor, "IBM")}
    assert spoilt != good


@pytest.mark.parametrize(
    ("vendor", "url"),
    [
        ("alpha_vantage", f"{QUERY}GLOBAL_QUOTE&symbol=IBM"),
        ("alpha_vantage", f"{QUERY}LISTING_STATUS"),
        ("nasdaq", "/api/v3/datasets/WIKI/IBM/metadata.json?api_key=k"),
        ("polygon", "/v3/reference/tickers/IBM?apiKey=k"),
    ],
)
def test_a_reply_without_rows_has_none_to_spoil(state: State, vendor: str, url: str) -> None:
    good = ask(state, url)
    add_fault(state, kind="bad_rows", provider=vendor)
    spoilt = ask(state, url)
    assert state.damaged == []
    if spoilt.content_type.startswith("application/json"):
        assert {**document(spoilt), "request_id": 0} == {**document(good), "request_id": 0}
    else:
        assert spoilt.body == good.body


def test_rows_without_their_table_are_made_into_one_for_a_hostile_reply(state: State) -> None:
    add_fault(state, kind="odd", provider="nasdaq", way="empty rows")
    found = document(ask(state, "/api/v3/datasets/WIKI/IBM/metadata.json?api_key=k"))
    assert found["datatable"]["columns"] == [{"name": "date", "type": "Date"}]
    assert found["datatable"]["data"]


def test_a_key_is_repeated_in_no_row_where_there_is_none(state: State) -> None:
    url = "/api/v3/datasets/WIKI/IBM/metadata.json?api_key=k"
    plain = document(ask(state, url))
    add_fault(state, kind="echo_key", provider="nasdaq", stage="value")
    assert document(ask(state, url)) == plain


def test_only_polygon_sends_results_that_are_null(state: State) -> None:
    add_fault(state, kind="results_null", count=2)
    polygon = document(aggs(state, "IBM", "day", "2024-01-02", "2024-01-05"))
    assert (polygon["results"], polygon["resultsCount"]) == (None, 0)
    assert document(ask(state, f"{QUERY}TIME_SERIES_DAILY&symbol=IBM")) == {}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"kind": "500", "colour": "red"}, "unknown field 'colour' of a fault"),
        ({"kind": "500", "provider": "acme"}, "unknown provider 'acme'"),
    ],
)
def test_a_fault_that_can_not_be_meant_is_refused(state: State, wish: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        add_fault(state, **wish)
    assert state.faults.waiting == []


def test_flat_files_have_stocks_with_a_session_and_nothing_else(state: State) -> None:
    market, names = state.service.market, ("TSLA", "C:EURUSD", "no ticker", "IBM")

    def symbols(day: date) -> list[str]:
        header, *lines = gzip.decompress(day_file(market, day, names)).decode().splitlines()
        assert header == HEADER
        return [line.partition(",")[0] for line in lines]

    assert symbols(date(2004, 1, 5)) == ["IBM"]
    assert symbols(date(2024, 1, 6)) == []
    assert symbols(date(2016, 1, 5)) == ["IBM", "TSLA"]
