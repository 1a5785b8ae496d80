"""Splits and dividends of many series, and their bars, as columns; and where a day lies among the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_DAY_MS: Final = 86_400_000
EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Actions:
    """Splits or dividends, one a place: `n` is the series, `ex_day` the ex date as days since 1970.

    `value` is new shares for one old share, or the cash for one share of that day. `first_seen` and `gone_at` are Unix ms,
    `gone_at` NaN for what the vendor still has. `kind` of a dividend is the vendor's word and the currency, else "".
    """

    n: Ints
    ex_day: Ints
    value: Floats
    first_seen: Floats
    gone_at: Floats
    kind: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, float, float, float | None, str]]) -> Actions:
        """From rows of `n`, `ex_day`, `value`, `first_seen`, `gone_at`, `kind`, in any order."""
        columns = list(zip(*rows, strict=True)) or [()] * 6
        n, ex_day = (np.array(column, dtype=np.int64) for column in columns[:2])
        value, first_seen, gone_at = (np.array(column, dtype=np.float64) for column in columns[2:5])
        return cls(n, ex_day, value, first_seen, gone_at, tuple(columns[5]))

    def __len__(self) -> int:
        return len(self.n)

    def where(self, wanted: NDArray[np.bool_]) -> Actions:
        kind = tuple(one for one, is_wanted in zip(self.kind, wanted.tolist(), strict=True) if is_wanted)
        return Actions(
            self.n[wanted], self.ex_day[wanted], self.value[wanted], self.first_seen[wanted], self.gone_at[wanted], kind
        )

    def known_on(self, day: date) -> Actions:
        """What was known at the end of this day (UTC) and had happened by then: an announced split moves no price."""
        end_ms = ((day - EPOCH) + timedelta(days=1)).days * _DAY_MS
        seen = (self.first_seen < end_ms) & ~(self.gone_at < end_ms)
        return self.where(seen & (self.ex_day <= (day - EPOCH).days))


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of many series: ordered by `n`, the series, and in it by `day`, the session's date as days since 1970."""

    n: Ints
    day: Ints
    close: Floats


class Places:
    """Finds bars by series and day."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        # Days lie between -2^20 and 2^20: series and day in one number, which is sorted as the bars are.
        self._keys = (bars.n << 21) + bars.day

    def at(self, n: Ints, day: Ints) -> Ints:
        """The place of the first bar of the series on the day or after; that of the next series where there is none."""
        return np.searchsorted(self._keys, (n << 21) + day, "left").astype(np.int64)

    def ends(self, n: Ints) -> tuple[Ints, Ints]:
        """The place of the first bar of each series, and the one behind its last."""
        return np.searchsorted(self.bars.n, n, "left").astype(np.int64), np.searchsorted(self.bars.n, n, "right").astype(
            np.int64
        )
