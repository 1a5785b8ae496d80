"""`marketfetch compare`: two vendors' series with one difference each, counted, explained by splits, and listed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from click.testing import CliRunner, Result

from marketfetch.cli.main import marketfetch as command
from marketfetch.frames.comparing import _disagreements
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of
from tests.frames.test_doctor import FIRST, series, walk

DAYS = [JANUARY_2 + n * DAY_MS for n in range(20)]
NEW_YORK = {"adjustment": "raw", "zone": "America/New_York"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["compare", "polygon", "alpha_vantage", *arguments])


def test_series_that_agree_exit_with_0(in_sqlite):
    for provider in ("polygon", "alpha_vantage"):
        in_sqlite("AAPL", columns_of(DAYS), provider=provider, **NEW_YORK)
    done = run("AAPL")
    assert done.exit_code == 0, done.output
    assert done.stdout == "AAPL raw, 2024-01-02 to 2024-01-21: 20 sessions of both, 20 agree within 0.50%.\n"


def test_prices_missing_sessions_and_volumes_are_told_apart(configured, keep):
    bars = columns_of(DAYS)
    keep("AAPL", bars.take(np.arange(20) != 4), provider="polygon", **NEW_YORK)
    close = np.where(np.arange(20) == 9, bars.close + 2, bars.close)
    other = replace(bars, close=close, high=np.maximum(bars.high, close), volume=bars.volume * 1.5)
    keep("AAPL", other.take(np.arange(20) != 6), provider="alpha_vantage", **NEW_YORK)
    done = run("AAPL")
    assert done.exit_code == 1, done.output
    first, *rest = done.stdout.splitlines()
    assert first == "AAPL raw, 2024-01-02 to 2024-01-21: 18 sessions of both, 17 agree within 0.50%."
    text = "\n".join(rest)
    assert "only polygon has" in text
    assert "2024-01-08  session  stored" in text
    assert "2024-01-06  session  missing" in text
    assert "2024-01-11  close" in text
    assert "18  have volumes that differ by more than 10%" in text
    document = json.loads(run("AAPL", "--json", "--end", "2024-01-05").stdout)["comparisons"][0]
    assert (document["sessions"], document["disagree"], document["unexplained"]) == (4, 0, 0)
    assert run("AAPL", "--tolerance", "0.1", "--start", "2024-01-09").exit_code == 0


@pytest.mark.parametrize("ratio", [4.0, 1 / 3])
def test_a_split_explains_the_days_before_it_whichever_side_has_it_applied(ratio):
    close = walk(60)
    applied = close.copy()
    applied[:30] /= ratio
    splits = [(date(2024, 2, 1), ratio)]
    for pair in ((series(close), series(applied)), (series(applied), series(close))):
        found = list(_disagreements(*pair, 0.005, splits))
        assert len(found) == 30
        assert {one.explained for one in found} == {f"split {'4-for-1' if ratio == 4 else '1-for-3'} on 2024-02-01"}
        assert not any(one.explained for one in _disagreements(*pair, 0.005, [(date(2024, 1, 2), ratio)])), "of an earlier day"
        assert not any(one.explained for one in _disagreements(*pair, 0.005, []))


def test_two_splits_explain_together_and_a_wrong_price_is_no_split():
    close = walk(60)
    applied = close / 6
    splits = [(date(2024, 6, 3), 2.0), (date(2024, 7, 1), 3.0)]
    found = list(_disagreements(series(close), series(applied), 0.005, splits))
    assert {one.explained for one in found} == {"split 2-for-1 on 2024-06-03 and 3-for-1 on 2024-07-01"}
    odd = series(close, high=np.where(np.arange(60) == 5, close * 6, close * 1.01))
    (one,) = _disagreements(odd, series(close), 0.005, splits)
    assert (one.field, one.explained, one.day.toordinal()) == ("high", "", date(1970, 1, 1).toordinal() + FIRST + 5)


def test_what_can_not_be_compared_is_said(in_sqlite):
    in_sqlite("AAPL", columns_of(DAYS), provider="polygon", **NEW_YORK)
    in_sqlite("AAPL", columns_of(DAYS), provider="alpha_vantage", adjustment="split_dividend")
    assert "stored are raw of polygon and split_dividend of alpha_vantage" in run("AAPL").output
    assert "There is no vendor 'polygn'" in CliRunner().invoke(command, ["compare", "polygn", "nasdaq", "AAPL"]).output
    assert run("NOSUCH").exit_code == 1
