"""The row model says in words what the column checks do fast: both must accept and reject exactly the same rows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from marketfetch.schemas.bars import FLOAT_COLUMNS, HIGHEST_PRICE, Bar, BarColumns
from marketfetch.schemas.integrity import Range, check_bars
from marketfetch.schemas.price_rules import PRICE_KINDS, PriceKind

_ODD = (0.0, -0.0, -1.0, 1.0, 1.5, 2.0, 3.0, math.inf, -math.inf, HIGHEST_PRICE, HIGHEST_PRICE * 1.01, 5e-324)
_value = st.none() | st.sampled_from(_ODD) | st.floats(allow_nan=False, min_value=-10, max_value=1e11)
_likely = st.sampled_from((1.0, 1.5, 2.0, 3.0))
_row = st.fixed_dictionaries(dict.fromkeys(FLOAT_COLUMNS, _likely | _value))


def _accepted_by_model(row: dict[str, float | None], *, required: tuple[str, ...], kind: PriceKind) -> bool:
    try:
        bar = Bar.model_validate({"ts": 0, "kind": kind, **row})
    except ValidationError:
        return False
    return all(row[name] is not None for name in required if name == "close" or not bar.close_alone)


def _columns(rows: list[dict[str, float | None]]) -> BarColumns:
    floats = {
        name: np.array([math.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)
        for name in FLOAT_COLUMNS
    }
    return BarColumns.build(np.arange(len(rows), dtype=np.int64) * 60_000, partial=None, **floats)


ALL = ("open", "high", "low", "close")
_MINIMAL: dict[str, float | None] = dict.fromkeys(FLOAT_COLUMNS)


@settings(deadline=None)
@given(
    rows=st.lists(_row, max_size=20),
    required=st.sampled_from((("close",), ("open", "high", "low", "close"))),
    kind=st.sampled_from(PRICE_KINDS),
)
@example(rows=[{**_MINIMAL, "close": 1.0, "trades": 1.5}], required=("close",), kind="traded")
@example(rows=[{**_MINIMAL, "close": 9e11}], required=("close",), kind="traded")
@example(rows=[{**_MINIMAL, "close": 9e11}], required=("close",), kind="adjusted")
@example(rows=[{**_MINIMAL, "close": 1.0, "low": 2.0, "high": 1.0}], required=("close",), kind="value")
@example(rows=[{**_MINIMAL, "close": 1.0, "low": 2.0, "high": 3.0, "open": 0.0}], required=("close",), kind="settlement")
@example(rows=[{**_MINIMAL, "close": -37.6, "low": -40.3, "high": 17.9, "open": 17.7}], required=ALL, kind="settlement")
@example(rows=[{**_MINIMAL, "close": 60.7, "low": 0.0, "high": 0.0, "open": 0.0, "volume": 0.0}], required=ALL, kind="traded")
@example(rows=[{**_MINIMAL, "close": 60.7, "low": 0.0, "high": 0.0, "open": 0.0, "volume": 5.0}], required=ALL, kind="traded")
@example(rows=[{**_MINIMAL, "close": 5.1, "low": 5.0, "high": 5.2, "open": 0.0}], required=ALL, kind="traded")
@example(rows=[{**_MINIMAL, "close": 5.1, "low": 0.0, "high": 5.2, "open": 0.0}], required=ALL, kind="settlement")
@example(rows=[{**_MINIMAL, "close": 0.0, "low": 0.0, "high": 0.0, "open": 0.0}], required=ALL, kind="settlement")
def test_columns_and_row_model_reject_the_same_rows(rows, required, kind):
    bad = {reject.row for reject in check_bars(_columns(rows), required=required, kind=kind).rejects}
    assert bad == {i for i, row in enumerate(rows) if not _accepted_by_model(row, required=required, kind=kind)}


@settings(deadline=None)
@given(rows=st.lists(_row, max_size=20))
def test_every_row_is_either_kept_or_rejected_once(rows):
    checked = check_bars(_columns(rows))
    assert len(checked.bars) + len(checked.rejects) == len(rows)
    assert len({reject.row for reject in checked.rejects}) == len(checked.rejects)


@settings(deadline=None)
@given(ts=st.lists(st.integers(min_value=-5, max_value=5), max_size=12))
def test_what_is_kept_ascends_strictly_whatever_came(ts):
    bars = BarColumns.build(np.array(ts, dtype=np.int64), close=np.ones(len(ts)))
    kept = check_bars(bars, required=("close",)).bars.ts
    assert (np.diff(kept) > 0).all()


def test_a_bar_outside_the_asked_range_is_rejected_and_the_end_is_exclusive():
    bars = BarColumns.build(np.array([9, 10, 19, 20], dtype=np.int64), close=np.ones(4))
    checked = check_bars(bars, asked=Range(10, 20), required=("close",))
    assert checked.bars.ts.tolist() == [10, 19]
    assert {reject.reason for reject in checked.rejects} == {"timestamp is outside the asked range"}


def test_one_bad_timestamp_does_not_condemn_its_neighbours():
    far = 10**15
    bars = BarColumns.build(np.array([1, far, 2, 3], dtype=np.int64), close=np.ones(4))
    checked = check_bars(bars, asked=Range(0, 10), required=("close",))
    assert [reject.row for reject in checked.rejects] == [1]


def test_a_reject_names_field_value_and_reason():
    bars = BarColumns.build(np.array([1], dtype=np.int64), close=np.array([-2.5]))
    (reject,) = check_bars(bars, required=("close",), symbol="IBM").rejects
    assert (reject.field, reject.value, reject.symbol) == ("close", "-2.5", "IBM")
    assert "positive" in reject.reason


def test_a_vwap_outside_the_bar_is_a_quirk_and_no_reject():
    one = {name: np.array([2.0]) for name in ("open", "high", "low", "close")}
    checked = check_bars(BarColumns.build(np.array([1], dtype=np.int64), vwap=np.array([9.0]), **one))
    assert not checked.rejects
    assert [(quirk.name, quirk.rows) for quirk in checked.quirks] == [("vwap outside the bar", 1)]
