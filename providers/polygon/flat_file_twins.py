"""Rows of one symbol and time in two parts of a file that is not sorted by symbol: the one in the earlier part counts.

The cursor of a part has the last symbol, by name, of the parts before it. In a sorted file each symbol of a part is behind it,
so that such a file costs one comparison a symbol. Else the earlier parts are read again, from the file on the disk.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.integrity import TWINS_DIFFER
from marketfetch.schemas.rejects import MOST_KEPT, Reject, RejectBook, Rejects

from .flat_file_columns import Columns

#: Bars of a symbol, and the place of each time in them.
_Bars = tuple[BarColumns, dict[int, int]]
_NO_BARS: Final[_Bars] = (BarColumns.empty(), {})
#: The columns of a file, in the order in which the first difference is looked for.
_COMPARED: Final = ("close", *(name for name in FLOAT_COLUMNS if name not in ("close", "vwap")))


def suspects(names: Iterable[str], last: str) -> frozenset[str]:
    """The symbols that an earlier part may have too: those up to `last`, the last one of the earlier parts."""
    return frozenset(name for name in names if name <= last)


@dataclass(slots=True, eq=False)
class EarlierRows:
    """Compares the rows of a part with the bars of the parts before it, one part after the other.

    Of rows with a bar of their symbol and time there, those with other values are rejects, and the others are left out.
    """

    found: Columns
    symbols: frozenset[str]
    _seen: set[int] = field(default_factory=set)
    _book: RejectBook = field(default_factory=RejectBook)

    def compare(self, series: Sequence[BarSeries]) -> None:
        bars = _by_symbol(series, self.symbols)
        of_code = [bars.get(name) for name in self.found.names]
        has_bars = np.fromiter((one is not None for one in of_code), dtype=np.bool_, count=len(of_code))
        different: dict[str, list[tuple[int, str]]] = {}
        for i in np.flatnonzero(has_bars[self.found.codes]).tolist():
            columns, places = of_code[self.found.codes[i]] or _NO_BARS
            place = places.get(int(self.found.bars.ts[i]))
            if place is None or i in self._seen:
                continue
            self._seen.add(i)
            if name := self._first_difference(i, columns, place):
                different.setdefault(name, []).append((i, _text(getattr(columns, name)[place])))
        for name, rows in different.items():
            numbers = array("q", (int(self.found.numbers[i]) for i, _ in rows))
            kept = [self._reject(name, i, other) for i, other in rows[:MOST_KEPT]]
            self._book.add_rows(f"{name}: {TWINS_DIFFER}", numbers, kept)

    def others(self) -> Columns:
        """The rows without a bar in the earlier parts, and the rejects."""
        others = np.ones(len(self.found.codes), dtype=np.bool_)
        others[list(self._seen)] = False
        return self.found.take(others, Rejects.together(self.found.rejects, self._book.rejects()))

    def _first_difference(self, i: int, bars: BarColumns, place: int) -> str | None:
        for name in _COMPARED:
            mine, theirs = getattr(self.found.bars, name)[i], getattr(bars, name)[place]
            # A price of 0 on a day without a trade is a bar's absent price.
            if mine != theirs and not (np.isnan(theirs) and (np.isnan(mine) or mine == 0)):
                return name
        return None

    def _reject(self, name: str, i: int, other: str) -> Reject:
        value = f"{_text(getattr(self.found.bars, name)[i])}, in an earlier part of the file {other}"
        symbol = self.found.names[self.found.codes[i]]
        return Reject.of(int(self.found.numbers[i]), name, value, TWINS_DIFFER, symbol=symbol)


def _by_symbol(series: Sequence[BarSeries], symbols: frozenset[str]) -> dict[str, _Bars]:
    """The bars of each of these symbols, and the place of each time in them."""
    if isinstance(series, CrossSection):
        where = [i for i, name in enumerate(series.symbols) if name in symbols]
        return {series.symbols[i]: (series.bars, {int(series.bars.ts[i]): i}) for i in where}
    return {
        one.symbol: (one.bars, {ts: place for place, ts in enumerate(one.bars.ts.tolist())})
        for one in series
        if one.symbol in symbols
    }


def _text(value: np.float64) -> str:
    return "absent" if np.isnan(value) else str(value.item())
