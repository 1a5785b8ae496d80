"""The bars of many symbols at one time, as columns: a reply with a whole market is nine arrays, not ten thousand series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarColumns, BarSeries  # imports numpy
    from marketfetch.schemas.timespans import Adjustment, Timespan


@dataclass(frozen=True, slots=True, eq=False)
class CrossSection(Sequence["BarSeries"]):
    """n series of one bar each: `symbols` are distinct, and `bars` has the bar of each, in their order.

    It is a sequence of BarSeries, which are made when they are asked for: 10,000 of them take 30 ms and 10 MB. What handles
    every reply takes the columns instead. `zone` is that of BarSeries. `bars.ts` need not ascend.
    """

    provider: str
    symbols: tuple[str, ...]
    timespan: Timespan
    adjustment: Adjustment
    bars: BarColumns
    zone: str = ""

    def __len__(self) -> int:
        return len(self.symbols)

    @overload
    def __getitem__(self, index: int) -> BarSeries: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[BarSeries, ...]: ...
    def __getitem__(self, index: int | slice) -> BarSeries | tuple[BarSeries, ...]:
        from marketfetch.schemas.bars import BarSeries

        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        i = range(len(self))[index]
        row = self.bars.rows(i, i + 1)
        return BarSeries(self.provider, self.symbols[i], self.timespan, self.adjustment, row, self.zone)

    def with_bars(self, bars: BarColumns, *, zone: str) -> CrossSection:
        """The same series with these bars, in the same order."""
        return replace(self, bars=bars, zone=zone)


def count_bars(series: Sequence[BarSeries]) -> int:
    """The number of bars of all series."""
    return len(series) if isinstance(series, CrossSection) else sum(len(one.bars) for one in series)
