"""When a bar is final: never before its session has closed and the delay has passed, and always some time after."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketfetch import vendors
from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import LONGEST_MS, Timespan
from marketfetch.vendors.finality import Finality, first_open_day, first_partial_ms, is_final, lies_ahead
from marketfetch.vendors.times import bar_start_ms, local_date, period_end, unix_ms
from marketfetch.vendors.trading_days import close_ms, zone_of_days

MINUTE_MS = 60_000
NEW_YORK = Finality(calendar="XNYS", delay_minutes=90)

_finality = st.builds(
    Finality,
    calendar=st.sampled_from(["XNYS", "XLON", "XTSE", "XETR", "24/5", "24/7"]),
    zone=st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
    extended_minutes=st.sampled_from([0, 240]),
    delay_minutes=st.integers(0, 4_000),
)
#: Half days, holidays, weekends, changes of clocks, and the years beyond the table.
_end = st.one_of(
    st.dates(date(2024, 11, 26), date(2024, 12, 3)),
    st.dates(date(2024, 3, 7), date(2024, 3, 13)),
    st.dates(date(2024, 12, 20), date(2025, 1, 10)),
    st.dates(date(1990, 1, 1), date(2035, 12, 31)),
)
#: From before the end of the range to long after it.
_minutes_later = st.one_of(st.integers(-10_000, 10_000), st.integers(-100_000, 100_000))


def at(text: str) -> int:
    return unix_ms(datetime.fromisoformat(f"{text}+00:00"))


def open_sessions(finality: Finality, first: date, last: date, at_ms: int) -> list[date]:
    """The sessions from `first` to `last` that are not final, one by one."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    closes = {day: close_ms(finality.calendar, day, zone=finality.zone) for day in days}
    after_ms = (finality.extended_minutes + finality.delay_minutes) * MINUTE_MS
    return [day for day, close in closes.items() if close is not None and close + after_ms > at_ms]


@given(finality=_finality, timespan=st.sampled_from(["5m", "1d", "1w", "1mo"]), end=_end, later=_minutes_later)
@example(NEW_YORK, "1d", date(2024, 11, 29), 18 * 60 + 89)
@example(NEW_YORK, "1d", date(2024, 11, 29), 18 * 60 + 90)
def test_a_range_is_final_exactly_when_its_last_session_is_and_its_end_has_come(finality, timespan: Timespan, end, later):
    at_ms = unix_ms(datetime(end.year, end.month, end.day, tzinfo=UTC)) + later * MINUTE_MS
    left = open_sessions(finality, end - timedelta(days=10), period_end(end, timespan), at_ms)
    has_come = end <= local_date(at_ms, zone_of_days(finality.calendar, zone=finality.zone))
    assert is_final(finality, timespan, end, at_ms) == (not left and has_come)
    if is_final(finality, timespan, end, at_ms):
        assert all(is_final(finality, timespan, end, at_ms + more * MINUTE_MS) for more in (1, 600, 100_000))


@given(finality=_finality, end=_end, later=_minutes_later)
def test_no_session_before_the_first_open_day_is_open(finality, end, later):
    at_ms = unix_ms(datetime(end.year, end.month, end.day, tzinfo=UTC)) + later * MINUTE_MS
    first = first_open_day(finality, at_ms)
    assert open_sessions(finality, first - timedelta(days=10), first, at_ms) == [first]


@given(
    finality=_finality,
    timespan=st.sampled_from(["1d", "1w", "1mo"]),
    end=_end,
    later=_minutes_later,
    zone=st.sampled_from(["UTC", "America/New_York", "Europe/London", "Asia/Tokyo", "Pacific/Auckland"]),
)
def test_the_bars_of_open_sessions_are_marked_whatever_zone_the_reply_names(finality, timespan: Timespan, end, later, zone):
    at_ms = unix_ms(datetime(end.year, end.month, end.day, tzinfo=UTC)) + later * MINUTE_MS
    days = [end + timedelta(days=number) for number in range(-70, 5)]
    ts = sorted({bar_start_ms(day, timespan, zone) for day in days})
    bars = BarColumns.build(np.array(ts, dtype=np.int64))
    marked = bars.marked_partial(first_ms=first_partial_ms(finality, timespan, at_ms))
    first = first_open_day(finality, at_ms)
    ends = {bar_start_ms(day, timespan, zone): period_end(day, timespan) for day in days}
    assert marked.partial.tolist() == [ends[one] >= first for one in ts]


@given(finality=_finality, timespan=st.sampled_from(["1m", "5m", "15m", "30m", "1h"]), end=_end, later=_minutes_later)
def test_an_intraday_bar_is_final_when_its_own_end_is_so_long_over(finality, timespan: Timespan, end, later):
    at_ms = unix_ms(datetime(end.year, end.month, end.day, tzinfo=UTC)) + later * MINUTE_MS
    first_ms = first_partial_ms(finality, timespan, at_ms)
    length_ms, delay_ms = LONGEST_MS[timespan], finality.delay_minutes * MINUTE_MS
    assert first_ms + length_ms + delay_ms > at_ms >= first_ms - 1 + length_ms + delay_ms
    # So that no bar of a request whose bars are all final is marked: the last one ends when trading does.
    close = close_ms(finality.calendar, end, zone=finality.zone)
    if close is not None and is_final(finality, timespan, end, at_ms):
        assert close + finality.extended_minutes * MINUTE_MS - length_ms < first_ms


@pytest.mark.parametrize(
    ("timespan", "end", "moment", "final"),
    [
        ("1d", "2024-11-27", "2024-11-27 15:00", False),  # during the session
        ("1d", "2024-11-27", "2024-11-27 22:29", False),  # 89 minutes after the close
        ("1d", "2024-11-27", "2024-11-27 22:30", True),
        ("1d", "2024-11-29", "2024-11-29 19:29", False),  # the close of the half day was at 18:00Z
        ("1d", "2024-11-29", "2024-11-29 19:30", True),
        ("1d", "2024-11-28", "2024-11-28 12:00", True),  # a holiday: nothing can come
        ("1d", "2024-11-30", "2024-11-30 12:00", True),  # a Saturday
        ("1d", "2024-11-30", "2024-11-29 20:00", False),  # the same Saturday, the day before
        ("1d", "2024-03-08", "2024-03-08 22:29", False),  # clocks change: the next session closes an hour earlier in UTC
        ("1d", "2024-03-11", "2024-03-11 21:30", True),
        ("1w", "2024-11-25", "2024-11-29 19:29", False),  # a week is final when its last session is
        ("1w", "2024-11-25", "2024-11-29 19:30", True),
        ("1mo", "2024-11-01", "2024-11-28 23:00", False),
        ("1mo", "2024-11-30", "2024-11-30 12:00", True),
        ("5m", "2024-11-27", "2024-11-27 22:29", False),
        ("1d", "9999-12-31", "2024-11-27 22:29", False),
        ("1mo", "9999-12-31", "2024-11-27 22:29", False),
        ("1mo", "0001-01-01", "2024-11-27 22:29", True),
    ],
)
def test_new_yorks_sessions_with_a_delay_of_ninety_minutes(timespan, end, moment, final):
    assert is_final(NEW_YORK, timespan, date.fromisoformat(end), at(moment)) is final


@pytest.mark.parametrize(
    ("provider", "dataset", "symbol", "moment"),
    [
        # 16:00 in New York, four hours of trading after it, six hours of delay.
        ("polygon", "bars", "AAPL", "2024-11-28 07:00"),
        ("polygon", "bars", "O:SPY251219C00650000", "2024-11-28 07:00"),
        ("polygon", "bars", "I:NDX", "2024-11-28 07:00"),
        ("polygon", "bars", "C:EURUSD", "2024-11-28 06:00"),
        ("polygon", "bars", "X:BTCUSD", "2024-11-28 06:00"),
        ("alpha_vantage", "TIME_SERIES_DAILY", "IBM", "2024-11-28 07:00"),
        ("alpha_vantage", "TIME_SERIES_DAILY", "BRK.B", "2024-11-28 07:00"),
        ("alpha_vantage", "TIME_SERIES_DAILY", "TSCO.LON", "2024-11-27 22:30"),
        ("alpha_vantage", "TIME_SERIES_DAILY", "SHOP.TRT", "2024-11-28 03:00"),
        ("alpha_vantage", "TIME_SERIES_DAILY", "MBG.DEX", "2024-11-27 22:30"),
        # No calendar of Bombay here: midnight in New York is behind every close of that date.
        ("alpha_vantage", "TIME_SERIES_DAILY", "RELIANCE.BSE", "2024-11-28 11:00"),
        ("alpha_vantage", "FX_DAILY", "EUR/USD", "2024-11-28 06:00"),
        ("alpha_vantage", "DIGITAL_CURRENCY_DAILY", "BTC/EUR", "2024-11-28 06:00"),
        # No figure and no function of the vendor's: a day after the day in the table's zone.
        ("nasdaq", "WIKI/PRICES", "AAPL", "2024-11-29 05:00"),
    ],
)
def test_each_vendors_bars_of_a_wednesday_are_final_at_this_minute_and_not_before(provider, dataset, symbol, moment):
    vendor = vendors.vendor(provider)
    request = Request(provider=provider, dataset=dataset, symbol=symbol, start=date(2024, 11, 27), end=date(2024, 11, 27))
    finality = vendor.finality_of(request, vendor.options(base_url="http://vendor.test"))
    assert not is_final(finality, "1d", date(2024, 11, 27), at(moment) - 1)
    assert is_final(finality, "1d", date(2024, 11, 27), at(moment))


@pytest.mark.parametrize("provider", vendors.names())
def test_the_delay_is_a_setting(provider):
    vendor = vendors.vendor(provider)
    request = Request(provider=provider, symbol="AAPL", start=date(2024, 11, 27), end=date(2024, 11, 27))
    quick, slow = (vendor.options(base_url="http://vendor.test", final_after_minutes=one) for one in (0, 43_200))
    assert vendor.finality_of(request, quick).delay_minutes == 0
    assert vendor.finality_of(request, slow).delay_minutes == 43_200


@pytest.mark.parametrize(
    ("start", "timespan", "zone", "today"),
    [
        ("2024-11-29", "1d", "America/New_York", None),
        ("2024-11-30", "1d", "America/New_York", "2024-11-29"),  # in UTC it is the 30th by then
        ("2024-11-30", "1d", "UTC", None),
        ("2024-12-01", "1d", "UTC", "2024-11-30"),
        ("2024-12-01", "1d", "Pacific/Auckland", "2024-11-30"),
        ("2024-12-01", "1w", "America/New_York", None),  # the week is asked for from its Monday on
        ("2024-12-02", "1w", "America/New_York", "2024-11-29"),
        ("2024-11-30", "1mo", "America/New_York", None),
        ("2024-12-01", "1mo", "America/New_York", "2024-11-29"),
    ],
)
def test_a_range_lies_ahead_when_it_begins_after_today_in_the_zone(start, timespan, zone, today):
    found = lies_ahead(date.fromisoformat(start), timespan, at("2024-11-30 03:00"), zone=zone)
    assert found == (None if today is None else date.fromisoformat(today))
