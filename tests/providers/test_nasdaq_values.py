"""Any datatable or time series as it is: its key, its types, its pages, and what a vendor changes without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import BadRequest, NoData, PlanError, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

RECORDINGS = Path(__file__).parent.parent / "recordings" / "nasdaq"
VENDOR = vendor("nasdaq")
OPTIONS = VENDOR.options(base_url="http://vendor.test")
TABLE = "ZACKS/FC?ticker=AAPL&per_end_date.gte=2020-01-01"
COLUMNS = [("ticker", "String"), ("per_end_date", "Date"), ("eps", "BigDecimal(34,12)"), ("n", "Integer"), ("at", "DateTime")]


def asked(symbol: str = TABLE, cursor: str | None = None, page: int = 0) -> Request:
    return Request(provider="nasdaq", dataset="values", symbol=symbol, cursor=cursor, page=page)


def columns_of(columns: Any) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in columns]


def metadata(key: Any = ("ticker", "per_end_date"), columns: Any = COLUMNS) -> bytes:
    return json.dumps({"datatable": {"columns": columns_of(columns), "primary_key": key}}).encode()


def rows(*data: Any, cursor: str | None = None, columns: Any = COLUMNS) -> bytes:
    table = {"datatable": {"data": data, "columns": columns_of(columns)}, "meta": {"next_cursor_id": cursor}}
    return json.dumps(table).encode()


def read_as(request: Request, body: bytes, options: Any = OPTIONS, status: int = 200) -> Page:
    return read(request, HttpReply(status, {}, body), options, max_reject_share=0.9)


def rows_page(*data: Any, cursor: str | None = None, columns: Any = COLUMNS) -> Page:
    first = read_as(asked(), metadata()).next
    return read_as(asked(cursor=first, page=1), rows(*data, cursor=cursor, columns=columns))


def cells(page: Page) -> list[dict[str, Any]]:
    return [json.loads(row[3]) for row in page.records.rows]  # type: ignore[arg-type]


def test_the_first_call_asks_for_the_key_and_each_page_of_rows_carries_it():
    call = VENDOR.build_request(asked(), OPTIONS)
    assert (call.path, call.params) == ("/datatables/ZACKS/FC/metadata.json", ())
    first = read_as(asked(), metadata())
    assert (first.rows, first.next) == (0, "rows:ticker,per_end_date:")
    call = VENDOR.build_request(asked(cursor=first.next, page=1), OPTIONS)
    assert call.path == "/datatables/ZACKS/FC.json"
    assert call.params == (("ticker", "AAPL"), ("per_end_date.gte", "2020-01-01"), ("qopts.per_page", "10000"))
    second = rows_page(["AAPL", "2020-12-31", 1, 2, None], cursor="djFf")
    assert second.next == "rows:ticker,per_end_date:djFf"
    assert VENDOR.build_request(asked(cursor=second.next, page=2), OPTIONS).params[-1] == ("qopts.cursor_id", "djFf")


def test_cells_have_the_types_of_their_columns_and_rows_the_order_of_their_key():
    page = rows_page(
        ["MSFT", "2021-12-31", "1.5", 3, "2022-01-02T03:04:05"],
        ["AAPL", "2020-12-31", None, "4", None],
    )
    assert [row[:3] for row in page.records.rows] == [
        ("ZACKS/FC", '{"ticker":"AAPL","per_end_date":"2020-12-31"}', "2020-12-31"),
        ("ZACKS/FC", '{"ticker":"MSFT","per_end_date":"2021-12-31"}', "2021-12-31"),
    ]
    assert cells(page) == [
        {"ticker": "AAPL", "per_end_date": "2020-12-31", "eps": None, "n": 4, "at": None},
        {"ticker": "MSFT", "per_end_date": "2021-12-31", "eps": 1.5, "n": 3, "at": "2022-01-02T03:04:05"},
    ]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (["AAPL", "no day", 1, 1, None], "per_end_date"),
        (["AAPL", "2020-12-31", "much", 1, None], "eps"),
        (["AAPL", "2020-12-31", 1, 1.5, None], "n"),
        (["AAPL", "2020-12-31", 1, 1, "soon"], "at"),
        ([None, "2020-12-31", 1, 1, None], "ticker"),
        (["AAPL", "2020-12-31"], "row"),
        ({"ticker": "AAPL"}, "row"),
    ],
)
def test_a_cell_that_is_not_of_its_type_is_a_reject_that_costs_no_other_row(row, field):
    page = rows_page(row, ["MSFT", "2021-12-31", 1, 1, None])
    assert [one.field for one in page.rejects] == [field]
    assert [one["ticker"] for one in cells(page)] == ["MSFT"]


def test_letters_that_no_database_holds_are_escapes():
    (row,) = cells(rows_page(["A\x00\ud800", "2020-12-31", 1, 1, None]))
    assert row["ticker"] == "A\\x00\\ud800"


def test_a_table_without_a_key_is_refused_with_the_lines_to_write_until_the_settings_name_one():
    with pytest.raises(BadRequest, match=r'value_keys\] with "ZACKS/FC" = \["ticker"\].*per_end_date'):
        read_as(asked(), metadata(key=[]))
    for key, count in ((["ticker"], 1), (["*"], 2)):
        options = VENDOR.options(base_url="http://vendor.test", value_keys={"ZACKS/FC": key})
        first = read_as(asked(), metadata(key=None), options)
        two = rows(["AAPL", "2020-12-31", 1, 1, None], ["AAPL", "2021-12-31", 1, 1, None])
        assert read_as(asked(cursor=first.next, page=1), two, options).rows == count


def test_a_renamed_column_is_stored_under_its_new_name_and_named_where_the_key_needs_the_old_one():
    renamed = [*COLUMNS[:2], ("eps_mean", "double"), *COLUMNS[3:]]
    assert cells(rows_page(["AAPL", "2020-12-31", 1, 1, None], columns=renamed))[0]["eps_mean"] == 1
    with pytest.raises(BadRequest, match=r"no column 'ticker', which is of its key.*symbol, per_end_date"):
        rows_page(["AAPL", "2020-12-31", 1, 1, None], columns=[("symbol", "String"), *COLUMNS[1:]])


def test_a_time_series_has_its_date_as_its_key_and_needs_one_call():
    symbol = "datasets/MULTPL/SP500_PE_RATIO_MONTH?start_date=1871-01-01"
    call = VENDOR.build_request(asked(symbol), OPTIONS)
    assert (call.path, call.params) == (
        "/datasets/MULTPL/SP500_PE_RATIO_MONTH/data.json",
        (("order", "asc"), ("start_date", "1871-01-01")),
    )
    page = read_as(asked(symbol), (RECORDINGS / "dataset_MULTPL_SP500_PE_excerpt.json").read_bytes())
    assert page.rows == 12
    assert page.records.rows[0][:3] == ("datasets/MULTPL/SP500_PE_RATIO_MONTH", '{"Date":"1871-01-01"}', "1871-01-01")
    assert cells(page)[0] == {"Date": "1871-01-01", "Value": 11.1}


def test_the_recorded_table_is_read_with_its_types():
    page = read_as(asked("NDAQ/RTAT10"), (RECORDINGS / "datatable_NDAQ_RTAT10_excerpt.json").read_bytes())
    assert (page.rows, len(page.rejects), page.next) == (12, 0, "rows:%2A:djFfMzM2MF8xNzE5NDg0MTg2")
    assert {"date": "2024-06-26", "ticker": "AAPL", "activity": 0.03, "sentiment": 9} in cells(page)


def test_a_range_before_the_beginning_is_no_data():
    with pytest.raises(NoData, match="it may begin later"):
        rows_page()
    with pytest.raises(Unavailable):
        read_as(asked(), b'{"datatable": {}}')


@pytest.mark.parametrize(
    "symbol",
    ["ZACKS", "ZACKS/", "ZACKS/FC?ticker", "ZACKS/FC?per_end_date.after=2020-01-01", "ZACKS/FC?qopts.export=true",
     "ZACKS/FC?QOPTS.export=true", "datasets/FRED", "datasets/FRED/GDP?ticker=AAPL", "datasets/FRED/GDP?api_key=x"],
)  # fmt: skip
def test_a_wish_that_is_written_otherwise_is_refused_with_how_it_is_written(symbol):
    with pytest.raises(PlanError):
        VENDOR.build_request(asked(symbol), OPTIONS)


@pytest.mark.parametrize(
    "column",
    ["api_key", "API_KEY", "api%5Fkey", "api%255Fkey", "%61pi_key", "api_key[]", "api_key.gte", "api-key", "auth_token"],
)
def test_a_filter_sets_no_key(column):
    with pytest.raises(PlanError, match="the key of a call comes from the settings alone") as refused:
        VENDOR.build_request(asked(f"ZACKS/FC?{column}=x7x7"), OPTIONS)
    assert "x7x7" not in str(refused.value)
    assert VENDOR.build_request(asked("ZACKS/FC?key=1&api=2", cursor="rows:n:", page=1), OPTIONS).params[:2] == (
        ("key", "1"),
        ("api", "2"),
    )
