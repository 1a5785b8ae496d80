"""Page: a decoded and validated response: rows, rejects with reasons, quirks, and the cursor of the next page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from marketfetch.schemas.bars import BarSeries  # imports numpy


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that failed a check: `row` counts from 0 in the response's order; `value` is truncated to 200 characters."""

    row: int
    field: str
    value: str
    reason: str
    symbol: str = ""

    @classmethod
    def of(cls, row: int, field: str, value: object, reason: str, *, symbol: str = "") -> Reject:
        return cls(row=row, field=field, value=str(value)[:200], reason=reason, symbol=symbol)


@dataclass(frozen=True, slots=True)
class Quirk:
    """A known oddity of a vendor's data that is no error. marketfetch counts and logs it."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Page:
    """A decoded response: `series` of bars, or `records` of the datasets that marketfetch reads but does not store."""

    series: tuple[BarSeries, ...] = ()
    records: tuple[BaseModel, ...] = ()
    rejects: tuple[Reject, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    next: str | None = None

    @property
    def rows(self) -> int:
        """The number of good rows: the bars of every series, and the records."""
        return sum(len(one.bars) for one in self.series) + len(self.records)

    @property
    def reply_rows(self) -> int:
        """The number of the response's good rows: a row with a bar for each of two adjustments counts once."""
        most: dict[str, int] = {}
        for one in self.series:
            most[one.symbol] = max(most.get(one.symbol, 0), len(one.bars))
        return sum(most.values()) + len(self.records)

    @property
    def reject_share(self) -> float:
        """Rejected rows ÷ all rows of the response; 0.0 without rows. A row rejected for two series counts once."""
        bad = len({reject.row for reject in self.rejects})
        return bad / (bad + self.reply_rows) if bad else 0.0
