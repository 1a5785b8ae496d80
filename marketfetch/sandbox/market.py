"""The one market behind all three vendors: bars as a pure function of seed and symbol, independent of the requested range.

A symbol's whole daily history is drawn at once, so a question about one week and one about ten years get the same
numbers. A recorded bar replaces the drawn one; the drawn ones around it are scaled so that the series runs through every
recorded close (the scale is interpolated between them and kept beyond the first and the last).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketfetch.sandbox import recorded
from marketfetch.sandbox.sessions import Days, Ints, all_days
from marketfetch.sandbox.symbols import Symbol

Floats = NDArray[np.float64]

_SPLIT_RATIOS: Final = (2.0, 3.0, 4.0, 5.0, 1.5)


@dataclass(frozen=True, slots=True, eq=False)
class Daily:
    """Sessions of one symbol, oldest first, in as-traded prices.

    `split` is what a raw price of that day is divided by for today's shares; `dividend` is the further factor (<= 1) that
    takes out later dividends; `cash` and `ratio` are the day's own dividend and split (0 and 1 on other days).
    """

    day: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats
    trades: Ints
    split: Floats
    dividend: Floats
    cash: Floats
    ratio: Floats

    def __len__(self) -> int:
        return len(self.day)

    def between(self, first: date | np.datetime64, last: date | np.datetime64) -> Daily:
        """The sessions from `first` to `last`, both included."""
        ends = np.array([first, last], dtype="datetime64[D]")
        low, high = np.searchsorted(self.day, ends[0], "left"), np.searchsorted(self.day, ends[1], "right")
        return Daily(*(getattr(self, column.name)[low:high] for column in fields(self)))


@dataclass(frozen=True, slots=True)
class Market:
    """`today` is the last session that has happened; it is served whole."""

    seed: int
    today: date

    def daily(self, symbol: Symbol) -> Daily:
        """All sessions from the listing up to today."""
        return _until(self.seed, symbol, self.today)


@lru_cache(maxsize=256)
def _until(seed: int, symbol: Symbol, today: date) -> Daily:
    return _history(seed, symbol).between(symbol.listed, today)


@lru_cache(maxsize=256)
def _history(seed: int, symbol: Symbol) -> Daily:
    day = all_days(symbol.kind)
    n = len(day)
    draw = np.random.default_rng([seed, symbol.hash])
    calm = {"stock": 0.018, "fx": 0.005, "crypto": 0.035}[symbol.kind] * draw.uniform(0.6, 1.4)
    level = {"stock": draw.uniform(2.5, 5.5), "fx": draw.uniform(-0.4, 0.6), "crypto": draw.uniform(3.0, 9.0)}[symbol.kind]
    # A Brownian bridge instead of a free walk keeps forty years within the prices of a listed share.
    walk = np.cumsum(draw.standard_normal(n)) * calm
    walk -= walk[-1] * np.arange(1, n + 1) / n
    close = np.exp(level + walk)
    start = np.concatenate((close[:1], close[:-1])) * np.exp(draw.standard_normal(n) * calm * 0.3)
    high = np.maximum(start, close) * np.exp(np.abs(draw.standard_normal(n)) * calm * 0.5)
    low = np.minimum(start, close) * np.exp(-np.abs(draw.standard_normal(n)) * calm * 0.5)
    # Coins are counted in parts of one, shares whole.
    size = draw.uniform(4.0, 9.0) if symbol.kind == "crypto" else draw.uniform(13.0, 17.5)
    volume: Floats = np.asarray(np.round(np.exp(size + draw.standard_normal(n) * 0.35), symbol.volume_digits))
    per_trade = draw.uniform(0.02, 0.2) if symbol.kind == "crypto" else draw.uniform(60.0, 160.0)

    ratio, cash_share = _actions(symbol, day, draw)
    split = np.concatenate((np.cumprod(ratio[::-1])[::-1][1:], [1.0]))
    scale = split * _through_recorded(symbol, day, close * split)
    prices = [np.round(column * scale, symbol.digits) for column in (start, high, low, close)]
    volume = np.asarray(np.maximum(np.round(volume / split, symbol.volume_digits), 1.0))
    vwap = np.round((prices[0] + prices[1] + prices[2] + prices[3]) / 4, symbol.digits)
    trades = np.maximum(volume / per_trade, 1.0).astype(np.int64)
    for i, row in _recorded_rows(symbol, day):
        for column, value in zip(prices, row[:4], strict=True):
            column[i] = value
        volume[i] = row[4]
        vwap[i] = row[5] if row[5] is not None else round(sum(row[:4]) / 4, symbol.digits)
        trades[i] = row[6] if row[6] is not None else max(int(row[4] / per_trade), 1)

    cash = _cash(symbol, day, cash_share * prices[3])
    # The cash is reinvested at the close of the ex date, as the vendors of adjusted closes do.
    kept = prices[3] / (prices[3] + cash)
    dividend = np.concatenate((np.cumprod(kept[::-1])[::-1][1:], [1.0]))
    start, high, low, close = prices
    return Daily(day, start, high, low, close, volume, vwap, trades, split, dividend, cash, ratio)


def _actions(symbol: Symbol, day: Days, draw: np.random.Generator) -> tuple[Floats, Floats]:
    """Each day's split ratio, and its dividend as a share of the price; drawn for stocks without a recording."""
    ratio, share = np.ones(len(day)), np.zeros(len(day))
    known = recorded.splits(symbol.name)
    splits = int(draw.choice(4, p=[0.55, 0.25, 0.15, 0.05]))
    at, ratios = draw.integers(600, len(day) - 2500, 3), draw.choice(_SPLIT_RATIOS, 3)
    pays, offset, generous = draw.random() < 0.5, int(draw.integers(0, 63)), draw.uniform(0.002, 0.01)
    if symbol.kind != "stock":
        return ratio, share
    if known is not None:
        for when, factor in known:
            ratio[day == np.datetime64(when)] = factor
        return ratio, share
    ratio[at[:splits]] = ratios[:splits]
    if pays:
        share[offset::63] = generous
    return ratio, share


def _cash(symbol: Symbol, day: Days, drawn: Floats) -> Floats:
    known = recorded.dividends(symbol.name) if symbol.kind == "stock" else None
    if known is None:
        return np.round(drawn, 2)
    cash = np.zeros(len(day))
    for when, amount in known:
        cash[day == np.datetime64(when)] = amount
    return cash


def _through_recorded(symbol: Symbol, day: Days, close: Floats) -> Floats:
    """The factor that makes a drawn series pass through the recorded closes; 1 without recordings."""
    closes = dict(recorded.weekly_closes().get(symbol.name, {}))
    closes |= {when[:10]: row[3] for when, row in sorted(recorded.minutes().get(symbol.name, {}).items())}
    closes |= {when: row[3] for when, row in recorded.daily().get(symbol.name, {}).items()}
    if not closes:
        return np.ones(len(day))
    when = np.array(sorted(closes), dtype="datetime64[D]")
    at = np.minimum(np.searchsorted(day, when), len(day) - 1)
    ratio = np.log(np.array([closes[key] for key in sorted(closes)]) / close[at])
    return np.asarray(np.exp(np.interp(np.arange(len(day)), at, ratio)))


def _recorded_rows(symbol: Symbol, day: Days) -> list[tuple[int, recorded.Row]]:
    rows = recorded.daily().get(symbol.name, {})
    at = {str(when): i for i, when in enumerate(day)} if rows else {}
    return [(at[when], row) for when, row in rows.items() if when in at]
