"""Bars shorter than a session: minutes drawn inside each daily bar, so that a day's minutes add up to that day.

First open, highest high, lowest low, last close and the sum of volumes are the daily bar's, but where a minute was recorded.
A session is 09:30-16:00 in New York for stocks, the whole UTC day for currencies and coins. A minute without volume has no bar.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np

from marketfetch.sandbox import recorded
from marketfetch.sandbox.market import Daily, Floats, Market
from marketfetch.sandbox.resampling import Bars, join
from marketfetch.sandbox.sessions import opening_ms
from marketfetch.sandbox.symbols import Symbol

MINUTE_MS: Final = 60_000
OPENS: Final = 9 * 60 + 30
CLOSES: Final = 16 * 60


def minutes(market: Market, symbol: Symbol, *, first: date | np.datetime64, last: date | np.datetime64) -> Bars:
    """The one-minute bars of the sessions from `first` to `last`, both included. About 0.1 ms a session."""
    days = market.daily(symbol).between(first, last)
    return join([_session(market.seed, symbol, _row(days, i)) for i in range(len(days))])


_Day = tuple[int, tuple[float, ...]]


def _row(days: Daily, i: int) -> _Day:
    numbers = ("open", "high", "low", "close", "volume", "trades", "split", "dividend")
    return int(days.day[i].astype(np.int64)), tuple(float(getattr(days, name)[i]) for name in numbers)


@lru_cache(maxsize=2048)
def _session(seed: int, symbol: Symbol, row: _Day) -> Bars:
    day, (start, top, bottom, end, volume, trades, split, dividend) = row
    stock = symbol.kind == "stock"
    count = CLOSES - OPENS if stock else 24 * 60
    draw = np.random.default_rng([seed, symbol.hash, day])
    walk = np.concatenate(([0.0], np.cumsum(draw.standard_normal(count))))
    along = np.arange(count + 1) / count
    walk -= along * walk[-1]
    swing = 0.6 * (top - bottom) / max(float(np.ptp(walk)), 1e-9)
    path = np.round(np.clip(start + along * (end - start) + walk * swing, bottom, top), symbol.digits)
    path[0], path[-1] = start, end
    opens, closes = path[:-1], path[1:]
    reach = np.abs(draw.standard_normal((2, count))) * (top - bottom) * 0.02
    highs = np.round(np.minimum(np.maximum(opens, closes) + reach[0], top), symbol.digits)
    lows = np.round(np.maximum(np.minimum(opens, closes) - reach[1], bottom), symbol.digits)
    highs[np.argmax(highs)], lows[np.argmin(lows)] = top, bottom
    busy = (1.0 + 2.0 * np.abs(along[1:] - 0.5)) * draw.uniform(0.3, 1.7, count)
    portion = np.concatenate(([0.0], np.cumsum(busy) / busy.sum()))
    parts = portion * volume
    volumes = np.round(np.diff(parts), 8) if symbol.kind == "crypto" else np.diff(np.floor(parts + 1e-6))
    counts = np.maximum(np.diff(np.floor(portion * trades + 1e-6)), 1).astype(np.int64)

    at = int(opening_ms(np.array([day], dtype="datetime64[D]"), symbol.kind)[0])
    ts = at + (np.arange(count) + (OPENS if stock else 0)) * MINUTE_MS
    vwap = np.round((opens + highs + lows + closes) / 4, symbol.digits)
    drawn = (opens, highs, lows, closes, volumes, vwap)
    columns = [np.array(column, dtype=np.float64) for column in drawn]
    _lay_recorded(symbol, day, columns)
    start_, high, low, close, traded, paid = columns
    bars = Bars(ts, start_, high, low, close, traded, paid, counts, np.full(count, split), np.full(count, dividend))
    # The four minutes that make the day's prices stay even where so few shares changed hands that theirs is none.
    kept = traded > 0
    kept[[0, int(np.argmax(highs)), int(np.argmin(lows)), count - 1]] = True
    return Bars(*(getattr(bars, column.name)[kept] for column in fields(bars)))


def _lay_recorded(symbol: Symbol, day: int, columns: list[Floats]) -> None:
    date_text = str(np.datetime64(day, "D"))
    for when, row in recorded.minutes().get(symbol.name, {}).items():
        if when.startswith(date_text):
            i = int(when[11:13]) * 60 + int(when[14:16]) - OPENS
            for column, value in zip(columns, (*row[:5], round(sum(row[:4]) / 4, symbol.digits)), strict=True):
                column[i] = value
