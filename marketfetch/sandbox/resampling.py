"""Bars by the instant they start at, and the aggregation of short bars to longer ones."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from marketfetch.sandbox.market import Floats
from marketfetch.sandbox.sessions import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars by the instant they start at (`ts`, Unix ms), oldest first, in as-traded prices. `split` as in Daily."""

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats
    trades: Ints
    split: Floats
    dividend: Floats

    def __len__(self) -> int:
        return len(self.ts)

    def slice(self, start: int, stop: int) -> Bars:
        """The bars with positions from `start` up to, not including, `stop`."""
        return Bars(*(getattr(self, column.name)[start:stop] for column in fields(self)))


def join(parts: list[Bars]) -> Bars:
    """Bars of consecutive days as one run; no parts give no bars."""
    if not parts:
        return _EMPTY
    return Bars(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Bars)))


def group(bars: Bars, keys: Ints, starts: Ints) -> Bars:
    """Merges runs of bars with one key into one bar each, which starts where `starts` says for the run's first bar."""
    if not len(bars):
        return bars
    edges = np.concatenate(([0], np.flatnonzero(np.diff(keys)) + 1))
    if len(edges) == len(bars):
        return replace(bars, ts=starts)
    last = np.append(edges[1:], len(bars)) - 1
    volume = np.add.reduceat(bars.volume, edges)
    high, low = np.maximum.reduceat(bars.high, edges), np.minimum.reduceat(bars.low, edges)
    paid = np.add.reduceat(bars.vwap * bars.volume, edges)
    vwap = np.where(volume > 0, np.round(paid / np.maximum(volume, 1e-12), 6), bars.close[last])
    return Bars(
        ts=starts[edges],
        open=bars.open[edges],
        high=high,
        low=low,
        close=bars.close[last],
        volume=volume,
        vwap=np.clip(vwap, low, high),
        trades=np.add.reduceat(bars.trades, edges),
        split=bars.split[last],
        dividend=bars.dividend[last],
    )


_NOTHING: Final = np.empty(0, dtype=np.float64)
_NO_INTS: Final = np.empty(0, dtype=np.int64)
_EMPTY: Final = Bars(_NO_INTS, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NO_INTS, _NOTHING, _NOTHING)
