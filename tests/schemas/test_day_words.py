"""Days in words: what each means at a moment, that they become dates once, and what a wrong word is answered with."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import planning
from marketfetch.schemas import day_words

#: In New York it is still the day before.
AT = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("today", date(2024, 3, 31)),
        (" Yesterday ", date(2024, 3, 30)),
        ("-0d", date(2024, 3, 31)),
        ("-5d", date(2024, 3, 26)),
        ("-2w", date(2024, 3, 17)),
        ("-1mo", date(2024, 2, 29)),
        ("-13mo", date(2023, 2, 28)),
        ("-1y", date(2023, 3, 31)),
        ("-24y", date(2000, 3, 31)),
    ],
)
def test_each_word_means_a_day_before_today_in_utc(words, expected):
    assert day_words.day("start", words, AT) == expected
    assert day_words.day("start", words, AT.astimezone(timezone(timedelta(hours=-8)))) == expected


@pytest.mark.parametrize("words", ["-5", "5d", "+5d", "-3m", "tomorrow", "now", "", "-5d;", "-5 d", "-999999d", "-\u0665d"])
def test_what_is_no_day_is_refused_with_the_argument_and_all_words_that_are(words):
    with pytest.raises(BadRequestError) as refused:
        day_words.day("end", words, AT)
    assert all(word in str(refused.value) for word in (f"The end {words!r}", "2024-01-31", "today", "-5d", "-3mo"))


@pytest.mark.parametrize("words", ["-99999y", "-2025y", "-99999mo"])
def test_a_day_before_the_calendar_is_refused(words):
    with pytest.raises(BadRequestError, match="before the year 1"):
        day_words.day("start", words, AT)


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2100, 1, 1)), st.integers(0, 400))
def test_months_and_years_before_today_keep_the_day_where_the_month_has_it(today, months):
    at = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    found = day_words.day("start", f"-{months}mo", at)
    assert (at.year * 12 + at.month) - (found.year * 12 + found.month) == months
    assert found.day == at.day or (found.day < at.day and (found + timedelta(days=1)).month != found.month)


def test_a_wish_becomes_absolute_once():
    wish = {"start": "-5d", "end": "today", "timespan": "-5d", "again": False}
    once = day_words.absolute(wish, AT)
    assert once == {"start": "2024-03-26", "end": "2024-03-31", "timespan": "-5d", "again": False}
    assert day_words.absolute(once, AT + timedelta(days=9)) == once
    assert (day_words.are_in(wish), day_words.are_in(once)) == (True, False)
    dates = {"start": date(2024, 1, 2), "end": "2024-01-31"}
    assert day_words.absolute(dates, AT) == {"start": "2024-01-02", "end": "2024-01-31"}


@pytest.mark.parametrize(
    ("wish", "start", "end"),
    [
        ({}, "2023-03-31", "2024-03-31"),
        ({"start": None, "end": None}, "2023-03-31", "2024-03-31"),
        ({"end": "2024-02-29"}, "2023-02-28", "2024-02-29"),
        ({"start": "2020-01-02"}, "2020-01-02", "2024-03-31"),
        ({"start": "2030-01-02"}, "2030-01-02", "2030-01-02"),
    ],
)
def test_days_that_are_not_named_are_a_year_until_today(wish, start, end):
    """A start in the future is refused as such: not as one behind an end that was not written."""
    assert day_words.absolute(wish, AT) == {"start": start, "end": end}
    assert day_words.are_in(wish)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (5, "is no day (got 5)"),
        (True, "is no day (got True)"),
        ("2024-02-30", "is no day"),
        ("31.01.2024", "is no day"),
        ("0001-01-01", "outside of the years 2 to 9998"),
        ("99999-01-01", "is no day"),
        (date(9999, 1, 1), "outside of the years"),
        (datetime(2024, 1, 2, 15, 30, tzinfo=UTC), "is a moment, and a job takes whole days: write 2024-01-02"),
        ("2024-01-02T15:30:00", "is a moment"),
    ],
)
def test_what_is_no_day_of_a_job_is_refused_in_words(value, says):
    with pytest.raises(BadRequestError, match=re.escape(says)) as refused:
        day_words.day("start", value, AT)
    assert "The start" in str(refused.value)


@pytest.mark.parametrize("value", [date(2024, 1, 31), datetime(2024, 1, 31), "2024-01-31", "20240131", "2024-01-31T00:00:00"])  # noqa: DTZ001
def test_each_spelling_of_a_date_is_that_date(value):
    assert day_words.day("start", value, AT) == date(2024, 1, 31)


def test_a_job_and_a_task_understand_the_same_words():
    days: dict[str, Any] = {"start": "-8d", "end": "yesterday"}
    spec = planning.make_spec("polygon", ("AAPL",), again=False, at=AT, **days)
    assert (spec.start, spec.end) == (date(2024, 3, 23), date(2024, 3, 30))
    request = planning.of_task("polygon", ("AAPL",), days, task_id="t", at=AT)
    assert (request.start, request.end) == (spec.start, spec.end)
