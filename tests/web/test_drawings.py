"""The drawings of the pages: nothing of them lies outside of their box."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from marketfetch.ops.stored_share import DayShare, Group
from marketfetch.schemas.bars import BarColumns
from marketfetch.storage.stored_series import StoredSeries
from marketfetch.web.pages import chart_drawing, heat_map
from marketfetch.web.pages.chart_data import Chart

#: What the name of a month takes, at 10 px.
NAME = 22


@pytest.mark.parametrize("number", [1, 3, 260])
def test_the_first_and_the_last_bar_of_a_chart_are_drawn_whole(number):
    ones = np.ones(number)
    last = np.arange(number) == number - 1
    bars = BarColumns.build(np.arange(number) * 86_400_000, close=ones, volume=ones, partial=last)
    series = StoredSeries(1, "polygon", "AAPL", "1d", "raw", "UTC")
    drawn = chart_drawing.drawing(Chart(series, bars, [], [], cut=False))
    left, right = drawn["box"]["left"], drawn["box"]["right"]
    assert all(left - 0.1 <= x <= x + drawn["wide"] <= right + 0.1 for x, _, _ in drawn["volumes"])
    assert all(left <= x - 5 <= x + 5 <= right for x, _ in drawn["partial"])


@pytest.mark.parametrize("days", [1, 4, 31, 182])
def test_the_names_of_months_are_drawn_whole(days):
    first = date(2026, 11, 2)
    shares = [DayShare(first + timedelta(days=n), 2, 2) for n in range(days)]
    drawn = heat_map.drawing(Group("polygon", "1d", "raw", 2, shares))
    assert all(x + NAME <= drawn["width"] for x, _ in drawn["months"])
