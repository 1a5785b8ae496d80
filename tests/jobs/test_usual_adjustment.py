"""A new wish without an adjustment is recorded as raw; what an earlier release has recorded or parked keeps its default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from marketfetch.jobs import planning
from marketfetch.schemas.job_spec import JobSpec

AT = datetime(2024, 6, 3, 12, tzinfo=UTC)
DAYS: dict[str, Any] = {"start": "2024-01-02", "end": "2024-01-31"}


def recorded(provider: str, symbol: str, **wish: Any) -> JobSpec:
    """The wish as the release before has recorded it: without an adjustment."""
    return JobSpec(provider=provider, symbols=(symbol,), as_of="2024-06-03T12:00Z", **DAYS, **wish)


@pytest.mark.parametrize(
    ("provider", "symbol", "wish", "now", "before"),
    [
        ("polygon", "AAPL", {}, "raw", "split"),
        ("polygon", "AAPL", {"timespan": "5m"}, "raw", "split"),
        ("polygon", "C:EURUSD", {}, "raw", "raw"),
        ("alpha_vantage", "IBM", {}, "raw", "raw"),
        ("alpha_vantage", "IBM", {"timespan": "5m"}, "raw", "split_dividend"),
        ("alpha_vantage", "IBM", {"dataset": "TIME_SERIES_INTRADAY", "timespan": "5m"}, "raw", "split_dividend"),
        ("alpha_vantage", "IBM", {"dataset": "TIME_SERIES_DAILY_ADJUSTED"}, "split_dividend", "split_dividend"),
        ("alpha_vantage", "EUR/USD", {"dataset": "fx"}, "raw", "raw"),
        ("nasdaq", "AAPL", {}, None, "raw"),
        ("nasdaq", "AAPL", {"dataset": "SHARADAR/SEP"}, None, "raw"),
    ],
)
def test_the_default_is_resolved_when_a_wish_is_made_and_a_recorded_one_keeps_its_own(provider, symbol, wish, now, before):
    spec = planning.make_spec(provider, (symbol,), again=False, at=AT, **DAYS, **wish)
    assert spec.adjustment == now
    assert {one.adjustment for one in planning.plan(spec)} == {now or before}
    assert {one.adjustment for one in planning.plan(recorded(provider, symbol, **wish))} == {before}


def test_an_adjustment_that_is_named_stays():
    for named in ("split", "raw"):
        spec = planning.make_spec("polygon", ("AAPL",), again=False, at=AT, adjustment=named, **DAYS)
        assert [one.adjustment for one in planning.plan(spec)] == [named]


def test_a_task_is_parked_with_the_default_of_its_sender():
    sent = planning.absolute("polygon", DAYS, AT)
    assert sent == {**DAYS, "adjustment": "raw"}
    assert planning.absolute("polygon", sent, AT) == sent
    assert planning.absolute("polygon", {**DAYS, "adjustment": "split"}, AT)["adjustment"] == "split"
    for wish, expected in ((sent, "raw"), (DAYS, "split")):
        assert planning.of_task("polygon", ("AAPL",), wish, task_id="t", at=AT, parked=True).adjustment == expected
    assert planning.of_task("polygon", ("AAPL",), DAYS, task_id="t", at=AT).adjustment == "raw"


@pytest.mark.parametrize("wrong", [{"dataset": 7}, {"dataset": "TIME_SERIES"}, {"timespan": "1y"}, {"adjustment": "none"}])
def test_wrong_arguments_are_parked_as_they_are(wrong):
    assert planning.absolute("alpha_vantage", {**DAYS, **wrong}, AT) == {**DAYS, **wrong}
