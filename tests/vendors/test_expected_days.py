"""The sessions that a series should have, in bulk, are those that the calendar has one by one."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.vendors.expected_days import date_of, expected_days, table_ends, unix_day
from marketfetch.vendors.times import period_end, period_start
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES, close_ms, exchanges

CALENDARS = (*exchanges(), EVERY_DAY, WEEK_OF_CURRENCIES)
DAYS = st.dates(date(1989, 1, 1), date(2031, 1, 1))


def one_by_one(calendar: str, first: date, last: date) -> list[date]:
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if close_ms(calendar, day) is not None]


@settings(deadline=None)
@given(st.sampled_from(CALENDARS), DAYS, st.integers(0, 400))
def test_sessions_in_bulk_are_those_of_the_calendar(calendar, first, length):
    last = first + timedelta(days=length)
    found = expected_days(calendar, "1d", unix_day(first), unix_day(last))
    assert [date_of(day) for day in found.tolist()] == one_by_one(calendar, first, last)


@settings(deadline=None)
@given(st.sampled_from(CALENDARS), st.sampled_from(["1w", "1mo"]), DAYS, st.integers(0, 400))
def test_periods_lie_wholly_in_the_range_and_have_a_session(calendar, timespan, first, length):
    last = first + timedelta(days=length)
    found = expected_days(calendar, timespan, unix_day(first), unix_day(last))
    starts = sorted({period_start(day, timespan) for day in one_by_one(calendar, first, last)})
    whole = [start for start in starts if start >= first and period_end(start, timespan) <= last]
    assert [date_of(day) for day in found.tolist()] == whole


def test_a_table_ends_and_a_rule_does_not():
    ends = table_ends("XNYS")
    assert ends is not None
    assert ends >= date(2027, 11, 30)
    assert table_ends(EVERY_DAY) is None
    with pytest.raises(ValueError, match="no calendar 'XNYE'"):
        table_ends("XNYE")
