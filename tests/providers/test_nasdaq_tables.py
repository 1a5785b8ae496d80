"""Tables without a built-in mapping: their key, their adjustment and what their prices are is known, or refused."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from datetime import date

import pytest
from marketfetch.providers.nasdaq import build_request, read_reply
from marketfetch.providers.nasdaq.options import NasdaqOptions
from marketfetch.providers.nasdaq.tables import describe

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import errors
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reading import read

ASKED = Request(
    provider="nasdaq", dataset="ACME/RATES", symbol="A", start=date(2024, 1, 1), end=date(2024, 1, 31)
)  # fmt: skip
IDS = ["indicator_id", "region_id", "date", "value"]
TWO = [["Z", 1, "2024-01-02", -1.5], ["Z", 2, "2024-01-02", 2.5], ["Z", 1, "2024-01-03", 3.5]]


def checked(column: str) -> Request:
    found = ASKED.check(f"metadata:{column}")
    assert found is not None
    return found


def options(**tables: object) -> NasdaqOptions:
    return NasdaqOptions.model_validate({"base_url": "http://vendor.test", "tables": tables})


def reply(document: object) -> HttpReply:
    return HttpReply(200, {}, json.dumps(document).encode())


def table(columns: list[str], rows: Sequence[Sequence[object]], cursor: str | None = None) -> HttpReply:
    named = [{"name": name} for name in columns]
    return reply({"datatable": {"columns": named, "data": rows}, "meta": {"next_cursor_id": cursor}})


def dataset(columns: list[str], rows: Sequence[Sequence[object]]) -> HttpReply:
    return reply({"dataset_data": {"column_names": columns, "data": rows, "frequency": "daily"}})


def read_one(answer: HttpReply, request: Request = ASKED, chosen: NasdaqOptions | None = None) -> Page:
    return read(request, answer, chosen or options(), max_reject_share=0.2)


def named_in(error: errors.BadRequest) -> dict[str, object]:
    """The setting that the message says to write, read as the person would write it."""
    text = str(error).partition("marketfetch.toml: ")[2]
    head, _, pairs = text.partition(" with ")
    pairs = pairs.partition(";")[0].partition(", and what")[0]
    lines, depth, line = [], 0, ""
    for sign in f"{pairs},":
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not depth:
            lines.append(line)
            line = ""
        else:
            line += sign
    tables: dict[str, object] = tomllib.loads("\n".join([head, *lines]))["providers"]["nasdaq"]["tables"]
    return tables


def test_columns_of_texts_or_ids_that_differ_are_asked_for_in_the_tables_metadata():
    page = read_one(table(IDS, TWO))
    assert (page.rows, page.next, page.check) == (0, None, "metadata:region_id")
    call = build_request(checked("region_id"), options())
    assert (call.path, call.params) == ("/datatables/ACME/RATES/metadata.json", ())


def metadata(key: object) -> HttpReply:
    return reply({"datatable": {"columns": [{"name": name} for name in IDS], "primary_key": key}})


def test_a_key_that_no_mapping_names_is_refused_and_the_setting_to_write_reads_as_two_series():
    asked = checked("region_id")
    with pytest.raises(errors.BadRequest, match="key of ACME/RATES includes indicator_id and region_id") as caught:
        read_one(metadata(["indicator_id", "region_id", "date"]), asked)
    written = options(**named_in(caught.value))
    found = read_one(table(IDS, TWO), ASKED.model_copy(update={"symbol": "Z+1"}), written)
    assert [(one.symbol, one.bars.close.tolist()) for one in found.series] == [("Z+1", [-1.5, 3.5])]
    assert [(one.name, one.rows) for one in found.quirks] == [("row of a symbol that was not asked for", 1)]
    call = build_request(ASKED.model_copy(update={"symbol": "Z+1"}), written)
    assert call.params[:2] == (("indicator_id", "Z"), ("region_id", "1"))
    with pytest.raises(errors.PlanError, match=r"indicator_id\+region_id"):
        build_request(ASKED, written)


def test_columns_that_are_no_key_are_refused_with_the_setting_that_reads_them():
    columns, rows = ["ticker", "date", "value", "note"], [["A", "2024-01-02", 1.5, "x"], ["A", "2024-01-03", 2.5, "y"]]
    assert read_one(table(columns, rows)).check == "metadata:note"
    answer = reply({"datatable": {"columns": columns, "primary_key": ["ticker", "date"]}})
    with pytest.raises(errors.BadRequest, match=r"note differ .* no part of its key") as caught:
        read_one(answer, checked("note"))
    assert read_one(table(columns, rows), chosen=options(**named_in(caught.value))).rows == 2


@pytest.mark.parametrize("key", [None, [], "ticker", ["date"] * 0])
def test_without_a_primary_key_the_doubtful_columns_are_named(key):
    with pytest.raises(errors.BadRequest, match=r"values of region_id differ.*ignore = \[\"region_id\"\]"):
        read_one(metadata(key), checked("region_id"))


def test_a_saved_reply_and_a_dataset_are_refused_at_once_naming_the_columns():
    saved = Request(provider="nasdaq", dataset="ACME/RATES", symbol="UNKNOWN")
    with pytest.raises(errors.BadRequest, match="values of region_id differ"):
        read_one(table(IDS[1:], [row[1:] for row in TWO]), saved)
    with pytest.raises(errors.BadRequest, match="values of Exchange differ"):
        read_one(
            dataset(["Date", "Close", "Exchange"], [["2024-01-02", 1.5, "X"], ["2024-01-03", 1.5, "Y"]]),
            ASKED.model_copy(update={"dataset": "datasets", "symbol": "DB/CODE"}),
        )


def test_a_text_that_is_the_same_within_each_series_mixes_nothing():
    columns = ["ticker", "date", "close", "currency"]
    page = read_one(table(columns, [["A", "2024-01-02", 1.5, "USD"], ["A", "2024-01-03", 2.5, "USD"]]))
    assert page.rows == 2


def test_a_column_that_the_settings_ignore_is_no_key():
    mapping = {"symbol": "ticker", "raw": {"close": "value"}, "ignore": ["note"]}
    rows = [["A", "2024-01-02", 1.5, "x"], ["A", "2024-01-03", 2.5, "y"]]
    assert read_one(table(["ticker", "date", "value", "note"], rows), chosen=options(**{"ACME/RATES": mapping})).rows == 2


@pytest.mark.parametrize("doubtful", ["Adj. Close", "closeadj", "closeunadj", "split_factor", "Adjustment Factor"])
def test_a_name_that_suggests_an_adjustment_is_refused_with_the_setting_to_write(doubtful):
    with pytest.raises(errors.BadRequest, match="never guessed") as caught:
        read_one(table(["ticker", "date", "close", doubtful], [["A", "2024-01-02", 1.5, 1.0]]))
    assert named_in(caught.value) == {
        "ACME/RATES": {"date": "date", "symbol": "ticker", "raw": {"close": "close"}},
    }


def test_a_mapping_in_the_settings_says_what_the_prices_are_and_check_shows_it():
    mapping = {"symbol": "ticker", "price": "value", "raw": {"close": "spread"}, "split": {"close": "other"}}
    chosen = options(**{"ACME/RATES": mapping})
    page = read_one(table(["ticker", "date", "spread", "other"], [["A", "2024-01-02", -1.5, 9e12]]), chosen=chosen)
    assert [(one.adjustment, one.kind, one.good) for one in page.counts] == [("raw", "value", 1), ("split", "adjusted", 1)]
    (sentence,) = describe(chosen)
    assert "raw (value prices) from spread; split (adjusted prices) from other" in sentence


@pytest.mark.parametrize(
    ("column", "kind"),
    [("Settle", "settlement"), ("Value", "value"), ("Rate", "value"), ("Close", "traded"), ("Last", "traded")],
)
def test_the_name_of_the_closes_says_what_they_are(column, kind):
    series = ASKED.model_copy(update={"symbol": "DB/CODE", "dataset": "datasets"})
    page = read_one(dataset(["Date", column], [["2024-01-02", 1.5]]), series)
    assert [one.kind for one in page.counts] == [kind]


def test_a_negative_price_of_trades_is_a_reject_and_its_settlement_is_not():
    columns = ["Date", "Open", "High", "Low", "Settle", "Volume"]
    futures = ASKED.model_copy(update={"symbol": "CHRIS/CME_CL1", "dataset": "datasets"})
    page = read_one(dataset(columns, [["2024-01-02", 17.7, 17.9, -40.3, -37.6, 9], ["2024-01-03", 2, 1, 1, 1, 9]]), futures)
    assert page.series[0].bars.close.tolist() == [-37.6]
    assert [(one.field, one.reason) for one in page.rejects] == [("High", "high is below open")]


def test_the_page_is_the_same_whoever_reads_it():
    """`read_reply` itself is pure: the border adds nothing to a good page."""
    answer = table(["ticker", "date", "close"], [["A", "2024-01-02", 1.5]])
    assert read_reply(ASKED, answer, options()).rows == read_one(answer).rows == 1
