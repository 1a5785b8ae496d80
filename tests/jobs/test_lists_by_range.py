"""Splits and dividends of a range of days, of a symbol or of all: planned, called, read, stored, and not asked for again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import planning, updating
from marketfetch.jobs.asked_again import asked_again
from marketfetch.jobs.batches import decode, encode
from marketfetch.jobs.subtraction import subtracted
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import Records
from marketfetch.schemas.rejects import Reject
from marketfetch.schemas.request import Request
from marketfetch.storage.asked_ranges import asked_ranges
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.dataset_names import records_of
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.page_chain import MOST_PAGES_OF_A_LIST, most_pages
from tests.jobs.test_lists_are_planned import AT
from tests.storage.conftest import postgres_url, store, url  # noqa: F401 (pytest finds the fixtures here)
from tests.storage.test_stores_keep_records import reply, split, splits

VENDOR = vendors.vendor("polygon")
YEARS = {"start": "2024-07-01", "end": "2026-02-27"}


def wish(*symbols: str, **wish_: Any) -> tuple[Any, list[Request]]:
    spec = planning.make_spec("polygon", symbols, again=False, at=AT, **{"dataset": "splits", **YEARS, **wish_})
    return spec, planning.plan_new(spec)


def test_a_range_of_all_symbols_is_asked_for_by_the_year_and_of_one_at_once() -> None:
    days = [(str(one.start), str(one.end)) for one in wish("*")[1]]
    assert days == [("2024-07-01", "2024-12-31"), ("2025-01-01", "2025-12-31"), ("2026-01-01", "2026-02-27")]
    _, requests = wish("AAPL", "MSFT", dataset="Dividends")
    assert [(one.symbol, one.dataset, str(one.start), one.generation, one.records) for one in requests] == [
        (symbol, "dividends", "2024-07-01", "", True) for symbol in ("AAPL", "MSFT")
    ]
    (whole,) = planning.plan_new(planning.make_spec("polygon", ["*"], again=False, at=AT, dataset="splits"))
    assert (whole.start, whole.generation) == (None, "2026-11-20T10:15Z")
    assert {most_pages(one, rows_per_page=50_000) for one in (whole, *wish("*")[1])} == {MOST_PAGES_OF_A_LIST}


def test_the_call_filters_by_the_vendors_own_day() -> None:
    def params(*arguments: Any, **more: Any) -> dict[str, str]:
        return dict(VENDOR.build_request(wish(*arguments, **more)[1][0], VENDOR.options()).params)

    of_all = {"sort": "execution_date", "order": "asc", "limit": "1000"}
    assert params("*") == {"execution_date.gte": "2024-07-01", "execution_date.lte": "2024-12-31", **of_all}
    assert params("AAPL", dataset="dividends") == {
        "ticker": "AAPL", "ex_dividend_date.gte": "2024-07-01", "ex_dividend_date.lte": "2026-02-27", "limit": "1000",
    }  # fmt: skip
    assert params("*", start=None, end=None) == of_all


@pytest.mark.parametrize(
    ("provider", "symbols", "more", "says"),
    [
        ("polygon", ["*", "AAPL"], {}, "stands for every symbol"),
        ("alpha_vantage", ["IBM"], {}, "leave out the start and the end"),
        ("polygon", ["AAPL"], {"dataset": "snapshots"}, "leave out the start and the end"),
        (
            "polygon",
            ["*"],
            {"dataset": "snapshots"},
            "name the symbols, or ask for the dataset grouped or .*splits or dividends",
        ),
        ("polygon", ["C:EURUSD"], {}, "is no stock"),
    ],
)
def test_what_can_not_be_asked_for_by_range_is_refused(
    provider: str, symbols: list[str], more: dict[str, Any], says: str
) -> None:
    days = {} if symbols == ["*"] else YEARS
    asked: dict[str, Any] = {**days, "dataset": "splits", **more}
    with pytest.raises(BadRequestError, match=says):
        planning.plan_new(planning.make_spec(provider, symbols, again=False, at=AT, **asked))


def test_a_reply_of_other_days_is_refused_whole() -> None:
    row = {"ticker": "KO", "execution_date": "2012-08-13", "split_from": 1, "split_to": 2, "id": "x"}
    for count in (1, 40):
        body = json.dumps({"status": "OK", "results": [{**row, "ticker": f"K{n}"} for n in range(count)]}).encode()
        with pytest.raises(Unavailable, match="outside of 2024-07-01 to 2024-12-31"):
            VENDOR.read_reply(wish("*")[1][0], HttpReply(200, {}, body), VENDOR.options())


def test_an_update_of_all_symbols_asks_for_the_last_days_and_one_of_a_symbol_for_its_list() -> None:
    days = updating._days("polygon", ["*"], last="5 sessions", timespan="1d", dataset="splits")
    assert days[0] is not None
    assert days[1] is not None
    assert 4 <= (days[1] - days[0]).days <= 12
    for symbols, dataset in ((["AAPL"], "splits"), (["*"], "symbols"), (["*"], "market_status")):
        assert updating._days("polygon", symbols, last="5 sessions", timespan="1d", dataset=dataset) == (None, None)


def of_range(
    at: int, *rows: Any, symbol: str = "*", days: tuple[str, str] = ("2020-01-01", "2020-12-31"), **more: Any
) -> Batch:
    found = reply(at, *rows, symbol=symbol, **more)
    return replace(found, records=Records("splits", rows, "splits", days=days))


def of_list(at: int, *rows: Any, symbol: str = "AAPL", **more: Any) -> Batch:
    found = reply(at, *rows, symbol=symbol, **more)
    return replace(found, records=Records("splits", rows, "splits"))


def test_a_list_of_a_range_judges_its_own_days_and_symbols_and_is_no_whole_list(store: Any) -> None:  # noqa: F811
    store.store(
        [
            of_list(10, split("2014-06-09", 7.0), split("2020-08-31", 3.0)),
            of_list(11, split("2020-08-31", 5.0, symbol="TSLA"), symbol="TSLA"),
        ]
    )
    store.store([of_range(20, split("2020-08-31", 4.0), symbol="AAPL")])
    assert [row[:2] for row in splits(store, "gone_at IS NOT NULL")] == [("2020-08-31", 3.0)]
    store.store([of_range(30, split("2020-08-31", 4.0))])
    assert [row[:2] for row in splits(store, "gone_at IS NOT NULL AND symbol = 'TSLA'")] == [("2020-08-31", 5.0)]
    assert [row[:2] for row in splits(store, "gone_at IS NULL")] == [("2014-06-09", 7.0), ("2020-08-31", 4.0)]
    lists = store.database.read("SELECT symbol FROM record_lists ORDER BY symbol")
    assert lists == [("AAPL",), ("TSLA",)]
    store.store([of_range(40), of_range(50, root="e")])
    assert len(splits(store, "gone_at IS NULL")) == 2, "an empty range takes nothing away"


def test_a_list_of_all_symbols_judges_all_of_them_also_what_comes_late(store: Any) -> None:  # noqa: F811
    store.store([of_list(10, split("2014-06-09", 7.0)), of_list(11, split("2019-01-01", symbol="KO"), symbol="KO")])
    store.store([of_list(20, split("2014-06-09", 7.0), symbol="*")])
    assert [row[:2] for row in splits(store, "gone_at IS NOT NULL")] == [("2019-01-01", 2.0)]
    # An older call of a symbol, and an older one of all, are stored after the lists that judged them.
    store.store([of_list(15, split("2000-01-03"), root="late")])
    assert splits(store, "ex_date = '2000-01-03'")[0][4] == 20
    store.store([of_list(30, split("2014-06-09", 7.0), root="again")])
    store.store([of_list(25, split("2001-01-02"), split("2001-01-02", symbol="IBM"), symbol="*", root="later")])
    gone = store.database.read("SELECT symbol, gone_at IS NULL FROM splits WHERE ex_date = '2001-01-02' ORDER BY symbol")
    assert [(symbol, bool(there)) for symbol, there in gone] == [("AAPL", False), ("IBM", True)]


def test_the_range_travels_with_the_batch() -> None:
    assert decode(encode(of_range(10, split("2020-08-31")))).records == of_range(10, split("2020-08-31")).records


def covered_now(store_: Any, request: Request, at: datetime) -> None:
    """Stores an empty reply to a request."""
    called_ms = int(at.timestamp() * 1_000)
    found: tuple[Covered, ...] = covered_by(request, VENDOR, VENDOR.options(), called_at_ms=called_ms)
    batch = reply(called_ms, symbol=request.symbol, root=request.root, outcome="empty")
    store_.store([replace(batch, covered=found, records=records_of(request, Page()))])


def test_what_all_symbols_have_covered_is_not_asked_for_again_of_one(store: Any) -> None:  # noqa: F811
    """One job for the whole market in place of a call for each of 5,000 symbols."""
    spec, requests = wish("*")
    for one in requests:
        covered_now(store, one, AT)
    assert subtracted(spec, requests, store, overlap=5).requests == []
    for symbol in ("AAPL", "ZEN"):
        spec, requests = wish(symbol)
        assert subtracted(spec, requests, store, overlap=5).requests == []
    spec, requests = wish("AAPL", end="2026-04-30")
    (rest,) = subtracted(spec, requests, store, overlap=5).requests
    assert (rest.start, rest.end, rest.records) == (date(2026, 2, 28), date(2026, 4, 30), True), "a Saturday"
    spec, requests = wish("AAPL", dataset="dividends")
    assert subtracted(spec, requests, store, overlap=5).requests == requests
    (whole,) = planning.plan_new(whole_spec := planning.make_spec("polygon", ["AAPL"], again=False, at=AT, dataset="splits"))
    assert subtracted(whole_spec, [whole], store, overlap=5).requests == [whole]
    assert asked_ranges(store) == [], "a list covers no session of bars"


def test_a_list_with_a_rejected_row_is_asked_for_again_and_so_are_the_days_between_two_lists(store: Any) -> None:  # noqa: F811
    _, requests = wish("*", start="2026-01-05", end="2026-01-09")
    sure, unsure = (
        covered_by(requests[0], VENDOR, VENDOR.options(), called_at_ms=int(AT.timestamp() * 1_000), page=Page(rejects=bad))
        for bad in ((), (Reject(3, "ex_date", "soon", "is no date"),))
    )
    assert [one.final_to for one in (*sure, *unsure)] == [date(2026, 1, 9), None]
    assert unsure == tuple(replace(one, final_to=None) for one in sure)
    row = reply(int(AT.timestamp() * 1_000), root=requests[0].root, outcome="empty", symbol="*")
    store.store([replace(row, covered=unsure)])
    spec, later = wish("*", start="2026-01-12", end="2026-01-16")
    covered_now(store, later[0], AT)
    spec, planned = wish("*", start="2026-01-05", end="2026-01-18")
    asked = asked_again(spec, subtracted(spec, planned, store, overlap=0).requests, store)
    days = [(str(one.start), str(one.end)) for one in asked]
    assert days[0][0] == "2026-01-05", "the list with the rejected row"
    assert days[-1][1] == "2026-01-18", "the weekend behind the other list"
    assert requests[0].root not in {one.root for one in asked}


def test_the_last_days_are_asked_for_again(store: Any) -> None:  # noqa: F811
    spec, requests = wish("*", start="2026-11-02", end="2026-11-20")
    for one in requests:
        covered_now(store, one, AT)
    later = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    spec = planning.make_spec("polygon", ["*"], again=False, at=later, dataset="splits", start="2026-11-02", end="2026-11-23")
    (again,) = subtracted(spec, planning.plan_new(spec), store, overlap=0).requests
    assert again.end == date(2026, 11, 23)
    assert again.start is not None
    assert again.start > date(2026, 11, 10)


@pytest.mark.parametrize("dataset", ["market_status", "symbols"])
def test_a_list_of_all_that_is_asked_for_by_symbol_is_refused_without_a_word_of_bars(dataset: str) -> None:
    with pytest.raises(BadRequestError, match=f"{dataset} comes as one list of all that") as refused:
        planning.plan_new(planning.make_spec("polygon", ["AAPL"], dataset=dataset, again=False))
    assert "bars" not in str(refused.value)
