"""Builds a page of bars from the checked series of one response, the same way for every vendor."""

from __future__ import annotations

from collections.abc import Sequence

from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.integrity import Checked
from marketfetch.schemas.page import Page, Quirk, SeriesCount
from marketfetch.schemas.price_rules import PriceKind
from marketfetch.schemas.rejects import Rejects


class PageBuilder:
    """Collects series. A value that is bad for two of them, such as a date, is one reject."""

    def __init__(self, rejects: Rejects | None = None) -> None:
        """`rejects`: the rows that belong to no series."""
        self._series: list[BarSeries] = []
        self._counts: list[SeriesCount] = []
        self._rejects: list[Rejects] = [rejects or Rejects()]
        self._strays = len(self._rejects[0].bad_rows)
        self._quirks: dict[tuple[str, str], int] = {}
        self._known: set[tuple[int, str]] = set()

    def add(self, series: BarSeries, checked: Checked, *, kind: PriceKind) -> None:
        """Adds a series whose bars and rejects are `checked`; one without a good bar leaves its rejects alone."""
        if len(series.bars):
            self._series.append(series)
        bad = len(checked.rejects.bad_rows)
        self._counts.append(SeriesCount(series.symbol, series.adjustment, kind, good=len(series.bars), bad=bad))
        known = frozenset(self._known)
        self._rejects.append(checked.rejects.where(lambda row, field: (row, field) not in known))
        self._known |= {(row, cause.partition(": ")[0]) for cause, rows in checked.rejects.rows.items() for row in rows}
        self.count(checked.quirks, symbol=series.symbol)

    def count(self, quirks: Sequence[Quirk], *, symbol: str = "") -> None:
        """Adds quirks. The rows of two adjustments of a symbol are the same rows, so they count once."""
        for quirk in quirks:
            one = (quirk.name, symbol)
            self._quirks[one] = max(self._quirks.get(one, 0), quirk.rows)

    def page(self, *, following: str | None = None) -> Page:
        """Returns the page; `following` is the vendor's name of the next one."""
        quirks: dict[str, int] = {}
        for (name, _), rows in self._quirks.items():
            quirks[name] = quirks.get(name, 0) + rows
        return Page(
            series=tuple(self._series),
            rejects=Rejects.together(*self._rejects),
            quirks=tuple(Quirk(name, rows) for name, rows in quirks.items()),
            next=following,
            counts=(*self._counts, *([SeriesCount("", "raw", "value", good=0, bad=self._strays)] if self._strays else [])),
        )
