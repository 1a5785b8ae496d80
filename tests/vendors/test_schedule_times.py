"""When a schedule is due: the latest and the next moment, against a look at every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.vendors.schedule_times import read_when
from marketfetch.vendors.times import unix_ms

NEW_YORK = "America/New_York"


def ms(text: str) -> int:
    return unix_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def utc(at_ms: int | None) -> str:
    assert at_ms is not None
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("when", "at", "latest", "following"),
    [
        ("session close + 20m", "2024-11-27 22:00", "2024-11-27 21:20", "2024-11-29 18:20"),  # Thanksgiving, then a half day
        ("session close", "2024-11-27 20:59", "2024-11-26 21:00", "2024-11-27 21:00"),
        ("session close + 30h", "2024-12-02 12:00", "2024-12-01 00:00", "2024-12-04 03:00"),
        ("session close + 20m", "2024-03-09 12:00", "2024-03-08 21:20", "2024-03-11 20:20"),  # clocks change on the 10th
        ("every 15m", "2024-11-27 22:07", "2024-11-27 22:00", "2024-11-27 22:15"),
        ("every 1d", "2024-11-27 00:00", "2024-11-27 00:00", "2024-11-28 00:00"),
        ("cron 30 22 * * mon-fri", "2024-11-30 12:00", "2024-11-29 22:30", "2024-12-02 22:30"),
        ("cron 0 0 29 feb *", "2024-11-30 12:00", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("cron 0 12 13 * 5", "2024-09-14 00:00", "2024-09-13 12:00", "2024-09-20 12:00"),  # the 13th, or a Friday
        ("cron */20 6,18 * * 0", "2024-12-01 06:25", "2024-12-01 06:20", "2024-12-01 06:40"),
        ("CRON  5 4 * * 7", "2024-12-01 04:05", "2024-12-01 04:05", "2024-12-08 04:05"),
    ],
)
def test_a_time_is_due_when_it_says(when, at, latest, following):
    read = read_when(when)
    assert utc(read.latest(ms(at), calendar="XNYS")) == latest
    assert utc(read.next(ms(at), calendar="XNYS")) == following


def test_a_cron_expression_has_a_zone_and_an_hour_that_clocks_skip_is_none():
    read = read_when("cron 30 2 * * *")
    assert utc(read.next(ms("2024-03-09 12:00"), calendar="24/7", zone=NEW_YORK)) == "2024-03-11 06:30"
    assert utc(read.latest(ms("2024-11-03 23:00"), calendar="24/7", zone=NEW_YORK)) == "2024-11-03 07:30"
    assert utc(read_when("cron 30 1 * * *").next(ms("2024-11-03 05:40"), calendar="24/7", zone=NEW_YORK)) == "2024-11-04 06:30"
    assert read_when("cron 0 0 31 feb *").next(ms("2024-03-09 12:00"), calendar="24/7") is None


@settings(deadline=None)
@given(
    st.sampled_from(["session close + 20m", "session close + 26h", "every 6h", "cron 0 */8 * * 1-5", "cron 15 3 1,15 * sat"]),
    st.sampled_from(["XNYS", "XLON", "24/5", "24/7"]),
    st.integers(0, 300_000),
)
def test_latest_and_next_are_neighbours(when, calendar, hours):
    """What is due next is due last at that moment, and nothing lies between."""
    read, at = read_when(when), unix_ms(datetime(1995, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
    latest, following = read.latest(at, calendar=calendar, zone=NEW_YORK), read.next(at, calendar=calendar, zone=NEW_YORK)
    assert latest is not None
    assert following is not None
    assert latest <= at < following
    assert read.latest(following, calendar=calendar, zone=NEW_YORK) == following
    assert read.latest(following - 1, calendar=calendar, zone=NEW_YORK) == latest
    assert read.next(latest - 1, calendar=calendar, zone=NEW_YORK) == latest
    assert read.next(latest, calendar=calendar, zone=NEW_YORK) == following


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("at noon", "'at noon' is no time: write 'session close + 20m'"),
        ("every 0m", "is no interval"),
        ("cron 1 2 3", "has 3 fields and not five"),
        ("cron 60 * * * *", "'60' is no minute of a cron expression (0 to 59)"),
        ("cron * * * * fri-mon", "'fri-mon' is no day of the week"),
        ("cron */0 * * * *", "'*/0' is no minute"),
        ("cron x * * * *", "'x' is no minute"),
        ("cron , * * * *", "'' is no minute"),
    ],
)
def test_what_is_no_time_is_refused_with_a_sentence(when, says):
    with pytest.raises(ValueError) as caught:
        read_when(when)
    assert says in str(caught.value)
