"""Identity and counting: what makes two requests one, and what a page says of its rows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from marketfetch.providers.nasdaq.column_mapping import ColumnMapping
from pydantic import ValidationError

from marketfetch.schemas.bars import BarColumns, BarSeries
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.page import Page, Reject
from marketfetch.schemas.request import Request


def _series(adjustment, rows: int) -> BarSeries:
    return BarSeries("nasdaq", "IBM", "1d", adjustment, BarColumns.build(np.arange(rows), close=np.ones(rows)))


def test_a_page_number_is_part_of_the_identity_and_a_cursor_is_not():
    first = Request(provider="polygon", dataset="bars", symbol="AAPL", start=date(2024, 1, 1), end=date(2024, 1, 2))
    second = first.next_page("abc")
    assert second.id == f"{first.id}/1"
    assert second.id == first.next_page("another").id
    assert first.model_copy(update={"cursor": "compact"}).id == first.id


def test_a_request_survives_json():
    request = Request(provider="polygon", dataset="bars", symbol="X:BTCUSD", start=date(2024, 1, 1), end=date(2024, 1, 2))
    assert Request.model_validate_json(request.model_dump_json()) == request


def test_reversed_dates_are_refused_with_advice():
    with pytest.raises(ValidationError, match="swap them"):
        JobSpec(provider="polygon", symbols=("A",), start=date(2024, 2, 1), end=date(2024, 1, 1), as_of="2024-03-01")


def test_a_row_that_gave_two_series_counts_once_in_the_reply_and_twice_in_what_is_stored():
    page = Page(series=(_series("raw", 3), _series("split_dividend", 3)), rejects=(Reject.of(7, "close", -1, "bad"),))
    assert page.rows == 6
    assert page.reply_rows == 3
    assert page.bad_rows == 1


def test_a_mapping_without_prices_is_refused():
    with pytest.raises(ValidationError, match="at least close"):
        ColumnMapping(symbol="ticker")
