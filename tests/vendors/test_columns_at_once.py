"""Columns that are read at once have the values that are read one by one, or are left to that way."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.vendors.columns import parse
from marketfetch.vendors.date_columns import moments_of_walls, starts_of_days, starts_of_sessions
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import json_of
from marketfetch.vendors.times import bar_start_ms, day_start_ms, parse_day, session_starts, wall_to_unix_ms

ZONES = ("America/New_York", "UTC", "Asia/Kolkata", "Australia/Lord_Howe")
#: As few years as show it: the midnights of a year are computed once in each zone.
DAYS = st.one_of(st.dates(date(1960, 1, 1), date(2030, 1, 1)), st.sampled_from([date(1600, 1, 1), date(2200, 1, 1)])).map(str)
ODD_DAYS = st.sampled_from(
    ["2024-02-30", "2023-02-29", "1900-02-29", "2024-13-01", "2024-00-10", "2024-1-01", "20240101xx", ""]
)
NUMBERS = st.one_of(
    st.floats(allow_nan=True).map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.decimals(0, 10**9, allow_nan=False, places=4).map(str),
    st.sampled_from(
        ["", "null", "None", "-", ".", "NaN", "inf", "1_000", " 1.5 ", "+1", "1e400", "0x10", "\u0661", "x", "1,5"]
    ),
)


def one_by_one(texts: list[Any], timespan: Any, zone: str) -> tuple[list[int | None], list[int | None]]:
    days = [parse_day(text) for text in texts]
    starts = [None if day is None else bar_start_ms(day, timespan, zone) for day in days]
    return starts, [None if day is None else day_start_ms(day, zone) for day in days]


@settings(deadline=None, max_examples=40)
@given(st.lists(DAYS, min_size=20, max_size=40), st.sampled_from(["1d", "1w", "1mo"]), st.sampled_from(ZONES))
def test_dates_have_the_same_start_at_once(texts: list[str], timespan: Any, zone: str) -> None:
    assert list(map(list, starts_of_days(texts, timespan, zone))) == list(map(list, one_by_one(texts, timespan, zone)))


#: Hours of 1960 to 2030, and moments of years that markets have not.
MOMENTS = st.one_of(st.integers(-87_600, 525_900).map(lambda hour: hour * 3_600_000), st.sampled_from([-(10**13), 10**13]))


@settings(deadline=None, max_examples=60)
@given(st.lists(MOMENTS, max_size=40), st.sampled_from([*ZONES, "Pacific/Apia"]))
def test_sessions_have_the_same_start_at_once(moments: list[int], zone: str) -> None:
    ts = np.array(moments, dtype=np.int64)
    for at_once, each in zip(starts_of_sessions(ts, zone), session_starts(ts, zone), strict=True):
        assert at_once.tolist() == each.tolist()


@settings(deadline=None, max_examples=40)
@given(st.lists(DAYS, min_size=20, max_size=20), ODD_DAYS, st.integers(0, 19))
def test_a_column_with_an_odd_date_has_the_others(texts: list[str], odd: str, place: int) -> None:
    texts[place] = odd
    assert list(map(list, starts_of_days(texts, "1d", "UTC"))) == list(map(list, one_by_one(texts, "1d", "UTC")))


@settings(deadline=None, max_examples=40)
@given(
    st.datetimes(datetime(1800, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001 (wall times)
    st.integers(1, 5_000),
    st.sampled_from(ZONES),
    st.sampled_from(["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]),
)
def test_wall_times_are_the_same_moments_at_once(start: datetime, minutes: int, zone: str, form: str) -> None:
    walls = [f"{start + timedelta(minutes=n * minutes):{form}}" for n in range(20)]
    found = moments_of_walls(walls, zone)
    assert found is None or found.tolist() == wall_to_unix_ms(walls, zone)


def test_days_on_which_clocks_change_and_odd_times_are_left_to_the_other_way() -> None:
    usual = [f"2024-03-08 {hour:02}:30" for hour in range(24)]
    assert moments_of_walls(usual, "America/New_York") is not None
    for odd in (
        "2024-03-10 12:00",
        "2024-11-03 12:00",
        "2024-03-08 24:00",
        "2024-03-08 23:60",
        "2024-03-08T23:00",
        "2024-03-08",
    ):
        assert moments_of_walls([*usual, odd], "America/New_York") is None, odd
    with pytest.raises(ValueError, match="no time zone"):
        moments_of_walls(usual, "Mars/Olympus")


@settings(deadline=None, max_examples=40)
@given(st.lists(NUMBERS, max_size=600))
def test_numbers_are_what_python_makes_of_each(texts: list[str]) -> None:
    rows = range(len(texts))
    found = parse(rows, texts, {"volume": texts}, rows=rows)
    bad = found.rejects.bad_rows
    good = iter(found.bars.volume.tolist())
    for row, text in enumerate(texts):
        alone = parse([row], [text], {"volume": [text]}, rows=[row])
        assert (row in bad) == bool(alone.rejects.total), text
        if row not in bad:
            value = next(good)
            assert value == alone.bars.volume[0] or (math.isnan(value) and math.isnan(alone.bars.volume[0])), text
            assert math.isnan(value) or value == float(text), text
    assert found.words == {place: text for place, text in found.words.items() if text}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.none(), st.booleans()), max_size=300))
def test_numbers_that_are_no_texts_are_the_same_too(values: list[Any]) -> None:
    found = parse(range(len(values)), values, {"volume": values}, rows=range(len(values)))
    wanted = [float("nan") if value is None else float(value) for value in values if not isinstance(value, bool)]
    assert np.array_equal(found.bars.volume, np.array(wanted, dtype=np.float64), equal_nan=True)
    assert len(found.rejects.bad_rows) == sum(isinstance(value, bool) for value in values)


@settings(deadline=None, max_examples=40)
@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
        st.text('{}[]",:0123456789.eE+-aN\\u\x01 ', max_size=30).map(str.encode),
    )
)
def test_json_is_what_the_standard_library_makes_of_it(body: bytes) -> None:
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        with pytest.raises(Unavailable):
            json_of(HttpReply(200, {}, body), who="Acme")
        return
    assert repr(json_of(HttpReply(200, {}, body), who="Acme")) == repr(wanted)
