"""The integrity checks of every bar before it is stored: one pass per column, the same for all vendors.

A bad row becomes a reject with field, value and reason; the good rows of the same response pass. A known oddity that is no
error (a vwap outside the bar) counts as a quirk. What a price may be depends on its kind: see price_rules.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns, Flags, Ints
from marketfetch.schemas.page import Quirk
from marketfetch.schemas.price_rules import RULES, PriceKind
from marketfetch.schemas.rejects import MOST_KEPT, Reject, RejectBook, Rejects
from marketfetch.schemas.twins import Twins, find_twins

#: The reason of rows of one time that contradict each other.
TWINS_DIFFER = "two rows of one time differ"


@dataclass(frozen=True, slots=True)
class Range:
    """The requested range in Unix ms: `start_ms` inclusive, `end_ms` exclusive."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Where bars come from: their row `numbers` in the response, and the `moments` that the response gave them.

    A moment is a Unix time in ms before it was put on the start of the bar's period; None: `ts` itself. Bars from
    `open_from_ms` on may still change, None: not known.
    """

    numbers: Ints
    moments: Ints | None = None
    open_from_ms: int | None = None

    def take(self, index: Ints | Flags) -> Rows:
        """Returns the rows at `index`, in that order."""
        moments = None if self.moments is None else self.moments[index]
        return replace(self, numbers=self.numbers[index], moments=moments)


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """The rows that passed, ascending by `ts`, with the rejects and the quirks."""

    bars: BarColumns
    rejects: Rejects
    quirks: tuple[Quirk, ...]


def check_bars(
    bars: BarColumns,
    *,
    rows: Rows | None = None,
    asked: Range | None = None,
    required: tuple[str, ...] = ("open", "high", "low", "close"),
    kind: PriceKind = "traded",
    symbol: str = "",
) -> Checked:
    """Sorts bars, in any order, and splits them into good rows and rejects.

    `rows` None: each bar's row number is its position. `asked` None skips the range check. A row's reject has its first failed
    check. Identical rows of one time are one bar, of two versions of a bar that may still change the later one is kept, and
    other rows of one time are rejects. The cost is one vectorised pass; Python code runs only for kept rejects.
    """
    rows = rows or Rows(np.arange(len(bars), dtype=np.int64))
    if not _ascends(bars.ts):
        order = np.argsort(bars.ts, kind="stable")
        bars, rows = bars.take(order), rows.take(order)
    has_range = not all(np.isnan(getattr(bars, name)).all() for name in ("open", "high", "low"))
    bars, alone, zeros = _without_a_trade(bars, kind)
    checks = _Checks(bars, rows.numbers, symbol)
    with np.errstate(invalid="ignore"):
        _check_values(checks, required=required, kind=kind, alone=alone, zeros=zeros)
        if asked is not None:
            outside = (bars.ts < asked.start_ms) | (bars.ts >= asked.end_ms)
            checks.reject(outside, "ts", "timestamp is outside the asked range")
        twins = None if _ascends(bars.ts) else _check_twins(checks, rows)
        kept = bars.take(~checks.bad) if checks.bad.any() else bars
        odd_vwap = int(np.count_nonzero((kept.vwap < kept.low) | (kept.vwap > kept.high)))
    counts = {
        "vwap outside the bar": odd_vwap,
        # A series that has closes alone has no day without a trade.
        "day without a trade": int(np.count_nonzero(alone & ~checks.bad)) if has_range else 0,
        "open of 0": int(np.count_nonzero(zeros["open"] & ~alone & ~checks.bad)),
        "identical row": twins.identical if twins else 0,
        "earlier version of a bar": twins.earlier if twins else 0,
    }
    quirks = tuple(Quirk(name, count) for name, count in counts.items() if count)
    return Checked(bars=kept, rejects=checks.book.rejects(), quirks=quirks)


@dataclass(slots=True, eq=False)
class _Checks:
    """The checks of one series so far: `bad` rows, and the book of those that are rejects."""

    bars: BarColumns
    numbers: Ints
    symbol: str
    bad: Flags = field(init=False)
    book: RejectBook = field(default_factory=RejectBook)

    def __post_init__(self) -> None:
        self.bad = np.zeros(len(self.bars), dtype=np.bool_)

    def reject(self, failed: Flags, name: str, reason: str, others: Ints | None = None) -> None:
        """Rejects the rows that failed this check and none before. `others` has the row that each of them contradicts."""
        fresh = failed & ~self.bad
        if not fresh.any():
            return
        self.bad[fresh] = True
        values = getattr(self.bars, name)
        where = np.flatnonzero(fresh)
        first = where[np.argsort(self.numbers[where], kind="stable")[:MOST_KEPT]]
        kept = []
        for i in first:
            value = _text(values[i])
            if others is not None:
                value = f"{value or 'absent'}, in row {self.numbers[others[i]]} {_text(values[others[i]]) or 'absent'}"
            kept.append(Reject.of(int(self.numbers[i]), name, value, reason, symbol=self.symbol))
        self.book.add_rows(f"{name}: {reason}", array("q", self.numbers[where].tobytes()), kept)


def _check_values(
    checks: _Checks, *, required: tuple[str, ...], kind: PriceKind, alone: Flags, zeros: Mapping[str, Flags]
) -> None:
    bars, rule = checks.bars, RULES[kind]
    for name in required:
        absent = np.isnan(getattr(bars, name))
        missing = absent if name == "close" else absent & ~alone & ~zeros[name]
        checks.reject(missing, name, "required field is missing or not a number")
    if kind == "settlement":
        empty = (bars.open == 0) & (bars.high == 0) & (bars.low == 0) & (bars.close == 0)
        checks.reject(empty, "close", "all prices are 0")
    for name in PRICE_COLUMNS:
        column = getattr(bars, name)
        if rule.positive:
            checks.reject((column <= 0) | np.isinf(column), name, "price is not finite and positive")
        else:
            checks.reject(np.isinf(column), name, "price is not finite")
        if np.isfinite(rule.highest):
            checks.reject(column > rule.highest, name, f"price is above {rule.highest:.0e}")
    low_body = np.fmin(bars.open, bars.close) if rule.close_in_range else bars.open
    high_body = np.fmax(bars.open, bars.close) if rule.close_in_range else bars.open
    body = "open or close" if rule.close_in_range else "open"
    checks.reject(bars.low > low_body, "low", f"low is above {body}")
    checks.reject(bars.high < high_body, "high", f"high is below {body}")
    checks.reject(bars.low > bars.high, "low", "low is above high")
    for name in ("volume", "trades", "vwap"):
        column = getattr(bars, name)
        negative = column < 0 if rule.positive or name != "vwap" else np.zeros(len(bars), dtype=np.bool_)
        checks.reject(negative | np.isinf(column), name, f"{name} is negative or not finite")
    checks.reject(~np.isnan(bars.trades) & (bars.trades != np.rint(bars.trades)), "trades", "trades is not a whole number")


def _without_a_trade(bars: BarColumns, kind: PriceKind) -> tuple[BarColumns, Flags, dict[str, Flags]]:
    """The bars with absent prices where a 0 says so, the days of which only the close is known, and the zeros."""
    close_only = ~np.isnan(bars.close) & (bars.close != 0)
    for name in ("open", "high", "low"):
        column = getattr(bars, name)
        close_only &= np.isnan(column) | (column == 0)
    with np.errstate(invalid="ignore"):
        # A price of 0 outside the range of the others is none. A settlement may be negative, and its day go through 0.
        zeros = {"open": (bars.open == 0) & ((bars.low > 0) | (bars.high < 0))}
        if kind == "settlement":
            zeros["low"] = (bars.low == 0) & (bars.high > 0) & (bars.close > 0)
            zeros["high"] = (bars.high == 0) & (bars.low > 0)
            zeros["open"] |= (bars.open == 0) & (zeros["low"] | zeros["high"])
    for name in ("open", "high", "low"):
        zeros[name] = (zeros.get(name, close_only) | close_only) & (getattr(bars, name) == 0)
    changed = {name: where for name, where in zeros.items() if where.any()}
    if changed:
        bars = replace(bars, **{name: np.where(where, np.nan, getattr(bars, name)) for name, where in changed.items()})
    return bars, close_only, zeros


def _check_twins(checks: _Checks, rows: Rows) -> Twins:
    """Leaves one bar of a time. Raises nothing: rows that contradict each other are rejects."""
    good = np.flatnonzero(~checks.bad)
    twins = find_twins(checks.bars, good, moments=rows.moments, numbers=rows.numbers, open_from_ms=rows.open_from_ms)
    checks.bad[twins.dropped] = True
    for name, (where, others) in twins.different.items():
        failed, other = np.zeros(len(checks.bad), dtype=np.bool_), np.zeros(len(checks.bad), dtype=np.int64)
        failed[where], other[where] = True, others
        checks.reject(failed, name, TWINS_DIFFER, other)
    shorter = np.zeros(len(checks.bad), dtype=np.bool_)
    shorter[twins.shorter] = True
    checks.reject(shorter, "ts", "its week or month has several rows: these are bars of a shorter timespan")
    return twins


def _ascends(ts: Ints) -> bool:
    return bool(np.all(ts[1:] > ts[:-1]))


def _text(value: np.float64 | np.int64) -> object:
    return "" if np.isnan(value) else value.item()
