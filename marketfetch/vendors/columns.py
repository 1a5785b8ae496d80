"""Parses a vendor's texts and numbers into checked bars; each bad value becomes a reject with its row number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from marketfetch.schemas.bars import BarColumns, Floats, Ints
from marketfetch.schemas.integrity import Checked, Range, check_bars
from marketfetch.schemas.page import Quirk
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.times import day_start_ms, period_start


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """Bars in ascending order with their row numbers in the response, and the rejected rows."""

    bars: BarColumns
    rows: Ints
    rejects: Rejects

    def checked(self, *, asked: Range | None, required: tuple[str, ...], symbol: str) -> Checked:
        """Runs the checks of marketfetch/schemas/integrity.py; returns the rejects of both steps, by row."""
        checked = check_bars(self.bars, rows=self.rows, asked=asked, required=required, symbol=symbol)
        return Checked(bars=checked.bars, rejects=Rejects.together(self.rejects, checked.rejects), quirks=checked.quirks)

    def without(self, rejects: Rejects) -> Parsed:
        """Returns the bars without the rows of `rejects`, and without rejects."""
        bad = np.fromiter(rejects.bad_rows, dtype=np.int64)
        keep = ~np.isin(self.rows, bad)
        return Parsed(bars=self.bars.take(keep), rows=self.rows[keep], rejects=Rejects())


def parse(
    ts: Sequence[int | None],
    dates: Sequence[object],
    fields: Mapping[str, Sequence[object]],
    *,
    rows: Sequence[int],
    within: Range | None = None,
    symbol: str = "",
) -> Parsed:
    """Parses equally long sequences: `ts` (None where `dates` is unreadable) and a value per field and row.

    A value is a number, a text of a number, or absent ("" or None). Rows outside `within` are dropped and are no rejects, for
    vendors whose calls take no range. The bars are sorted by ts; equal ones keep the response's order.
    """
    #: The field and the reason of each bad row.
    bad: dict[int, tuple[str, str]] = {}
    row_numbers = np.array(rows, dtype=np.int64)
    for i, moment in enumerate(ts):
        if moment is None:
            bad[i] = ("ts", "not a date or time of this exchange")
    moments = np.array([0 if moment is None else moment for moment in ts], dtype=np.int64)
    columns: dict[str, Floats] = {}
    for name, values in fields.items():
        columns[name], wrong = _floats(values)
        for i in wrong:
            bad.setdefault(i, (name, "not a number"))
    keep = np.ones(len(moments), dtype=np.bool_)
    if within is not None:
        keep = (moments >= within.start_ms) & (moments < within.end_ms)
        bad = {i: one for i, one in bad.items() if keep[i] or ts[i] is None}
    keep[list(bad)] = False
    index = np.flatnonzero(keep)
    index = index[np.argsort(moments[index], kind="stable")]
    book = RejectBook()
    for i in sorted(bad):
        name, reason = bad[i]
        book.add(rows[i], name, dates[i] if name == "ts" else fields[name][i], reason, symbol=symbol)
    return Parsed(
        bars=BarColumns.build(moments, partial=None, **columns).take(index), rows=row_numbers[index], rejects=book.rejects()
    )


def asked_range(request: Request, timespan: Timespan, zone: str) -> Range | None:
    """Returns the request's range in Unix ms, from the start of its first week or month; None if the request has no range."""
    if request.start is None or request.end is None:
        return None
    return Range(
        start_ms=day_start_ms(period_start(request.start, timespan), zone),
        end_ms=day_start_ms(request.end + timedelta(days=1), zone),
    )


def both(first: Sequence[Quirk], second: Sequence[Quirk]) -> tuple[Quirk, ...]:
    """Adds up the quirks of two series by name."""
    counts: dict[str, int] = {}
    for quirk in (*first, *second):
        counts[quirk.name] = counts.get(quirk.name, 0) + quirk.rows
    return tuple(Quirk(name, rows) for name, rows in counts.items())


def _floats(values: Sequence[object]) -> tuple[Floats, list[int]]:
    """Returns the values as floats, NaN where absent, and the positions of the values that are no numbers."""
    column = np.full(len(values), np.nan)
    wrong = []
    for i, value in enumerate(values):
        if value is None or value == "" or value == "None":
            continue
        try:
            number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else np.nan
        except (ValueError, OverflowError):
            number = np.nan
        # float() also accepts "1_000" and "nan", which no vendor sends as a number.
        if number != number or (isinstance(value, str) and "_" in value):
            wrong.append(i)
        else:
            column[i] = number
    return column, wrong
