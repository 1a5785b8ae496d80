"""Page: a decoded and validated response: rows, rejects with reasons, quirks, and the cursor of the next page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketfetch.schemas.cross_section import CrossSection, count_bars
from marketfetch.schemas.record_kinds import NO_RECORDS, Records
from marketfetch.schemas.rejects import Reject as Reject
from marketfetch.schemas.rejects import Rejects as Rejects
from marketfetch.schemas.table_columns import TableColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketfetch.schemas.bars import BarSeries  # imports numpy
    from marketfetch.schemas.price_rules import PriceKind
    from marketfetch.schemas.timespans import Adjustment


@dataclass(frozen=True, slots=True)
class Quirk:
    """A known oddity of a vendor's data that is no error. marketfetch counts and logs it."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class SeriesCount:
    """How many rows of the response are good and bad for one series, and what its prices are.

    The symbol "" stands for the bad rows that belong to no series.
    """

    symbol: str
    adjustment: Adjustment
    kind: PriceKind
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class Page:
    """A decoded response: `series` of bars, or `records` of another dataset.

    `series` is a CrossSection where the response has one bar of each of many symbols.

    `rejects` keeps the first hundred rejects of each reason; `rejected` and `reject_counts` count all of them. `counts` has
    every series of the response, also one without a good row; a vendor may leave it out.

    `check` belongs to a page without rows whose emptiness alone says too little: the cursor of a call that tells whether the
    vendor has no rows or does not know the symbol. The same request makes that call, once, and its reply is the outcome.

    `columns` are those of a reply of bars, by which one that the vendor renames is noted; a vendor may leave them out.
    """

    series: Sequence[BarSeries] = ()
    records: Records = NO_RECORDS
    rejects: tuple[Reject, ...] = ()
    quirks: tuple[Quirk, ...] = ()
    next: str | None = None
    counts: tuple[SeriesCount, ...] = ()
    check: str | None = None
    columns: TableColumns | None = None

    @property
    def rows(self) -> int:
        """The number of good rows: the bars of every series, and the records."""
        return count_bars(self.series) + len(self.records)

    @property
    def reply_rows(self) -> int:
        """The number of the response's good rows: a row with a bar for each of two adjustments counts once."""
        if isinstance(self.series, CrossSection):
            return self.rows
        most: dict[str, int] = {}
        for one in self.series:
            most[one.symbol] = max(most.get(one.symbol, 0), len(one.bars))
        return sum(most.values()) + len(self.records)

    @property
    def rejected(self) -> int:
        """How many rejects there are, also those that are counted and not kept."""
        return self._rejects.total

    @property
    def reject_counts(self) -> dict[str, int]:
        """How many rejects there are of each "field: reason"."""
        return self._rejects.counts

    @property
    def bad_rows(self) -> int:
        """The reply's own rows that were rejected: a row rejected for two series counts once."""
        return len(self._rejects.bad_rows)

    @property
    def left_out(self) -> str:
        """A sentence that counts the rejects by reason where not all of them are kept, "" where they are."""
        if self.rejected == len(self.rejects):
            return ""
        counts = "; ".join(f"{cause} ({count:,})" for cause, count in self._rejects.counts.items())
        return f"{self.rejected:,} rows failed their checks, of which the first {len(self.rejects):,} are kept: {counts}"

    @property
    def _rejects(self) -> Rejects:
        return self.rejects if isinstance(self.rejects, Rejects) else Rejects(self.rejects)
