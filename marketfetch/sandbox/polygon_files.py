"""Polygon's flat files of the sandbox's market, as they are in its S3 bucket: gzip CSV, all stocks of a session by ticker.

https://massive.com/docs/flat-files/stocks/day-aggregates
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

import numpy as np

from marketfetch.sandbox.intraday import minutes
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.sessions import midnight_ms
from marketfetch.sandbox.symbols import UNIVERSE, Symbol, ticker

HEADER: Final = "ticker,volume,open,close,high,low,window_start,transactions"
_NS_PER_MS: Final = 1_000_000


def path_of(day: date, *, timespan: str = "1d") -> str:
    """The path of a session's file, with the bucket."""
    folder = "day_aggs_v1" if timespan == "1d" else "minute_aggs_v1"
    return f"/flatfiles/us_stocks_sip/{folder}/{day:%Y}/{day:%m}/{day}.csv.gz"


def day_file(market: Market, day: date, names: Sequence[str] = UNIVERSE) -> bytes:
    """The bars of a day, each at the midnight in New York that begins it."""
    return _packed(_day_lines(market, day, names))


def minute_file(market: Market, day: date, names: Sequence[str] = UNIVERSE) -> bytes:
    """The one-minute bars of a day."""
    return _packed(_minute_lines(market, day, names))


def _packed(lines: Iterator[str]) -> bytes:
    return gzip.compress("".join(f"{line}\n" for line in (HEADER, *lines)).encode(), compresslevel=6, mtime=0)


def _stocks(names: Sequence[str]) -> Iterator[Symbol]:
    for name in sorted(names):
        symbol = ticker(name)
        if symbol is not None and symbol.kind == "stock":
            yield symbol


def _day_lines(market: Market, day: date, names: Sequence[str]) -> Iterator[str]:
    start = int(midnight_ms(np.array([day], dtype="datetime64[D]"), "stock")[0]) * _NS_PER_MS
    for symbol in _stocks(names):
        found = market.daily(symbol).between(day, day)
        if len(found):
            row = (found.volume[0], found.open[0], found.close[0], found.high[0], found.low[0])
            yield ",".join((symbol.name, *map(_number, row), str(start), str(int(found.trades[0]))))


def _minute_lines(market: Market, day: date, names: Sequence[str]) -> Iterator[str]:
    for symbol in _stocks(names):
        found = minutes(market, symbol, first=day, last=day)
        columns = (found.volume, found.open, found.close, found.high, found.low, found.ts, found.trades)
        for volume, opens, closes, highs, lows, ts, trades in zip(*(one.tolist() for one in columns), strict=True):
            numbers = map(_number, (volume, opens, closes, highs, lows))
            yield ",".join((symbol.name, *numbers, str(int(ts) * _NS_PER_MS), str(int(trades))))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
