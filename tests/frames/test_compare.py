"""`marketfetch compare`: two vendors' series with one difference each, counted, explained by splits, and listed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from marketfetch.cli.main import marketfetch as command
from marketfetch.frames.comparing import differing
from marketfetch.frames.disagreement_causes import Cash, Facts, _cash_logs, volume_causes
from marketfetch.frames.series_checks import DailyBars, ratio_in_words
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of
from tests.frames.test_adjusted_bars import listed
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
    assert run("AAPL", "--least", "2.5", "--start", "2024-01-09").exit_code == 0


def explained(a: DailyBars, b: DailyBars, *, tolerance: float = 0.005, **facts: Any) -> dict[int, str]:
    """The places at which two series disagree, each with its cause, "" for none; the same the other way round."""
    bad, why = differing(a, b, tolerance, Facts(names=("x", "y"), **facts))
    if "partial" in facts:
        facts["partial"] = facts["partial"][::-1]
    back, other = differing(b, a, tolerance, Facts(names=("y", "x"), **facts))
    assert ([*bad, *why], list(why.values())) == ([*back, *other], list(other.values()))
    return {at: why.get(at, "") for at in bad}


@pytest.mark.parametrize("ratio", [4.0, 1 / 3])
def test_a_split_explains_the_days_before_it_whichever_side_has_it_applied(ratio):
    close = walk(60)
    applied = close.copy()
    applied[:30] /= ratio
    pair = series(close), series(applied)
    found = explained(*pair, splits=[(date(2024, 2, 1), ratio)])
    assert list(found) == list(range(30))
    assert set(found.values()) == {f"split {'4-for-1' if ratio == 4 else '1-for-3'} on 2024-02-01"}
    assert not any(explained(*pair, splits=[(date(2024, 1, 2), ratio)]).values()), "of an earlier day"
    assert not any(explained(*pair).values())


def test_two_splits_explain_together_and_a_wrong_price_is_no_split():
    close = walk(60)
    applied = close / 6
    splits = [(date(2024, 6, 3), 2.0), (date(2024, 7, 1), 3.0)]
    found = explained(series(close), series(applied), splits=splits)
    assert set(found.values()) == {"split 2-for-1 on 2024-06-03 and 3-for-1 on 2024-07-01"}
    odd = series(close, high=np.where(np.arange(60) == 5, close * 6, close * 1.01))
    assert explained(odd, series(close), splits=splits) == {5: ""}


def _adjusted(bars: DailyBars, factor: np.ndarray) -> DailyBars:
    return replace(bars, **{name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")})


def test_dividends_explain_what_one_side_is_adjusted_for_with_splits_and_without():
    bars = series(walk(60))
    cash = [Cash(FIRST + 20, 1.5), Cash(FIRST + 40, 2.5), Cash(FIRST + 90, 1.0)]
    factor = np.ones(60)
    for one in cash:
        close = bars.close[min(one.day - FIRST, 59)]
        factor[: one.day - FIRST] *= close / (close + one.amount)
    found = explained(bars, _adjusted(bars, factor), dividends=cash)
    assert set(found.values()) == {"y is adjusted for dividends"}
    assert len(found) == 60
    assert set(explained(bars, _adjusted(bars, factor), dividends=cash[:1]).values()) == {""}, "those that are stored do not"
    ex_day = date.fromordinal(date(1970, 1, 1).toordinal() + FIRST + 30)
    halved = _adjusted(bars, np.where(np.arange(60) < 30, 0.5, 1.0))
    both = explained(bars, _adjusted(halved, factor), dividends=cash, splits=[(ex_day, 2.0)])
    assert {both[at] for at in range(30)} == {"y is adjusted for splits and dividends"}
    assert {both[at] for at in range(30, 60)} == {"y is adjusted for dividends"}
    spoiled = _adjusted(bars, np.where(np.arange(60) == 7, 1.02, 1.0))
    assert explained(spoiled, _adjusted(bars, factor), dividends=cash)[7] == ""


def test_both_adjusted_for_the_split_and_one_for_dividends_too():
    """The cash of before the split is that of an old share."""
    bars = series(walk(60))
    ex_day = date.fromordinal(date(1970, 1, 1).toordinal() + FIRST + 30)
    close = bars.close[20]
    factor = np.where(np.arange(60) < 20, close / (close + 1.0), 1.0)
    found = explained(bars, _adjusted(bars, factor), dividends=[Cash(FIRST + 20, 4.0)], splits=[(ex_day, 4.0)])
    assert set(found.values()) == {"y is adjusted for dividends"}
    assert list(found) == list(range(20))


def test_a_unit_explains_a_whole_series_and_no_single_price():
    bars = series(walk(60))
    pence = _adjusted(bars, np.full(60, 100.0))
    assert set(explained(bars, pence).values()) == {"prices of y are 100 times those of x, as pence and pounds are"}
    once = _adjusted(bars, np.where(np.arange(60) == 9, 100.0, 1.0))
    assert explained(bars, once) == {9: ""}
    but_one = explained(bars, _adjusted(pence, np.where(np.arange(60) == 9, 1.1, 1.0)))
    assert [at for at, why in but_one.items() if not why] == [9]


def test_bars_that_are_dated_a_session_apart_are_named_and_equal_neighbours_are_chance():
    whole = series(walk(61) * (1 + 0.02 * (-1.0) ** np.arange(61)))
    a = replace(_cut(whole, slice(0, 60)))
    b = replace(_cut(whole, slice(1, 61)), days=a.days)
    found = explained(a, b)
    assert {why for at, why in found.items() if at} == {
        "x has the bars of y a session later: one of the two dates them otherwise"
    }
    odd = replace(a, close=np.where(np.arange(60) == 5, a.close * 1.2, a.close), high=a.high * 1.3)
    assert set(explained(odd, a).values()) == {""}


def _cut(bars: DailyBars, which: slice) -> DailyBars:
    return replace(bars, **{name: getattr(bars, name)[which] for name in bars.__dataclass_fields__})


def test_a_partial_bar_explains_its_own_day():
    bars = series(walk(60))
    other = _adjusted(bars, np.where(np.isin(np.arange(60), (3, 59)), 1.1, 1.0))
    found = explained(bars, other, partial=(frozenset(), frozenset({FIRST + 59})))
    assert found == {3: "", 59: "the bar of y is partial: its session was open at the call"}


def test_volumes_in_lots_and_of_before_a_split_are_told_apart():
    bars = series(walk(60))
    volume = bars.volume.copy()
    volume[:10] /= 100
    volume[10] *= 3
    halved = replace(_adjusted(bars, np.where(np.arange(60) >= 50, 0.5, 1.0)), volume=volume)
    halved.volume[50:] *= 2
    split = dict.fromkeys(range(50, 60), "split 2-for-1 on 2030-01-02")
    assert volume_causes(bars, halved, 0.1, split) == {
        "one of the two counts lots of 100": 10, "": 1, "the split of the prices": 10,
    }  # fmt: skip


def test_absent_prices_and_volumes_explain_nothing_and_fail_nothing():
    bars = series(walk(10))
    absent = replace(bars, open=np.full(10, np.nan), high=np.full(10, np.nan), low=np.full(10, np.nan))
    wrong = replace(absent, close=bars.close * 100, volume=np.full(10, np.nan))
    assert set(explained(bars, wrong, dividends=[Cash(FIRST + 5, 1.0)], splits=[(date(2030, 1, 2), 100.0)]).values()) == {""}
    assert volume_causes(bars, wrong, 0.1, {}) == {}


def test_what_can_not_be_compared_is_said(in_sqlite):
    in_sqlite("AAPL", columns_of(DAYS), provider="polygon", **NEW_YORK)
    assert "stored are raw of polygon and none of alpha_vantage" in run("AAPL").output
    in_sqlite("AAPL", columns_of(DAYS), provider="alpha_vantage", adjustment="split_dividend")
    assert run("AAPL").output.startswith("AAPL raw of polygon and split_dividend of alpha_vantage, 2024-01-0")
    assert "stored are raw of polygon and none of alpha_vantage" in run("AAPL", "--adjustment", "raw").output
    assert "There is no vendor 'polygn'" in CliRunner().invoke(command, ["compare", "polygn", "nasdaq", "AAPL"]).output
    assert run("NOSUCH").exit_code == 1


def test_a_range_in_which_one_side_has_no_day_is_said(in_sqlite):
    in_sqlite("AAPL", columns_of(DAYS), provider="polygon", **NEW_YORK)
    in_sqlite("AAPL", columns_of(DAYS[:5]), provider="alpha_vantage", **NEW_YORK)
    done = run("AAPL", "--start", "2024-01-10")
    assert "AAPL: polygon and alpha_vantage have no day of this range in common." in done.output
    document = json.loads(run("AAPL", "--start", "2024-01-10", "--json").stdout)["comparisons"][0]
    assert (document["sessions"], document["first"], document["disagree"]) == (0, None, 0)


def test_more_disagreements_than_the_limit_are_counted(in_sqlite):
    bars = columns_of(DAYS)
    in_sqlite("AAPL", bars, provider="polygon", **NEW_YORK)
    in_sqlite("AAPL", replace(bars, close=bars.close * 1.2, high=bars.high * 1.2), provider="alpha_vantage", **NEW_YORK)
    done = run("AAPL", "--limit", "1")
    assert done.exit_code == 1
    assert "1 of 19 sessions are listed: --limit lists more." in done.stderr
    assert sum(line.startswith("2024-01-") for line in done.stdout.splitlines()) == 1, done.stdout
    assert "are listed" not in run("AAPL", "--limit", "20").stderr


def test_a_stored_dividend_that_the_vendor_still_names_explains_a_difference(configured, keep, store):
    bars = columns_of(DAYS)
    keep("AAPL", bars, provider="polygon", **NEW_YORK)
    factor = np.where(np.arange(20) < 9, bars.close[9] / (bars.close[9] + 5), 1.0)
    prices = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close", "vwap")}
    keep("AAPL", replace(bars, **prices), provider="alpha_vantage", **NEW_YORK)
    assert json.loads(run("AAPL", "--json").stdout)["comparisons"][0]["unexplained"] == 9
    row = ("AAPL", "2024-01-11", 5.0, "USD", "CD", 4, None, None, None, "")
    listed(store, row, kind="dividends")
    assert json.loads(run("AAPL", "--json").stdout)["comparisons"][0]["unexplained"] == 0
    listed(store, ("AAPL", "2023-01-11", *row[2:]), kind="dividends", day="2024-02-02")
    assert json.loads(run("AAPL", "--json").stdout)["comparisons"][0]["unexplained"] == 9, "the vendor names it no more"


def test_a_dividend_of_nothing_changes_no_price():
    bars = series([10.0, 11.0, 12.0])
    assert _cash_logs(bars, [Cash(FIRST + 1, 0.0)]).tolist() == [0.0] * 3
    assert _cash_logs(bars, [Cash(FIRST + 1, 0.0), Cash(FIRST + 1, 11.0)]).tolist() == [-np.log(2), 0.0, 0.0]


@pytest.mark.parametrize(
    ("ratio", "words"), [(4.0, "4-for-1"), (0.1, "1-for-10"), (1.5, "3-for-2"), (1.0459323, "1.04593-for-1")]
)
def test_a_ratio_of_whole_numbers_is_written_with_them(ratio, words):
    assert ratio_in_words(ratio) == words
