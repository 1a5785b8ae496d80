"""Page: what one reply says, after every check: rows, rejects with reasons, quirks, and where the next page is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from marketfetch.schemas.bars import BarSeries  # loads numpy


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that failed a check: `row` counts from 0 in the reply's own order; `value` is cut to 200 characters."""

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
    """Something odd that vendors are known to send and that is not wrong enough to reject: counted and logged."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Page:
    """One reply, read. `series` for bars; `records` for the few other datasets that we read but don't store yet."""

    series: tuple[BarSeries, ...] = ()
    records: tuple[BaseModel, ...] = ()
    rejects: tuple[Reject, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    next: str | None = None

    @property
    def rows(self) -> int:
        """What is to be stored: the bars of every series, and the records."""
        return sum(len(one.bars) for one in self.series) + len(self.records)

    @property
    def reply_rows(self) -> int:
        """The reply's own rows that gave something: a row that gave a bar to each of two adjustments counts once."""
        most: dict[str, int] = {}
        for one in self.series:
            most[one.symbol] = max(most.get(one.symbol, 0), len(one.bars))
        return sum(most.values()) + len(self.records)

    @property
    def reject_share(self) -> float:
        """Rejected rows ÷ all rows of the reply, 0.0 for an empty one. A row rejected for two series counts once."""
        bad = len({reject.row for reject in self.rejects})
        return bad / (bad + self.reply_rows) if bad else 0.0
