"""The checks of a whole market's minutes: rows of many symbols and one day become a series for each symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns, BarSeries, Ints
from marketfetch.schemas.cross_section_checks import ANOTHER_DAY, NO_SYMBOL, is_symbol
from marketfetch.schemas.integrity import Rows, check_bars
from marketfetch.schemas.page import Quirk
from marketfetch.schemas.price_rules import kind_by
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.timespans import Adjustment

_MINUTE_MS: Final = 60_000
#: Places of one symbol: a day has 1,500 minutes at most, where clocks go back.
_PLACES: Final = 2_000
NO_MINUTE: Final = "timestamp is not the start of a minute"


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What the rows are of: `names` are the distinct symbols, and the day is from `start_ms` up to `end_ms` (Unix ms)."""

    provider: str
    names: Sequence[str]
    adjustment: Adjustment
    start_ms: int
    end_ms: int
    zone: str


@dataclass(frozen=True, slots=True, eq=False)
class CheckedMinutes:
    """A series for each symbol with a good row, the rejects and the quirks."""

    series: tuple[BarSeries, ...]
    rejects: Rejects
    quirks: tuple[Quirk, ...]


def check_minutes(market: Market, codes: Ints, bars: BarColumns, *, numbers: Ints, symbol_field: str) -> CheckedMinutes:
    """Checks rows in one pass, whatever their order; `codes` are the places of their symbols, `numbers` the rows of the reply.

    The checks are those of bars, and those of symbols that no wish has named: see cross_section_checks.py.
    """
    book, names = RejectBook(), market.names
    known = np.fromiter((is_symbol(name) for name in names), dtype=np.bool_, count=len(names))
    inside = (bars.ts >= market.start_ms) & (bars.ts < market.end_ms)
    on_minute = (bars.ts - market.start_ms) % _MINUTE_MS == 0
    good = known[codes] & inside & on_minute
    for i in np.flatnonzero(~good).tolist():
        name = names[codes[i]]
        if not known[codes[i]]:
            book.add(int(numbers[i]), symbol_field, name, NO_SYMBOL)
        else:
            book.add(int(numbers[i]), "ts", int(bars.ts[i]), NO_MINUTE if inside[i] else ANOTHER_DAY, symbol=name)
    if not good.all():
        codes, bars, numbers = codes[good], bars.take(good), numbers[good]
    # The place of symbol and minute stands for the time of a bar: so one pass checks each symbol's minutes as rows of one time.
    places = codes * _PLACES + (bars.ts - market.start_ms) // _MINUTE_MS
    checked = check_bars(replace(bars, ts=places), rows=Rows(numbers), required=PRICE_COLUMNS, kind=kind_by(market.adjustment))
    of_row = dict(zip(numbers.tolist(), codes.tolist(), strict=True)) if checked.rejects else {}
    found = checked.rejects.worded(lambda one: replace(one, symbol=names[of_row[one.row]]), str)
    return CheckedMinutes(_series(market, checked.bars), Rejects.together(book.rejects(), found), checked.quirks)


def _series(market: Market, placed: BarColumns) -> tuple[BarSeries, ...]:
    if not len(placed):
        return ()
    codes = placed.ts // _PLACES
    bars = replace(placed, ts=market.start_ms + placed.ts % _PLACES * _MINUTE_MS)
    ends = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return tuple(
        BarSeries(market.provider, market.names[codes[first]], "1m", market.adjustment, bars.rows(first, end), market.zone)
        for first, end in zip([0, *ends[:-1]], ends, strict=True)
    )
