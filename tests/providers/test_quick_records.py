"""The quick way to read records and the models of the rows find the same rows, values, rejects and errors in any reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import KINDS
from marketfetch.schemas.rejects import RejectBook
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.record_reading import page_of, records_page
from providers.alpha_vantage import records as alpha_vantage
from providers.nasdaq import table_values
from providers.polygon import records

CLEAN: dict[str, dict[str, Any]] = {
    "splits": {"id": "E1", "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "AAPL"},
    "dividends": {
        "id": "E2", "ticker": "AAPL", "ex_dividend_date": "2024-03-14", "cash_amount": 0.24, "currency": "USD",
        "declaration_date": "2024-02-01", "dividend_type": "CD", "frequency": 4, "pay_date": "2024-04-01",
        "record_date": "2024-03-15",
    },
    "symbols": {
        "ticker": "AAPL", "name": "Société Apple", "market": "stocks", "locale": "us", "primary_exchange": "XNAS", "type": "CS",
        "active": True, "currency_name": "usd", "composite_figi": "BBG1", "delisted_utc": "2012-10-02T00:00:00Z",
    },
    "holidays": {
        "exchange": "NYSE", "date": "2026-11-27", "name": "Thanksgiving", "status": "early-close",
        "open": "2026-11-27T14:30:00.000Z", "close": "2026-11-27T18:00:00.000Z",
    },
}  # fmt: skip

TEXTS = (
    "", " ", "x", "AAPL", "aapl", "BBG", "a\tb", "a\x00", "\x7f", "é", "\ud800", "💶", "y" * 100, "y" * 101, "y" * 200,
    "y" * 201,
    "N/A", "none", "null", "0000-00-00", "-", "1", "1.5", "nan", "inf", "1e3", "1_0", "true", "active", "delisted", "closed",
    "2024-01-31", "2023-02-29", "0001-01-01", "1799-12-31", "1800-01-01", "2199-12-31", "2200-01-01", "2024-1-31", "20240131",
    "2024-01-31 ", "2024-01-31T00:00:00Z", "2024-01-31Tx", "2024-01-31T" + "0" * 50, "２０２４-01-31", "2026-11-27T18:00:00Z\n",
)  # fmt: skip
NUMBERS = (
    0,
    -0.0,
    1,
    -1,
    4,
    366,
    367,
    4.0,
    4.5,
    1e9,
    999_999_999.99,
    1e-320,
    1e308,
    10**25,
    2**63,
    10**400,
    float("nan"),
    float("inf"),
)
VALUES = st.one_of(
    st.sampled_from((*TEXTS, *NUMBERS, None, True, False)),
    st.builds(list),
    st.builds(dict),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
)


@st.composite
def rows_of(draw: st.DrawFn, dataset: str) -> list[Any]:
    """Rows that are mostly clean, each with some fields changed, gone, or new."""
    found: list[Any] = []
    for number in range(draw(st.integers(1, 12))):
        row = {**CLEAN[dataset]}
        if draw(st.booleans()):
            row[next(iter(row))] = f"A{number % 7}"
        for name in draw(st.lists(st.sampled_from([*row, "junk"]), max_size=2)) if draw(st.integers(0, 2)) == 0 else ():
            row[name] = draw(VALUES)
            if draw(st.integers(0, 4)) == 0:
                del row[name]
        found.append(row if draw(st.integers(0, 19)) else draw(VALUES))
    return found


def read(dataset: str, body: bytes, symbol: str) -> Page | tuple[type, str]:
    request = Request(provider="polygon", dataset=dataset, symbol=symbol, generation="2026-05-15T10:00Z")
    try:
        return records.read_records(request, HttpReply(200, {}, body), next_of=lambda url: f"n:{url}" if url else None)
    except FetchError as error:
        return type(error), str(error)


def by_the_model(dataset: str, body: bytes, symbol: str) -> Page | tuple[type, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "decoded", lambda decoder, body: None)
        return read(dataset, body, symbol)


def assert_same(dataset: str, body: bytes, symbol: str = "*") -> None:
    quick, model = read(dataset, body, symbol), by_the_model(dataset, body, symbol)
    assert quick == model
    if isinstance(quick, Page) and isinstance(model, Page):
        assert repr(quick.records) == repr(model.records)  # the types of the values, too
        assert quick.reject_counts == model.reject_counts


@pytest.mark.parametrize("dataset", CLEAN)
@given(data=st.data())
def test_both_ways_read_the_same(dataset: str, data: st.DataObject) -> None:
    rows = data.draw(rows_of(dataset))
    mores: list[dict[str, Any]] = [{}, {"count": len(rows)}, {"count": 99}, {"next_url": "http://v/x"}, {"status": "DELAYED"}]
    more = data.draw(st.sampled_from(mores))
    ascii_only = data.draw(st.booleans())
    whole: Any = {"status": "OK", "results": rows, **more}
    if dataset == "holidays" and data.draw(st.booleans()):
        whole = rows
    body = json.dumps(whole, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert_same(dataset, body, data.draw(st.sampled_from(["*", "A1", "AAPL"])))


@pytest.mark.parametrize("dataset", CLEAN)
@given(data=st.data())
def test_both_ways_read_the_same_of_broken_bytes(dataset: str, data: st.DataObject) -> None:
    body = bytearray(
        json.dumps({"status": "OK", "results": [CLEAN[dataset]] * 2, "junk": {"a": ["b\\n", -1.5e3, None]}}).encode()
    )
    place = data.draw(st.integers(0, len(body) - 1))
    body[place : place + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from([b"", b'"', b"\\", b"\\u12", b"\\q", b"\x01", b"\xff", b"\xc3\xa9", b"1", b"-", b".", b"{", b"]", b","])
    )
    assert_same(dataset, bytes(body))


@pytest.mark.parametrize("dataset", CLEAN)
def test_both_ways_read_the_same_of_every_odd_value_of_every_field(dataset: str) -> None:
    value: Any
    for name in CLEAN[dataset]:
        for value in (*TEXTS, *NUMBERS, None, True, False, [], {}):
            rows = [CLEAN[dataset], {**CLEAN[dataset], name: value}]
            assert_same(
                dataset, json.dumps({"status": "OK", "results": rows}, ensure_ascii=False).encode("utf-8", "surrogatepass")
            )


CSV = {
    "symbols": {
        "symbol": "AAPL", "name": "Apple", "exchange": "NASDAQ", "assetType": "Stock", "ipoDate": "1980-12-12",
        "delistingDate": "null", "status": "Active",
    },
    "splits": {"effective_date": "2020-08-31", "split_factor": "4.0000"},
    "dividends": {
        "ex_dividend_date": "2024-03-14", "declaration_date": "None", "record_date": "2024-03-15", "payment_date": "2024-04-01",
        "amount": "0.24",
    },
}  # fmt: skip


@pytest.mark.parametrize("dataset", CSV)
@given(data=st.data())
def test_both_ways_read_the_same_of_texts(dataset: str, data: st.DataObject) -> None:
    rows: list[list[Any]] = []
    for _ in range(data.draw(st.integers(1, 12))):
        row = {**CSV[dataset]}
        if data.draw(st.integers(0, 2)) == 0:
            row[data.draw(st.sampled_from(list(row)))] = data.draw(st.sampled_from(TEXTS))
        rows.append(list(row.values())[: None if data.draw(st.integers(0, 9)) else 2])
    assert_same_texts(dataset, rows)


@pytest.mark.parametrize("dataset", CSV)
def test_both_ways_read_the_same_of_every_odd_text_of_every_column(dataset: str) -> None:
    for name in CSV[dataset]:
        for text in TEXTS:
            assert_same_texts(dataset, [list(CSV[dataset].values()), list({**CSV[dataset], name: text}.values())])


def assert_same_texts(dataset: str, rows: list[list[Any]]) -> None:
    request = Request(provider="alpha_vantage", dataset=dataset, symbol="AAPL", generation="2026-05-15T10:00Z")
    quick = alpha_vantage.read_record_rows(list(CSV[dataset]), rows, request=request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alpha_vantage, "_QUICK", {})
        model = alpha_vantage.read_record_rows(list(CSV[dataset]), rows, request=request)
    assert quick == model
    assert repr(quick.records) == repr(model.records)


@pytest.mark.parametrize("dataset", CLEAN)
def test_a_clean_reply_needs_no_model_and_one_bad_row_few(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_by_model: list[int] = []
    model = records_page

    def counted(*args: Any, **named: Any) -> Page:
        mended = named.pop("mended")

        def noted(row: object) -> object:
            read_by_model.append(1)
            return mended(row)

        return model(*args, **named, mended=noted)

    monkeypatch.setattr(records, "records_page", counted)
    name = next(one for one in CLEAN[dataset] if one in ("ticker", "exchange"))
    rows = [{**CLEAN[dataset], name: f"A{number}"} for number in range(1_000)]
    page = read(dataset, json.dumps({"status": "OK", "results": rows}).encode(), "*")
    assert isinstance(page, Page)
    assert (page.rows, page.rejected, len(read_by_model)) == (1_000, 0, 0)
    rows[700][name] = 5
    page = read(dataset, json.dumps({"status": "OK", "results": rows}).encode(), "*")
    assert isinstance(page, Page)
    assert (page.rows, [one.row for one in page.rejects]) == (999, [700])
    assert len(read_by_model) < 20


TYPES: tuple[table_values.CellType, ...] = ("day", "time", "number", "whole", "text", "any")


def assert_same_cells(rows: list[Any]) -> None:
    columns = table_values._Columns(TYPES, TYPES, (0, 4))
    quick = table_values.clean_cells(rows, columns)
    model = [table_values._cells(row, columns, number=0, book=RejectBook()) for row in rows]
    assert quick is None or repr(quick) == repr([tuple(row or ()) for row in model])


def test_cells_by_column_are_the_cells_by_row() -> None:
    clean = ["2024-01-31", "2024-01-31T10:00:00", 1.5, 4, "AAPL", "any"]
    columns = table_values._Columns(TYPES, TYPES, (0, 4))
    assert table_values.clean_cells([clean, clean], columns) == [tuple(clean)] * 2
    value: Any
    for place in range(len(TYPES)):
        for value in (*TEXTS, *NUMBERS, None, True, False, [], {}):
            odd = [*clean[:place], value, *clean[place + 1 :]]
            assert_same_cells([clean, odd])
            assert_same_cells([odd])
    row: Any
    for row in (clean[:5], [*clean, 1], None, {}, "texted"):
        assert_same_cells([clean, row])


def test_the_columns_of_a_key_come_first_in_its_kind() -> None:
    for kind in KINDS.values():
        names = tuple(one.name for one in kind.columns)
        assert names[: len(kind.key)] == kind.key
        assert kind.once == kind.key[: len(kind.once)]


def test_rows_are_by_their_key_whatever_their_order() -> None:
    rows = [("B", "2020-01-01", 2.0, 1.0, ""), ("A", "2021-01-01", 2.0, 1.0, ""), ("A", "2020-01-01", 2.0, 1.0, "")]
    assert page_of(KINDS["splits"], rows).records.rows == tuple(sorted(rows))
    assert page_of(KINDS["splits"], [*rows, rows[0]]).records.rows == tuple(sorted(rows))
