"""Intervals of days against sets of days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.schemas import coverage
from marketfetch.schemas.coverage import Covered, Days, covered_days, final_days, merged, united, without

FIRST = date(2024, 1, 1).toordinal()
DAYS = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda both: Days(min(both), max(both)))


def covered(first: int, last: int, final_to: int | None, at: int) -> Covered:
    days = [None if one is None else date.fromordinal(FIRST + one) for one in (first, last, final_to)]
    return Covered("acme", "bars", "A", "1d", "raw", days[0] or date.min, days[1] or date.min, days[2], at)


@st.composite
def replies(draw: st.DrawFn) -> Covered:
    first, last = draw(DAYS)
    return covered(first, last, draw(st.none() | st.integers(first, last)), draw(st.integers(1, 5)))


def each_day(rows: list[Covered]) -> dict[int, tuple[bool, int]]:
    """Per day whether it is final, and when it was fetched."""
    found: dict[int, tuple[bool, int]] = {}
    for row in rows:
        for day in range(row.first_day.toordinal(), row.last_day.toordinal() + 1):
            assert day not in found, "no two rows overlap"
            found[day] = (row.final_to is not None and row.final_to.toordinal() >= day, row.fetched_at_ms)
    return found


@given(st.lists(replies(), max_size=8))
def test_merging_loses_no_day_and_no_finality_and_no_time_is_later_than_the_last_fetch(news: list[Covered]) -> None:
    rows: list[Covered] = []
    days: set[int] = set()
    final: set[int] = set()
    latest: dict[int, int] = {}
    for new in news:
        rows = merged(rows, new)
        here = range(new.first_day.toordinal(), new.last_day.toordinal() + 1)
        days |= set(here)
        final |= {day for day in here if new.final_to and day <= new.final_to.toordinal()}
        latest |= {day: max(latest.get(day, 0), new.fetched_at_ms) for day in here}
    found = each_day(rows)
    assert set(found) == days
    assert {day for day, (is_final, _) in found.items() if is_final} == final
    assert all(at <= latest[day] for day, (_, at) in found.items())
    assert all(at == latest[day] for day, (is_final, at) in found.items() if not is_final), "a partial day keeps its own time"
    assert all(row.final_to in (None, row.last_day) for row in rows)
    assert {day for one in covered_days(rows) for day in range(one.first, one.last + 1)} == days
    assert {day for one in final_days(rows) for day in range(one.first, one.last + 1)} == final


@given(st.lists(replies(), min_size=1, max_size=8), st.lists(st.integers(1, 5), max_size=2).map(sorted), st.data())
def test_intervals_far_from_the_new_one_are_left_alone_as_if_all_were_laid_anew(
    news: list[Covered], turns: list[int], data: st.DataObject
) -> None:
    def all_anew(standing: list[Covered], new: Covered) -> list[Covered]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coverage, "_by_distance", lambda standing, _new: ([], standing))
            return merged(standing, new, turns=turns)

    rows: list[Covered] = []
    for new in news:
        assert merged(rows, new, turns=turns) == all_anew(rows, new)
        rows = merged(rows, new, turns=turns)
    # Rows as another release may have written them: in any order, some of them final in part.
    some = data.draw(st.permutations(rows))
    some = [replace(one, final_to=one.first_day) if data.draw(st.booleans()) else one for one in some]
    last = data.draw(replies())
    assert merged(some, last, turns=turns) == all_anew(some, last)


def test_updates_of_years_are_one_row_and_a_partial_end() -> None:
    rows: list[Covered] = []
    for today in range(1, 500):
        rows = merged(rows, covered(today - 1, today, today - 1, today))
    assert rows == [covered(0, 498, 498, 1), covered(499, 499, None, 499)]


def test_fetching_all_of_it_again_renews_the_time() -> None:
    rows = merged(merged([], covered(0, 9, 9, 1)), covered(10, 19, 19, 2))
    assert [(row.last_day, row.fetched_at_ms) for row in rows] == [(date.fromordinal(FIRST + 19), 1)]
    assert merged(rows, replace(rows[0], fetched_at_ms=3)) == [replace(rows[0], fetched_at_ms=3)]
    assert merged(rows, covered(3, 4, 4, 9)) == rows, "the time of the whole is that of its oldest day"


@given(DAYS, st.lists(DAYS, max_size=6))
def test_subtracting_leaves_exactly_the_other_days(wanted: Days, taken: list[Days]) -> None:
    def days(some: list[Days]) -> list[int]:
        return [day for one in some for day in range(one.first, one.last + 1)]

    left = without(wanted, taken)
    assert days(left) == sorted(set(days([wanted])) - set(days(taken)))
    assert left == united(left)
