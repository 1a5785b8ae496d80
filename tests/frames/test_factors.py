"""Factors from splits and dividends: against vendors' own adjusted series, a model, and the lists that vendors get wrong."""

from __future__ import annotations

import csv
import itertools
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch.frames.actions import EPOCH, Actions, Bars
from marketfetch.frames.doubtful_actions import kind_of
from marketfetch.frames.factors import Factors, factors
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.symbols import ticker

RECORDINGS = Path(__file__).parents[1] / "recordings"
DAY_MS = 86_400_000
NEVER = None


def days(*texts: str) -> list[int]:
    return [(date.fromisoformat(text) - EPOCH).days for text in texts]


def bars(day: Any, close: Any, n: Any = 0) -> Bars:
    day = np.array(day, dtype=np.int64)
    return Bars(np.broadcast_to(np.array(n, dtype=np.int64), day.shape), day, np.array(close, dtype=np.float64))


def splits(*rows: tuple[int, float], n: int = 0) -> Actions:
    return Actions.of([(n, day, ratio, 0.0, None, "") for day, ratio in rows])


def dividends(*rows: tuple[int, float], n: int = 0, currency: str = "USD") -> Actions:
    return Actions.of([(n, day, cash, 0.0, None, kind_of("", currency)) for day, cash in rows])


def table(name: str) -> list[dict[str, str]]:
    with (RECORDINGS / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


# --- against the vendors' own ---


def test_every_adjusted_price_and_volume_of_wiki_comes_out_to_nine_digits():
    """The recording ends before later actions, which scale all of a symbol's bars by the same number."""
    rows = table("nasdaq/wiki_prices_table_export.csv")
    symbols = sorted({row["ticker"] for row in rows})
    n = [symbols.index(row["ticker"]) for row in rows]
    day = days(*(row["date"] for row in rows))
    raw = {name: np.array([float(row[name]) for row in rows]) for name in ("open", "high", "low", "close", "volume")}
    events = list(zip(n, day, rows, strict=True))
    ratios = [(i, d, float(row["split_ratio"]), 0.0, None, "") for i, d, row in events if row["split_ratio"] != "1.0"]
    cash = [(i, d, float(row["ex-dividend"]), 0.0, None, " USD") for i, d, row in events if row["ex-dividend"] != "0.0"]
    found = factors(bars(day, raw["close"], n), Actions.of(ratios), Actions.of(cash))
    assert (len(ratios), len(cash), found.doubts) == (1, 8, ())
    last = [max(at for at, one in enumerate(n) if one == i) for i in n]
    for name, values in raw.items():
        theirs = np.array([float(row[f"adj_{name}"]) for row in rows])
        later = (theirs / values)[last]
        factor = found.volume if name == "volume" else found.price
        np.testing.assert_allclose(values * factor * later, theirs, rtol=1e-9)


def test_alpha_vantages_adjusted_closes_of_ibm_come_out_over_both_splits_and_the_spin_off():
    """Its weeks have the close of an ex date only where that was the week's last session: these dividends are compared."""
    rows = table("alpha_vantage/ts_weekly_adjusted_IBM.csv")[::-1]
    day = np.array(days(*(row["timestamp"] for row in rows)))
    close, adjusted = (np.array([float(row[name]) for row in rows]) for name in ("close", "adjusted close"))
    ratios = splits(
        *((days(row["effective_date"])[0], float(row["split_factor"])) for row in table("alpha_vantage/splits_IBM.csv"))
    )
    paid = table("alpha_vantage/dividends_IBM.csv")
    cash = dividends(*((days(row["ex_dividend_date"])[0], float(row["amount"])) for row in paid))
    found = factors(bars(day, close), ratios, cash)
    steps, theirs = found.price[:-1] / found.price[1:], (adjusted / close)[:-1] / (adjusted / close)[1:]
    in_week = [set(cash.ex_day.tolist()) & set(range(a + 1, b + 1)) for a, b in itertools.pairwise(day.tolist())]
    sure = [not ex or ex == {b} for ex, b in zip(in_week, day[1:].tolist(), strict=True)]
    assert sum(bool(ex) and is_sure for ex, is_sure in zip(in_week, sure, strict=True)) >= 10
    # Closes have four digits behind the point, adjusted ones too, and those of 1999 are below 60.
    np.testing.assert_allclose(steps[sure], theirs[sure], rtol=1e-5)
    assert np.isclose(steps, 1 / 1.046, rtol=1e-12).sum() == 1


@pytest.mark.parametrize("name", ["AAPL", "IBM", "ACME", "BBBB", "CCCC", "DDDD"])
def test_the_sandboxes_own_factors_come_out_of_its_actions(name):
    symbol = ticker(name)
    assert symbol is not None
    daily = Market(7, date(2024, 6, 28)).daily(symbol)
    day = daily.day.astype(np.int64)
    split, paid = daily.ratio != 1, daily.cash != 0
    found = factors(
        bars(day, daily.close),
        splits(*zip(day[split].tolist(), daily.ratio[split].tolist(), strict=True)),
        dividends(*zip(day[paid].tolist(), daily.cash[paid].tolist(), strict=True)),
    )
    np.testing.assert_allclose(found.volume, daily.split / daily.split[-1], rtol=1e-12)
    np.testing.assert_allclose(found.price, daily.dividend / daily.dividend[-1] / found.volume, rtol=1e-12)


# --- against a model ---

EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=12, unique=True)


@given(
    held=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=40, unique=True),
    split=EVENTS,
    paid=EVENTS,
)
def test_any_bars_and_actions_give_what_a_loop_over_each_bar_gives(held, split, paid):
    held.sort()
    close = {one: 50 + 7 * one[1] for one in held}
    ratio = {one: 2 + one[1] % 3 for one in split}
    cash = {one: 1 + one[1] % 4 for one in paid}
    n, day = (np.array(column, dtype=np.int64) for column in zip(*held, strict=True))
    found = factors(
        Bars(n, day, np.array(list(close.values()), dtype=np.float64)),
        Actions.of([(*one, value, 0.0, None, "") for one, value in ratio.items()]),
        Actions.of([(*one, value, 0.0, None, " USD") for one, value in cash.items()]),
    )
    for at, one in enumerate(held):
        price = volume = Fraction(1)
        for action, value in ratio.items():
            if action[0] == one[0] and action[1] > one[1]:
                price, volume = price / value, volume * value
        for action, value in cash.items():
            later = [bar for bar in held if bar[0] == one[0] and bar[1] >= action[1]]
            if action[0] == one[0] and action[1] > one[1] and later:
                price *= Fraction(close[later[0]], close[later[0]] + value)
        assert found.price[at] == pytest.approx(float(price), rel=1e-12)
        assert found.volume[at] == pytest.approx(float(volume), rel=1e-12)


# --- lists that are wrong ---

WEEK = days("2020-08-27", "2020-08-28", "2020-08-31", "2020-09-01")
CLOSES = [500.0, 500.0, 125.0, 130.0]


def of_week(split: Actions, cash: Actions | None = None) -> Factors:
    return factors(bars(WEEK, CLOSES), split, cash)


def test_a_split_that_stands_twice_counts_once():
    found = of_week(splits((WEEK[2], 4.0), (WEEK[2], 8 / 2)))
    assert (found.price.tolist(), found.volume.tolist(), found.doubts) == ([0.25, 0.25, 1, 1], [4, 4, 1, 1], ())


@pytest.mark.parametrize("order", [(4.0, 5.0), (5.0, 4.0), (5.0, 4.0, 0.25)])
def test_of_two_ratios_on_a_day_the_one_that_the_closes_support_counts_and_never_both(order):
    found = of_week(splits(*((WEEK[2], ratio) for ratio in order)))
    assert found.price.tolist() == [0.25, 0.25, 1, 1]
    (doubt,) = found.doubts
    assert (doubt.ex_date, "4 for 1 counts, which the closes 500 and 125" in doubt.text) == (date(2020, 8, 31), True)


def test_of_two_ratios_without_closes_around_them_the_one_that_was_seen_last_counts():
    late = WEEK[-1] + 30
    rows = [(0, late, 5.0, 20.0, None, ""), (0, late, 4.0, 10.0, None, "")]
    found = of_week(Actions.of(rows))
    assert found.price.tolist() == [0.2] * 4
    assert "5 for 1 counts, which was seen last" in found.doubts[0].text


def test_a_reverse_split_raises_prices_and_lowers_volumes():
    found = factors(bars(WEEK, [1.0, 1.0, 10.0, 10.0]), splits((WEEK[2], 0.1)), None)
    assert found.price == pytest.approx([10, 10, 1, 1])
    assert found.volume == pytest.approx([0.1, 0.1, 1, 1])


def test_an_ex_date_without_a_session_counts_from_the_next_one():
    saturday = days("2020-08-29")[0]
    assert of_week(splits((saturday, 4.0))).price.tolist() == [0.25, 0.25, 1, 1]
    assert of_week(splits(), dividends((saturday, 5.0))).price.tolist() == pytest.approx([125 / 130] * 2 + [1, 1])


def test_a_split_and_a_dividend_of_one_day_are_both_applied_and_the_cash_is_for_new_shares():
    found = of_week(splits((WEEK[2], 4.0)), dividends((WEEK[2], 5.0)))
    assert found.price == pytest.approx([0.25 * 125 / 130] * 2 + [1, 1])
    refused = of_week(splits((WEEK[2], 4.0)), dividends((WEEK[2], 125.0)))
    assert refused.price.tolist() == [0.25, 0.25, 1, 1]
    assert "a dividend of 125 at a close of 125 before it does not count" in refused.doubts[0].text


@pytest.mark.parametrize("cash", [500.0, 9_000.0, -1.0])
def test_cash_of_the_price_or_more_and_less_than_nothing_is_refused(cash):
    found = of_week(splits(), dividends((WEEK[1], cash)))
    assert (found.price.tolist(), len(found.doubts)) == ([1] * 4, 1)


def test_a_regular_and_a_special_dividend_of_one_day_add_up():
    rows = [(0, WEEK[1], 2.0, 0.0, None, "CD USD"), (0, WEEK[1], 98.0, 0.0, None, "SC USD")]
    found = of_week(splits(), Actions.of(rows))
    assert (found.price.tolist(), found.doubts) == ([500 / 600, 1, 1, 1], ())


def test_two_dividends_of_one_kind_are_both_counted_and_told():
    found = of_week(splits(), dividends((WEEK[1], 2.0), (WEEK[1], 3.0)))
    assert (found.price[0], "2 and 3 on one day are both counted" in found.doubts[0].text) == (500 / 505, True)


def test_cash_in_another_currency_than_the_others_does_not_count():
    rows = [(0, WEEK[1], 2.0, 0.0, None, " CAD"), *((0, day, 1.0, 0.0, None, " USD") for day in (WEEK[0] - 9, WEEK[3] + 9))]
    found = of_week(splits(), Actions.of(rows))
    assert (found.price.tolist(), "in CAD, where the others are in USD" in found.doubts[0].text) == ([1] * 4, True)


def test_cash_behind_the_last_bar_waits_for_its_close_and_a_split_does_not():
    found = of_week(splits((WEEK[3] + 1, 2.0)), dividends((WEEK[3] + 1, 1.0)))
    assert found.price.tolist() == [0.5] * 4


# --- what was known on a day ---


def test_what_was_known_on_a_day_has_no_correction_of_later_and_nothing_that_was_only_announced():
    seen, corrected = days("2020-09-05", "2020-10-01")
    rows = [
        (0, WEEK[2], 5.0, seen * DAY_MS + 1.0, corrected * DAY_MS + 1.0, ""),
        (0, WEEK[2], 4.0, corrected * DAY_MS + 1.0, None, ""),
        (0, corrected + 90, 2.0, corrected * DAY_MS + 1.0, None, ""),
    ]
    known = {text: Actions.of(rows).known_on(date.fromisoformat(text)).value.tolist() for text in (
        "2020-09-04", "2020-09-05", "2020-09-30", "2020-10-01", "2020-12-29", "2020-12-30",
    )}  # fmt: skip
    assert known == {
        "2020-09-04": [], "2020-09-05": [5], "2020-09-30": [5], "2020-10-01": [4], "2020-12-29": [4], "2020-12-30": [4, 2],
    }  # fmt: skip
