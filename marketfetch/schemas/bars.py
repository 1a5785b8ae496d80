"""Bars as columns, and a row model with the same rules.

A response of 50,000 bars is eight arrays, not 50,000 objects. `Bar` is the readable contract; `integrity.py` checks columns
against the same rules, and a conformance test proves that both accept and reject the same rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS as FLOAT_COLUMNS
from marketfetch.schemas.columns_of_bars import PRICE_COLUMNS as PRICE_COLUMNS
from marketfetch.schemas.price_rules import HIGHEST_PRICE as HIGHEST_PRICE
from marketfetch.schemas.price_rules import RULES, PriceKind
from marketfetch.schemas.timespans import Adjustment, Timespan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Bar(BaseModel):
    """One bar. Prices in the instrument's quote currency, volume in units traded, `ts` = start of the bar, Unix ms UTC.

    Only `close` is required: FX has no volume, a value series has no open. A caller may require more columns of a bar that is
    not `close_alone`. `kind` says what its prices are, and so which rules hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ts: int
    close: float
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: float | None = None
    vwap: float | None = None
    trades: int | None = None
    kind: PriceKind = "traded"

    @property
    def close_alone(self) -> bool:
        """True for a day without a trade: open, high and low are absent or 0, and the close is all that is known."""
        return not any((self.open, self.high, self.low)) and bool(self.close)

    @property
    def without_zeros(self) -> tuple[float | None, float | None, float | None]:
        """Open, high and low, each None where it is 0 and outside the range of the others, which says that there is none."""
        opened, high, low = self.open, self.high, self.low
        if self.close_alone:
            return None, None, None
        if self.kind == "settlement":
            if low == 0 and high is not None and high > 0 and self.close > 0:
                return opened or None, high, None
            if high == 0 and low is not None and low > 0:
                return opened or None, None, low
        if opened == 0 and ((low is not None and low > 0) or (high is not None and high < 0)):
            opened = None
        return opened, high, low

    @model_validator(mode="after")
    def _whole(self) -> Self:
        rule = RULES[self.kind]
        opened, high, low = self.without_zeros
        for name, price in zip(PRICE_COLUMNS, (opened, high, low, self.close), strict=True):
            if price is not None and not (math.isfinite(price) and (price > 0 or not rule.positive)):
                raise ValueError(f"{name} is not a finite{' positive' if rule.positive else ''} price")
            if price is not None and price > rule.highest:
                raise ValueError(f"{name} is above {rule.highest:.0e}")
        if self.kind == "settlement" and self.open == self.high == self.low == self.close == 0:
            raise ValueError("all prices are 0")
        body = [one for one in (opened, self.close if rule.close_in_range else None) if one is not None]
        if low is not None and body and low > min(body):
            raise ValueError("low is above open or close")
        if high is not None and body and high < max(body):
            raise ValueError("high is below open or close")
        if low is not None and high is not None and low > high:
            raise ValueError("low is above high")
        for name in ("volume", "trades", "vwap"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and (value >= 0 or (name == "vwap" and not rule.positive))):
                raise ValueError(f"{name} is negative or not finite")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class BarColumns:
    """n bars as equally long arrays: `ts` int64 ms UTC strictly increasing; floats with NaN for absent; `partial` bool."""

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats
    trades: Floats
    partial: Flags

    def __len__(self) -> int:
        return len(self.ts)

    @classmethod
    def build(cls, ts: Ints, *, partial: Flags | None = None, **floats: Floats) -> Self:
        """Builds the columns; those that `floats` leaves out are NaN. Raises TypeError for an unknown column."""
        absent = np.full(len(ts), np.nan)
        columns = {name: floats.get(name, absent) for name in FLOAT_COLUMNS}
        unknown = set(floats) - set(columns)
        if unknown:
            raise TypeError(f"no such bar column: {', '.join(sorted(unknown))}")
        return cls(ts=ts, partial=np.zeros(len(ts), dtype=np.bool_) if partial is None else partial, **columns)

    @classmethod
    def empty(cls) -> Self:
        return cls.build(np.empty(0, dtype=np.int64))

    def take(self, index: Ints | Flags) -> BarColumns:
        """Returns the bars at `index` (positions, or a mask), in that order."""
        # Columns that are absent are one array, and stay one.
        columns = {name: getattr(self, name) for name in FLOAT_COLUMNS}
        taken = {key: column[index] for key, column in {id(one): one for one in columns.values()}.items()}
        floats = {name: taken[id(column)] for name, column in columns.items()}
        return BarColumns(ts=self.ts[index], partial=self.partial[index], **floats)

    def rows(self, first: int, end: int) -> BarColumns:
        """Returns the bars from position `first` up to `end`, without copying them."""
        floats = {name: getattr(self, name)[first:end] for name in FLOAT_COLUMNS}
        return BarColumns(ts=self.ts[first:end], partial=self.partial[first:end], **floats)

    def marked_partial(self, *, first_ms: int) -> BarColumns:
        """Flags the bars that start at `first_ms` or later: their values may still change."""
        floats = {name: getattr(self, name) for name in FLOAT_COLUMNS}
        return BarColumns(ts=self.ts, partial=self.ts >= first_ms, **floats)


@dataclass(frozen=True, slots=True, eq=False)
class BarSeries:
    """The bars of one series. Its first four fields and `ts` identify a bar.

    `zone` is the IANA zone whose midnight begins a day of its bars; "" where the vendor's reader leaves it to `Vendor.zone`.
    """

    provider: str
    symbol: str
    timespan: Timespan
    adjustment: Adjustment
    bars: BarColumns
    zone: str = ""
