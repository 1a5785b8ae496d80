"""Parses a vendor's texts and numbers into checked bars; each bad value becomes a reject with its row number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from marketfetch.schemas.bars import BarColumns, Floats, Ints
from marketfetch.schemas.integrity import Checked, Range, Rows, check_bars
from marketfetch.schemas.price_rules import PriceKind
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import LONGEST_MS, Timespan
from marketfetch.vendors.absence import is_absent
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import http_date
from marketfetch.vendors.times import day_start_ms, period_start, unix_ms

_OUR_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_NONE: Final[Mapping[tuple[int, str], str]] = MappingProxyType({})
#: How many words of one field are remembered; rejects of one reason are kept a hundred.
_MOST_WORDS: Final = 1_000
#: Values that are read together, and one by one where one of them is unusual.
_PART: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """Bars in the response's order with their rows in it, and the rejected rows.

    `words` has what the response wrote for an absent value, by row and field: a reject quotes it where the value is required.
    """

    bars: BarColumns
    rows: Rows
    rejects: Rejects
    words: Mapping[tuple[int, str], str] = field(default_factory=lambda: _NONE)

    def checked(
        self,
        *,
        asked: Range | None,
        required: tuple[str, ...],
        symbol: str,
        kind: PriceKind = "traded",
        names: Mapping[str, str] = _OUR_NAMES,
    ) -> Checked:
        """Runs the checks of marketfetch/schemas/integrity.py; returns the rejects of both steps, by row.

        `names` gives the vendor's own name of each of our fields, and of "ts": rejects name a field that the response has.
        """
        checked = check_bars(self.bars, rows=self.rows, asked=asked, required=required, kind=kind, symbol=symbol)
        found = checked.rejects.worded(lambda one: replace(one, value=self.words.get((one.row, one.field), one.value)), str)
        rejects = Rejects.together(self.rejects, found).renamed(names)
        return Checked(bars=checked.bars, rejects=rejects, quirks=checked.quirks)

    def without(self, rejects: Rejects) -> Parsed:
        """Returns the bars without the rows of `rejects`, and without rejects."""
        bad = np.fromiter(rejects.bad_rows, dtype=np.int64)
        keep = ~np.isin(self.rows.numbers, bad)
        return Parsed(bars=self.bars.take(keep), rows=self.rows.take(keep), rejects=Rejects(), words=self.words)


def parse(
    ts: Sequence[int | None] | Ints,
    dates: Sequence[object],
    fields: Mapping[str, Sequence[object] | Floats],
    *,
    rows: Sequence[int],
    within: Range | None = None,
    moments: Sequence[int | None] | Ints | None = None,
    open_from_ms: int | None = None,
    symbol: str = "",
) -> Parsed:
    """Parses equally long sequences: `ts` (None where `dates` is unreadable) and a value per field and row.

    What is an array already has no bad value, and NaN where one is absent. Any other value is a number, a text of a number, or
    absent (see absence.py). Rows outside `within` are dropped and are no rejects, for vendors whose calls take no range.
    `moments` and `open_from_ms` are those of `Rows`.
    """
    #: The field and the reason of each bad row.
    bad: dict[int, tuple[str, str]] = {}
    for i in _absent(ts):
        bad[i] = ("ts", "not a date or time of this exchange")
    starts = _ints(ts)
    columns: dict[str, Floats] = {}
    words: dict[tuple[int, str], str] = {}
    for name, values in fields.items():
        columns[name], wrong, absent = _floats(values)
        for i in wrong:
            bad.setdefault(i, (name, "not a number"))
        words |= {(rows[i], name): str(values[i]) for i in absent}
    keep = np.ones(len(starts), dtype=np.bool_)
    if within is not None:
        keep = (starts >= within.start_ms) & (starts < within.end_ms)
        bad = {i: one for i, one in bad.items() if keep[i] or ts[i] is None}
    keep[list(bad)] = False
    book = RejectBook()
    for i in sorted(bad):
        name, reason = bad[i]
        book.add(rows[i], name, dates[i] if name == "ts" else fields[name][i], reason, symbol=symbol)
    where = Rows(np.fromiter(rows, dtype=np.int64, count=len(rows)), None if moments is None else _ints(moments), open_from_ms)
    bars = BarColumns.build(starts, partial=None, **columns)
    if not keep.all():
        bars, where = bars.take(keep), where.take(keep)
    return Parsed(bars=bars, rows=where, rejects=book.rejects(), words=words)


def asked_range(request: Request, timespan: Timespan, zone: str) -> Range | None:
    """Returns the request's range in Unix ms, from the start of its first week or month; None if the request has no range."""
    if request.start is None or request.end is None:
        return None
    return Range(
        start_ms=day_start_ms(period_start(request.start, timespan), zone),
        end_ms=day_start_ms(request.end + timedelta(days=1), zone),
    )


def open_from(reply: HttpReply, timespan: Timespan) -> int | None:
    """Returns from which `ts` on a bar was not over when the vendor replied; None where the response has no Date."""
    replied = http_date(reply.headers.get("date", ""))
    return None if replied is None else unix_ms(replied) - LONGEST_MS[timespan] + 1


def _absent(ts: Sequence[int | None] | Ints) -> list[int]:
    return [] if isinstance(ts, np.ndarray) or None not in ts else [i for i, moment in enumerate(ts) if moment is None]


def _ints(values: Sequence[int | None] | Ints) -> Ints:
    if isinstance(values, np.ndarray):
        return values
    return np.array([0 if value is None else value for value in values], dtype=np.int64)


def _floats(values: Sequence[object] | Floats) -> tuple[Floats, list[int], list[int]]:
    """Returns the values as floats, NaN where absent; the positions of what is no number, and of words for absence."""
    if isinstance(values, np.ndarray):
        return values, [], []
    parts: list[Floats] = []
    wrong: list[int] = []
    absent: list[int] = []
    for start in range(0, len(values), _PART):
        part = values[start : start + _PART]
        clean = _clean_floats(part)
        if clean is None:
            clean, its_wrong, its_absent = _floats_one_by_one(part)
            wrong += [start + i for i in its_wrong]
            absent += [start + i for i in its_absent]
        parts.append(clean)
    return np.concatenate(parts) if parts else np.empty(0), wrong, absent[:_MOST_WORDS]


def _clean_floats(values: Sequence[Any]) -> Floats | None:
    """What `_floats_one_by_one` makes of values all of which are numbers, or all of which are texts of numbers; else None."""
    types = set(map(type, values))
    try:
        if types == {str}:
            found = np.fromiter(map(float, values), dtype=np.float64, count=len(values))
            if "_" in "".join(values):
                return None
        elif types <= {float, int}:
            found = np.fromiter(values, dtype=np.float64, count=len(values))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return None if np.isnan(found).any() else found


def _floats_one_by_one(values: Sequence[object]) -> tuple[Floats, list[int], list[int]]:
    column = np.full(len(values), np.nan)
    wrong: list[int] = []
    absent: list[int] = []
    for i, value in enumerate(values):
        if is_absent(value):
            if value and isinstance(value, str):
                absent.append(i)
            continue
        try:
            number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else np.nan
        except (ValueError, OverflowError):
            number = np.nan
        # float() also accepts "1_000", which no vendor sends as a number.
        if number != number or (isinstance(value, str) and "_" in value):
            wrong.append(i)
        else:
            column[i] = number
    return column, wrong, absent
