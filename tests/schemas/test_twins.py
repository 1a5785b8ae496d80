"""Rows of one time in one reply: which of them are a bar, and which are rejects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.schemas.bars import BarColumns
from marketfetch.schemas.integrity import Checked, Rows, check_bars


def checked(
    rows: Sequence[tuple[int, float, float]], *, moments: Sequence[int] | None = None, open_from_ms: int | None = None
) -> Checked:
    """Rows of (ts, close, volume)."""
    ts, close, volume = (np.array(column) for column in zip(*rows, strict=True))
    bars = BarColumns.build(ts.astype(np.int64), close=close.astype(np.float64), volume=volume.astype(np.float64))
    own = None if moments is None else np.array(moments, dtype=np.int64)
    return check_bars(
        bars, rows=Rows(np.arange(len(rows), dtype=np.int64), own, open_from_ms), required=("close",), symbol="IBM"
    )


def quirks(found: Checked) -> dict[str, int]:
    return {one.name: one.rows for one in found.quirks}


def test_identical_rows_are_one_bar_wherever_they_stand():
    found = checked([(2, 1.0, 5), (1, 1.0, 5), (2, 1.0, 5), (1, 1.0, 5), (2, 1.0, 5)])
    assert found.bars.ts.tolist() == [1, 2]
    assert found.rejects == ()
    assert quirks(found) == {"identical row": 3}


def test_an_absent_volume_equals_an_absent_one():
    assert quirks(checked([(1, 1.0, math.nan), (1, 1.0, math.nan)])) == {"identical row": 1}


def test_rows_that_differ_are_rejects_with_both_values_and_take_no_other_bar_with_them():
    found = checked([(1, 1.0, 5), (2, 1.0, 5), (1, 1.5, 5), (3, 1.0, 5)])
    assert found.bars.ts.tolist() == [2, 3]
    assert [(one.row, one.field, one.value, one.reason) for one in found.rejects] == [
        (0, "close", "1.0, in row 2 1.5", "two rows of one time differ"),
        (2, "close", "1.5, in row 0 1.0", "two rows of one time differ"),
    ]


def test_a_bad_row_is_no_rival_of_the_good_one():
    found = checked([(1, -1.0, 5), (1, 1.0, 5)])
    assert found.bars.close.tolist() == [1.0]
    assert [one.reason for one in found.rejects] == ["price is not finite and positive"]


def test_of_two_days_of_one_week_the_later_one_is_its_bar():
    found = checked([(7, 2.0, 5), (7, 1.0, 5)], moments=[9, 8])
    assert found.bars.close.tolist() == [2.0]
    assert quirks(found) == {"earlier version of a bar": 1}


def test_of_two_rows_of_a_bar_that_is_not_over_the_later_one_in_the_reply_counts():
    found = checked([(1, 1.0, 5), (1, 1.5, 5), (9, 1.0, 5), (9, 1.5, 6), (9, 1.2, 7)], open_from_ms=9)
    assert (found.bars.ts.tolist(), found.bars.close.tolist()) == ([9], [1.2])
    assert [one.row for one in found.rejects] == [0, 1]


def test_several_rows_of_a_day_that_is_not_over_are_no_shorter_timespan():
    found = checked([(9, 1.0, 5), (9, 1.5, 6), (9, 1.2, 7)], moments=[9, 9, 9], open_from_ms=9)
    assert (found.bars.close.tolist(), found.rejects) == ([1.2], ())


def test_weeks_with_many_days_have_no_bar():
    weeks = [(7 * week + day, 1.0 + day, 5.0) for week in range(1, 4) for day in range(5)]
    found = checked([(ts // 7 * 7, close, volume) for ts, close, volume in weeks], moments=[ts for ts, _, _ in weeks])
    assert len(found.bars) == 0
    assert {one.reason for one in found.rejects} == {"its week or month has several rows: these are bars of a shorter timespan"}


@settings(deadline=None)
@given(data=st.data(), rows=st.lists(st.tuples(st.integers(0, 5), st.sampled_from((1.0, 1.5)), st.just(5.0)), min_size=1))
def test_the_order_of_rows_never_matters(data, rows):
    shuffled = data.draw(st.permutations(rows))
    first, second = checked(rows), checked(shuffled)
    assert first.bars.ts.tolist() == second.bars.ts.tolist()
    assert first.bars.close.tolist() == second.bars.close.tolist()
    assert sorted(one.reason for one in first.rejects) == sorted(one.reason for one in second.rejects)


def test_fifty_thousand_rows_that_stand_twice_and_differ_are_counted_and_a_hundred_kept():
    rows = [(n // 2, 1.0 + n % 2, 5.0) for n in range(50_000)]
    found = checked(rows)
    assert (len(found.bars), found.rejects.total, len(found.rejects)) == (0, 50_000, 100)
