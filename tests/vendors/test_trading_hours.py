"""The minutes of trading in bulk are those that a calendar has day by day: opens, closes, breaks, extended hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.vendors.expected_days import unix_day
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES, close_ms, exchange, exchanges
from marketfetch.vendors.trading_hours import trading_hours

CALENDARS = (*exchanges(), EVERY_DAY, WEEK_OF_CURRENCIES)


def hours(calendar: str, day: str, *, zone: str, **more: Any) -> list[str]:
    number = unix_day(date.fromisoformat(day))
    found = trading_hours(Finality(calendar=calendar, delay_minutes=0, **more), number, number)
    said = []
    for begin, end, extended in zip(found.begin.tolist(), found.end.tolist(), found.extended.tolist(), strict=True):
        clocks = [f"{datetime.fromtimestamp(at * 60, UTC).astimezone(ZoneInfo(zone)):%H:%M}" for at in (begin, end)]
        said.append("-".join(clocks) + (" extended" if extended else ""))
    return said


@pytest.mark.parametrize(
    ("calendar", "day", "zone", "expected"),
    [
        ("XNYS", "2024-07-02", "America/New_York", ["09:30-16:00"]),
        ("XNYS", "2024-07-03", "America/New_York", ["09:30-13:00"]),
        ("XNYS", "2024-07-04", "America/New_York", []),
        ("XLON", "2024-12-24", "Europe/London", ["08:00-12:30"]),
        ("XTKS", "2024-11-01", "Asia/Tokyo", ["09:00-11:30", "12:30-15:00"]),
        ("XTKS", "2024-11-05", "Asia/Tokyo", ["09:00-11:30", "12:30-15:30"]),
        ("XHKG", "2024-12-23", "Asia/Hong_Kong", ["09:30-12:00", "13:00-16:00"]),
        ("XHKG", "2024-12-24", "Asia/Hong_Kong", ["09:30-12:00"]),  # a morning
        ("24/7", "2024-01-13", "UTC", ["00:00-00:00"]),
        ("24/5", "2024-01-10", "UTC", ["00:00-00:00"]),
        ("24/5", "2024-01-12", "UTC", ["00:00-22:00"]),
        ("24/5", "2024-01-13", "UTC", []),
        ("24/5", "2024-01-14", "UTC", ["22:00-00:00"]),
        ("24/5", "2024-07-14", "UTC", ["21:00-00:00"]),  # summer time in New York
    ],
)
def test_the_hours_of_a_day(calendar, day, zone, expected):
    assert hours(calendar, day, zone=zone) == expected


def test_extended_hours_lie_around_the_session_also_of_a_half_day():
    assert hours("XNYS", "2024-11-29", zone="America/New_York", early_minutes=330, extended_minutes=240) == [
        "04:00-09:30 extended", "09:30-13:00", "13:00-17:00 extended",
    ]  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(CALENDARS), st.dates(date(2010, 1, 1), date(2030, 1, 1)), st.integers(0, 60))
def test_each_session_ends_at_its_close_and_trades_within_its_hours(calendar, first, length):
    last = first + timedelta(days=length)
    found = trading_hours(Finality(calendar=calendar, delay_minutes=0), unix_day(first), unix_day(last))
    days = [first + timedelta(days=number) for number in range(length + 1)]
    sessions = {unix_day(day): close_ms(calendar, day) for day in days if close_ms(calendar, day) is not None}
    ends = {day: end * 60_000 for day, end in zip(found.day.tolist(), found.end.tolist(), strict=True)}
    if calendar != WEEK_OF_CURRENCIES:  # its week ends before its last day does
        assert ends == sessions
    assert ends.keys() == sessions.keys()
    assert (found.begin < found.end).all()
    assert (found.begin[1:] >= found.end[:-1]).all()
    if calendar in exchanges():
        open_minutes = sum(end - begin for day in days for begin, end in exchange(calendar).hours(day))
        assert open_minutes == int((found.end - found.begin).sum())
