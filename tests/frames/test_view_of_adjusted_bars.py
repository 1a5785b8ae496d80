"""The view `bars_adjusted` has the numbers of `marketfetch.bars(adjust=…)` on both databases, also from doubtful lists."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pytest

import marketfetch
from marketfetch.exceptions import AdjustmentWarning
from marketfetch.storage.store import Store
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of
from tests.frames.test_adjusted_bars import listed

#: Sessions on five days of seven.
DAYS = [JANUARY_2 + n * DAY_MS for n in range(120) if (n + 1) % 7 not in (5, 6)]
SYMBOLS = ("AAPL", "BBB", "CCC", "DDD")
WAYS: tuple[tuple[Literal["splits", "all"], str], ...] = (("splits", "split"), ("all", "split_dividend"))


def day(n: int) -> str:
    return str(date(2024, 1, 2) + timedelta(days=n))


def random_lists(store: Store, symbol: str, seed: int) -> None:
    """Splits and dividends on any days, also outside of the bars, two on one day, too large, and in another currency."""
    draw = np.random.default_rng(seed)
    on = draw.choice(np.arange(-5, 130), 6, replace=False)
    ratios = [4.0, 0.1, 1.046, 3.0, 2.0, 1.0]
    splits = [(symbol, day(int(n)), ratio, 1.0, "") for n, ratio in zip(on, ratios, strict=True)]
    splits += [(symbol, day(int(n)), 7.0, 1.0, "") for n in on[:2]] + [(symbol, day(int(on[3])), 6.0, 2.0, "")]
    cash = [(symbol, day(int(n)), round(float(draw.uniform(0.1, 3)), 2)) for n in draw.choice(130, 12, replace=False)]
    cash += [(symbol, day(int(on[0])), 0.25), (symbol, cash[0][1], 9.5), (symbol, day(60), 900.0)]
    kinds = ("CD", "SC", "LT")  # cash, special cash, long-term gains
    dividends = [(*one, "USD", kinds[n % 3], None, None, None, None, "") for n, one in enumerate(cash)]
    dividends.append((symbol, day(30), 1.0, "EUR", "K", None, None, None, None, ""))
    listed(store, *splits, symbol=symbol, day="2024-09-01")
    listed(store, *dividends, symbol=symbol, day="2024-09-01", kind="dividends")


def corrected_lists(store: Store, symbol: str, seed: int) -> None:
    """Lists of a month later: some rows are gone, some have another value or another day, and one is new."""
    draw = np.random.default_rng(seed + 1_000)
    for kind, value in (("splits", 2), ("dividends", 2)):
        sql = {
            "splits": "SELECT symbol, CAST(ex_date AS TEXT), new_shares, old_shares, vendor_id FROM splits WHERE symbol = ?",
            "dividends": "SELECT symbol, CAST(ex_date AS TEXT), amount, currency, kind FROM dividends WHERE symbol = ?",
        }[kind]
        rows = []
        for row in store.database.read(sql, symbol):
            one, fate = list(row), draw.integers(0, 5)
            if fate == 0:
                continue
            if fate == 1:
                one[value] = round(one[value] * float(draw.choice([0.5, 1.1, 2.0])), 4)
            if fate == 2:
                one[1] = str(date.fromisoformat(one[1]) + timedelta(days=1))
            rows.append(tuple(one) if kind == "splits" else (*one, None, None, None, None, ""))
        new = (symbol, day(int(draw.integers(0, 120))), 1.5)
        rows.append((*new, 1.0, "") if kind == "splits" else (*new, "USD", "SC", None, None, None, None, ""))
        listed(store, *dict.fromkeys(rows), symbol=symbol, day="2024-10-01", kind=kind)


def of_view(store: Store, symbol: str, adjustment: str) -> list[tuple[Any, ...]]:
    ts = store.database.spelling.ms("ts")
    columns = f"{ts}, open, high, low, close, volume, vwap, trades"
    sql = f"SELECT {columns} FROM bars_adjusted WHERE symbol = ? AND adjustment = ? ORDER BY ts"
    return store.database.read(sql, symbol, adjustment)


Prices = dict[tuple[str, str], np.ndarray]


def by_frame(**as_of: Any) -> Prices:
    found = {}
    for symbol in SYMBOLS:
        for adjust, name in WAYS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AdjustmentWarning)
                frame = marketfetch.bars(symbol, adjust=adjust, **as_of)
            at = [[one.timestamp() * 1000 for one in frame["ts"].to_list()]]
            columns = frame.select("open", "high", "low", "close", "volume", "vwap", "trades").to_numpy().T
            found[symbol, name] = np.vstack([at, columns])
    return found


def by_view(store: Store) -> Prices:
    both = [(symbol, name) for symbol in SYMBOLS for _, name in WAYS]
    return {key: np.array(of_view(store, *key), dtype=np.float64).T for key in both}


def assert_equal(one: Prices, other: Prices) -> None:
    for key in one:
        np.testing.assert_allclose(one[key], other[key], rtol=1e-12, err_msg=str(key))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_view_has_the_numbers_of_the_frame_also_after_corrections_and_as_of_the_day_before_them(
    keep, store, configured, seed
):
    for n, symbol in enumerate(SYMBOLS):
        keep(symbol, columns_of(DAYS, nulls=3, seed=seed * 10 + n), adjustment="raw", zone="America/New_York")
        random_lists(store, symbol, seed * 10 + n)
    first = by_view(store)
    assert_equal(first, by_frame())
    assert sum(len(np.unique(one[4])) for one in first.values()) > len(SYMBOLS) * len(DAYS)
    for n, symbol in enumerate(SYMBOLS):
        corrected_lists(store, symbol, seed * 10 + n)
    later = by_view(store)
    assert_equal(later, by_frame())
    assert_equal(first, by_frame(as_of="2024-09-15"))
    assert all(not np.allclose(first[key], later[key], equal_nan=True) for key in first), "each symbol has a correction"


def test_the_view_leaves_out_what_has_no_lists_and_what_is_gone_or_only_announced(keep, store, configured):
    keep("AAPL", columns_of(DAYS[:5]), adjustment="raw", zone="America/New_York")
    keep("BBB", columns_of(DAYS[:5]), adjustment="raw", zone="America/New_York")
    ahead = str(datetime.now(UTC).date() + timedelta(days=9))
    listed(store, ("AAPL", day(2), 5.0, 1.0, ""), day="2024-02-01")
    listed(store, ("AAPL", day(2), 4.0, 1.0, ""), ("AAPL", ahead, 9.0, 1.0, ""), day="2024-02-02")
    bars = store.database.read("SELECT close FROM bars WHERE symbol = 'AAPL' ORDER BY ts")
    found = store.database.read("SELECT symbol, adjustment, close FROM bars_adjusted ORDER BY symbol, adjustment, ts")
    assert {(symbol, adjustment) for symbol, adjustment, _ in found} == {("AAPL", "split")}
    np.testing.assert_allclose(
        [row[2] for row in found], np.array([row[0] for row in bars]) * [0.25, 0.25, 1, 1, 1], rtol=1e-12
    )
