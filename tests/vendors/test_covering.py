"""What a reply covers, by the moment of its call."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketfetch import vendors
from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.page import Page, SeriesCount
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.finality import is_final
from marketfetch.vendors.times import unix_ms

POLYGON = vendors.vendor("polygon")
NASDAQ = vendors.vendor("nasdaq")
ALPHA_VANTAGE = vendors.vendor("alpha_vantage")
#: A Friday and the Monday after it; New York trades until 20:00, which is 01:00 UTC.
FRIDAY, MONDAY = date(2024, 1, 12), date(2024, 1, 16)  # the 15th is a holiday


def covered(
    start: date, end: date, at: str, *, vendor: Any = POLYGON, delay: int = 0, page: Page | None = None, **more: Any
) -> tuple[Covered, ...]:
    request = Request.model_validate({"provider": vendor.name, "symbol": "AAPL", "start": start, "end": end, **more})
    options = vendor.options(base_url="http://vendor.test", final_after_minutes=delay)
    at_ms = unix_ms(datetime.fromisoformat(at).replace(tzinfo=UTC))
    return covered_by(request, vendor, options, called_at_ms=at_ms, page=page)


def test_a_session_is_final_once_it_has_closed_and_days_without_one_are_with_it() -> None:
    before, after = covered(FRIDAY, MONDAY, "2024-01-12T21:30"), covered(FRIDAY, MONDAY, "2024-01-13T01:01")
    assert [(one.first_day, one.last_day, one.final_to) for one in before] == [(FRIDAY, FRIDAY, None)]
    assert [(one.last_day, one.final_to) for one in after] == [(FRIDAY, FRIDAY)], "the future is not covered"
    (on_monday,) = covered(FRIDAY, MONDAY, "2024-01-16T18:00")
    assert (on_monday.last_day, on_monday.final_to) == (MONDAY, date(2024, 1, 15))


def test_a_week_is_final_as_a_whole() -> None:
    (one,) = covered(date(2024, 1, 1), FRIDAY, "2024-01-12T18:00", timespan="1w")
    assert (one.last_day, one.final_to) == (FRIDAY, date(2024, 1, 7))


def test_a_reply_of_several_symbols_covers_each_and_one_without_a_range_covers_nothing() -> None:
    many = covered(FRIDAY, FRIDAY, "2024-03-01T00:00", vendor=NASDAQ, symbol="A,B", dataset="QUOTEMEDIA/PRICES")
    # A row of this table has the prices as traded, and those that the vendor has adjusted.
    assert [(one.symbol, one.adjustment, one.dataset, one.final_to) for one in many] == [
        (symbol, adjustment, "QUOTEMEDIA/PRICES", FRIDAY) for symbol in "AB" for adjustment in ("raw", "split_dividend")
    ]
    rows = covered(FRIDAY, FRIDAY, "2024-03-01T00:00", vendor=ALPHA_VANTAGE, dataset="TIME_SERIES_DAILY_ADJUSTED")
    assert [one.adjustment for one in rows] == ["raw", "split_dividend"]
    assert len(covered(FRIDAY, FRIDAY, "2024-03-01T00:00", vendor=ALPHA_VANTAGE, dataset="TIME_SERIES_DAILY")) == 1
    saved = Request(provider="polygon", symbol="AAPL")
    assert covered_by(saved, POLYGON, POLYGON.options(base_url="http://vendor.test"), called_at_ms=1) == ()
    assert covered(MONDAY, MONDAY, "2024-01-12T18:00") == (), "a day that lies ahead"


def page(*adjustments: Adjustment, **more: Any) -> Page:
    prices = {name: np.full(1, 2.0) for name in PRICE_COLUMNS}
    bars = BarColumns.build(np.array([1_705_035_600_000], dtype=np.int64), partial=None, **prices)
    return Page(series=tuple(BarSeries("polygon", "AAPL", "1d", one, bars) for one in adjustments), **more)


def test_what_was_asked_for_is_covered_where_the_reply_has_bars_of_that_adjustment() -> None:
    both: dict[str, Any] = {"vendor": ALPHA_VANTAGE, "dataset": "TIME_SERIES_DAILY_ADJUSTED"}

    def adjustments(found: Page) -> list[str]:
        return [one.adjustment for one in covered(FRIDAY, FRIDAY, "2024-03-01T00:00", page=found, **both)]

    assert adjustments(page("raw")) == ["raw"]
    assert adjustments(page("raw", "split_dividend")) == ["raw", "split_dividend"]
    assert adjustments(page()) == ["raw", "split_dividend"], "an empty reply has none of either"
    every_row_bad = (SeriesCount("AAPL", "split_dividend", "adjusted", good=0, bad=3),)
    assert adjustments(page("raw", counts=every_row_bad)) == ["raw", "split_dividend"], "what is bad is kept as rejects"


def test_no_bars_of_a_whole_market_cover_nothing_and_no_records_do() -> None:
    def days(dataset: str, found: Page) -> int:
        return len(covered(FRIDAY, FRIDAY, "2024-03-01T00:00", symbol="*", dataset=dataset, page=found))

    assert (days("grouped", page()), days("flat_files", page()), days("grouped", page("raw"))) == (0, 0, 1)
    assert days("splits", page()) == 1, "a day may have no split"


@given(
    symbol=st.sampled_from(["AAPL", "C:EURUSD", "X:BTCUSD"]),
    timespan=st.sampled_from(["5m", "1d", "1w", "1mo"]),
    minutes=st.integers(0, 60 * 1_440),
    delay=st.integers(0, 3_000),
    end=st.dates(date(2024, 2, 20), date(2024, 4, 30)),
)
def test_a_range_is_covered_as_final_to_its_end_where_the_generation_says_so_too(symbol, timespan, minutes, delay, end) -> None:
    at = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    found = covered(date(2024, 2, 1), end, at.isoformat()[:16], delay=delay, symbol=symbol, timespan=timespan)
    options = POLYGON.options(base_url="http://vendor.test", final_after_minutes=delay)
    request = Request(provider="polygon", symbol=symbol, timespan=timespan)
    final = is_final(POLYGON.finality_of(request, options), timespan, end, unix_ms(at))
    assert final == all(one.final_to == end for one in found)
