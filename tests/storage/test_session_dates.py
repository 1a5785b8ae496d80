"""The view's `date` and `zone`: the date of a bar's session in its exchange's zone, on both databases, across clock changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketfetch.schemas.ledger import Batch
from marketfetch.storage.series_zones import fill_zones
from marketfetch.storage.stored_series import stored_series
from marketfetch.storage.zone_offsets import zone_offsets
from tests.storage.batches import batch

#: UTC-5 and -4, UTC, half an hour, UTC+13 in summer, and one that has left out a day.
ZONES = ["America/New_York", "UTC", "Asia/Kolkata", "Pacific/Auckland", "Pacific/Apia"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_zone(request_id: str, moments: list[datetime], zone: str, *, timespan: Any = "1m", symbol: str = "AAPL") -> Batch:
    ts = {int((moment - EPOCH) / timedelta(milliseconds=1)): 1.0 for moment in moments}
    made = batch(request_id, ts, symbol=symbol)
    return replace(made, series=(replace(made.series[0], timespan=timespan, zone=zone),))


def dates(store: Any) -> list[tuple[str, str | None]]:
    return [(str(day), zone) for day, zone in store.database.read("SELECT date, zone FROM bars ORDER BY symbol, ts")]


@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_bar_has_the_date_whose_midnight_it_begins_with(store: Any, zone: str) -> None:
    days = [date(1871, 2, 1), date(1969, 12, 31), *(date(2024, 1, 1) + timedelta(days=n) for n in range(366))]
    midnights = [datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) for day in days]
    store.store([in_zone("a", midnights, zone, timespan="1d")])
    assert dates(store) == [(str(day), zone) for day in days]


def test_an_intraday_bar_has_the_date_of_its_moment_to_the_last_minute_around_a_change_of_the_clocks(store: Any) -> None:
    zone = ZoneInfo("America/New_York")
    around = [datetime(2024, 3, 9, 23, 59, tzinfo=zone), datetime(2024, 11, 2, 23, 59, tzinfo=zone)]
    moments = [first.astimezone(UTC) + timedelta(minutes=n) for first in around for n in (0, 1, 1440, 1380, 1500, 1501)]
    store.store([in_zone("a", sorted(set(moments)), "America/New_York")])
    assert dates(store) == [(str(one.astimezone(zone).date()), "America/New_York") for one in sorted(set(moments))]


def test_without_a_zone_a_daily_bar_has_its_date_and_an_intraday_bar_has_none(store: Any) -> None:
    midnight = datetime(2024, 1, 2, tzinfo=ZoneInfo("America/New_York"))
    store.store([in_zone("a", [midnight], "", timespan="1d"), in_zone("b", [midnight], "", symbol="B")])
    store.store([in_zone("c", [midnight], "Nowhere/At_All", symbol="C")])
    assert dates(store) == [("2024-01-02", None), ("None", None), ("None", None)]
    zones = {"AAPL": "America/New_York", "B": "America/New_York", "C": None}
    assert fill_zones(store, lambda _provider, symbol, _timespan: zones[symbol]) == 2
    assert dates(store) == [("2024-01-02", "America/New_York"), ("2024-01-02", "America/New_York"), ("None", None)]


def test_the_zone_is_the_one_of_the_latest_reply_and_one_without_a_zone_changes_nothing(store: Any) -> None:
    moment = datetime(2024, 1, 2, 3, tzinfo=UTC)
    for n, zone in enumerate(("America/New_York", "", "UTC", "UTC")):
        store.store([in_zone(str(n), [moment + timedelta(minutes=n)], zone)])
        assert [one.zone for one in stored_series(store)] == ["America/New_York" if n < 2 else "UTC"]
    assert {day for day, _ in dates(store)} == {"2024-01-02"}


def test_offsets_that_have_changed_are_written_anew_where_the_database_has_none_of_its_own(store: Any, url: str) -> None:
    moment = datetime(2024, 7, 2, 3, 30, tzinfo=UTC)
    store.store([in_zone("a", [moment], "America/New_York")])
    if url.startswith("sqlite"):
        store.database.change(lambda execute: execute("UPDATE zone_offsets SET seconds = 0"))
        assert dates(store) == [("2024-07-02", "America/New_York")]
    assert fill_zones(store, lambda *_: None) == 0
    assert dates(store) == [("2024-07-01", "America/New_York")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([*ZONES, "Europe/London", "Africa/Casablanca", "America/Noronha"]),
    st.integers(-3_155_673_600, 4_102_444_799),
)
def test_the_offsets_of_a_zone_are_those_of_its_clocks(zone: str, unix_s: int) -> None:
    starts, seconds = zip(*zone_offsets(zone), strict=True)
    offset = (EPOCH + timedelta(seconds=unix_s)).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    assert seconds[int(np.searchsorted(starts, unix_s * 1000, side="right")) - 1] == offset.total_seconds()
