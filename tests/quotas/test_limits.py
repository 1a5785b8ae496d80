"""How limits are written, and the days of calendars, clock changes included."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.quotas.limits import Calendar, LimitError, Window, key_limits, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5/minute", Window("5/minute", 5, 60_000, strict=True)),
        ("300/10seconds", Window("300/10seconds", 300, 10_000, strict=True)),
        ("2/second", Window("2/second", 2, 1_000, strict=False)),
        ("2/s", Window("2/s", 2, 1_000, strict=False)),
        ("2/second;strict", Window("2/second;strict", 2, 1_000, strict=True)),
        ("50/second;slack=100ms", Window("50/second;slack=100ms", 50, 1_000, strict=False, slack_ms=100)),
        ("60/minute;pool", Window("60/minute;pool", 60, 60_000, strict=True, pool=True)),
        ("25/day@America/New_York", Calendar("25/day@America/New_York", 25, "America/New_York")),
        (" 500 / day ", Window(" 500 / day ", 500, 86_400_000, strict=True)),
    ],
)
def test_a_limit_is_read_as_it_is_written(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("five per minute", "write it like"),
        ("5/fortnight", "write it like"),
        ("0/minute", "allows nothing"),
        ("5/minute;loose", "an option 'loose'"),
        ("25/day@America/Gotham", "does not exist"),
        ("5/minute@UTC", "only a plain day has"),
    ],
)
def test_a_limit_that_is_not_understood_says_how_it_is_written(text, says):
    with pytest.raises(LimitError, match=says):
        parse(text)


@given(
    st.integers(1_420_070_400, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from(["America/New_York", "America/Sao_Paulo", "Africa/Cairo", "Asia/Tehran", "Pacific/Apia", "UTC"]),
)
def test_days_follow_one_another_and_now_is_in_the_middle_one(now, zone):
    yesterday, today, tomorrow = Calendar("1/day", 1, zone).periods(now)
    moment = int(now.timestamp() * 1_000_000)
    assert yesterday[1] < yesterday[2] == today[1] <= moment < today[2] == tomorrow[1] < tomorrow[2]
    assert yesterday[0] < today[0] < tomorrow[0]


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("America/New_York", datetime(2025, 3, 9, 12, tzinfo=UTC), 23),
        ("America/New_York", datetime(2025, 11, 2, 12, tzinfo=UTC), 25),
        ("America/Sao_Paulo", datetime(2018, 11, 4, 12, tzinfo=UTC), 23),
        ("Africa/Cairo", datetime(2024, 4, 26, 12, tzinfo=UTC), 23),
    ],
    ids=["spring", "autumn", "no midnight in Sao Paulo", "no midnight in Cairo"],
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(zone, noon, hours):
    _, (_, start, end), _ = Calendar("1/day", 1, zone).periods(noon)
    assert (end - start) / 3.6e9 == hours


def test_a_call_on_the_boundary_belongs_to_the_new_day():
    calendar = Calendar("1/day", 1, "America/New_York")
    midnight = datetime(2025, 6, 2, 4, tzinfo=UTC)
    assert calendar.periods(midnight)[1][0] == "2025-06-02"
    assert calendar.periods(midnight)[1][1] == int(midnight.timestamp()) * 1_000_000


def test_a_key_remembers_enough_calls_for_its_largest_window():
    assert key_limits("main", ["5/minute", "50000/day"]).most_stamps == 50_000
    assert key_limits("main", []).most_stamps == 1000


@pytest.mark.parametrize(
    "text",
    [
        "99999999999999999999/second", "1000000001/day", "5/367days", "5/99999999999999999999 seconds", "9" * 5_000 + "/second",
        "5/" + "9" * 5_000 + "days", "5/999999999999 hours", "1000000001/day@America/New_York",
    ],
)  # fmt: skip
def test_a_limit_that_the_gate_cannot_count_is_refused(text):
    with pytest.raises(LimitError, match="too large: at most 1,000,000,000 calls in at most 366 days"):
        parse(text)


def test_the_largest_limits_are_accepted():
    longest = parse("1000000000/366days")
    assert isinstance(longest, Window)
    assert longest.window_ms == 366 * 86_400_000
