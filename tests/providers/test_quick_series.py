"""Replies that are decoded at once have the page that they have text by text, and what is unusual is left to that way."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketfetch.providers.alpha_vantage import VENDOR, quick_series, replies
from marketfetch.providers.nasdaq import VENDOR as NASDAQ
from marketfetch.providers.nasdaq import table_values
from marketfetch.providers.nasdaq.row_texts import as_json, row_texts

from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import reading
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import parse_csv

USUAL = st.decimals("0.0001", 10**6, places=4).map(str)
PRICES = st.one_of(
    USUAL,
    st.sampled_from(["0", "-1", "nan", "inf", "1e5", "1e400", " 5 ", "+5", "1_0", "", "None", "null"]),
    st.sampled_from([5, 5.25, None, True, 10**30, "5" * 30]),
)
ASKED = Request(
    provider="alpha_vantage", dataset="bars", symbol="IBM", timespan="1d", adjustment="raw",
    start=date(2020, 1, 1), end=date(2026, 1, 1),
)  # fmt: skip


def body_of(rows: list[tuple[str, dict[str, Any]]]) -> bytes:
    """Built as text, so that a date may stand twice."""
    inner = ",".join(f"{json.dumps(day)}: {json.dumps(row)}" for day, row in rows)
    meta = {"2. Symbol": "IBM", "4. Output Size": "Full size", "5. Time Zone": "US/Eastern"}
    return f'{{"Meta Data": {json.dumps(meta)}, "Time Series (Daily)": {{{inner}}}}}'.encode()


def read(body: bytes) -> Any:
    try:
        page = reading.read(ASKED, HttpReply(200, {}, body), VENDOR.options(), max_reject_share=1.0)
    except FetchError as error:
        return type(error), error.message
    return in_words(page)


def in_words(page: Page) -> Any:
    columns = [
        [one.bars.ts.tolist(), *(repr(getattr(one.bars, name).tolist()) for name in FLOAT_COLUMNS)] for one in page.series
    ]
    return [(one.symbol, one.adjustment) for one in page.series], columns, list(page.rejects), page.quirks, page.reject_counts


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([USUAL, PRICES]).flatmap(
        lambda one: st.lists(st.lists(one, min_size=5, max_size=5), min_size=1, max_size=25)
    ),
    st.data(),
)
def test_a_series_is_the_same_page_in_both_ways(values: list[list[Any]], data: st.DataObject) -> None:
    names = ["1. open", "2. high", "3. low", "4. close", "5. volume"]
    days = data.draw(
        st.lists(st.dates(date(2024, 1, 1), date(2024, 2, 9)).map(str), min_size=len(values), max_size=len(values))
    )
    body = body_of([(day, dict(zip(names, row, strict=True))) for day, row in zip(days, values, strict=True)])
    found = read(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replies, "quick_series", lambda _: None)
        assert found == read(body)


def test_the_quick_way_takes_usual_replies_and_leaves_the_others() -> None:
    row = {"1. open": "1.5", "4. close": "2.25"}
    usual = [("2024-01-02", row), ("2024-01-03", row)]
    found = quick_series.quick_series(body_of(usual))
    assert found is not None
    assert (found[0], found[2]) == ("Time Series (Daily)", ["2024-01-02", "2024-01-03"])
    assert found[3]["4. close"].tolist() == [2.25, 2.25]
    for name, odd in {
        "a date twice": [*usual, ("2024-01-03", row)],
        "another field": [*usual, ("2024-01-04", {**row, "9. more": "1"})],
        "a field less": [*usual, ("2024-01-04", {"1. open": "1.5"})],
        "no number": [*usual, ("2024-01-04", {**row, "1. open": "None"})],
        "no finite number": [*usual, ("2024-01-04", {**row, "1. open": "inf"})],
        "no row": [],
    }.items():
        assert quick_series.quick_series(body_of(odd)) is None, name
    assert quick_series.quick_series(body_of(usual).replace(b"{", b'{"Note": "x", ', 1)) is None


@pytest.mark.parametrize(
    "odd",
    [
        "NaN",
        "1e400",
        '"\\ud800"',
        '"\\x"',
        "[]",
        "{}",
        '"x"',
        "5, 6",
        "null",
        "9" * 400,
        '"2024-01-01',
        '"\u00e9"',
        "1.50",
        "1e-7",
    ],
)
def test_a_page_of_a_table_is_the_same_where_its_rows_are_decoded_later(odd: str) -> None:
    rows = ",".join(f'["2024-01-{day:02}", {odd if day == 20 else day / 7}]' for day in range(1, 29))
    columns = '[{"name": "date", "type": "Date"}, {"name": "value", "type": "double"}]'
    body = f'{{"datatable": {{"data": [{rows}], "columns": {columns}}}, "meta": {{"next_cursor_id": null}}}}'.encode()
    request = Request(provider="nasdaq", dataset="values", symbol="VENDOR/TABLE")

    def found() -> Any:
        try:
            page = reading.read(request, HttpReply(200, {}, body), NASDAQ.options(), max_reject_share=1.0)
        except FetchError as error:
            return type(error)
        return page.records, list(page.rejects)

    later = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_values, "_page_of_rows", lambda _: None)
        assert later == found()


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6)), st.data()
)
def test_a_row_is_the_same_text_as_ever(rows: list[list[Any]], data: st.DataObject) -> None:
    wide = len(rows[0])
    names = tuple(data.draw(st.lists(st.text(max_size=4), min_size=wide, max_size=wide)))
    assert row_texts(names, rows) == [as_json(dict(zip(names, row, strict=True))) for row in rows]


@settings(deadline=None, max_examples=80)
@given(st.text('ab,"\r\n \x0b\x1c\u2028;', max_size=30))
def test_lines_of_a_csv_are_those_of_pythons_reader(text: str) -> None:
    body = f"x,y\n{text}\n1,2\n".encode()
    try:
        wanted = [line for line in csv.reader(io.StringIO(body.decode(), newline=""), strict=True) if line]
    except csv.Error:
        return
    header, rows = parse_csv(HttpReply(200, {}, body), who="Acme")
    assert (header, list(rows)) == (["x", "y"], wanted[1:])
