"""The integrity checks of every bar before it is stored: one pass per column, the same for all vendors.

A bad row becomes a reject with field, value and reason; the good rows of the same response pass. A known oddity that is no
error (a vwap outside the bar) counts as a quirk.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from marketfetch.schemas.bars import HIGHEST_PRICE, PRICE_COLUMNS, BarColumns, Flags, Ints
from marketfetch.schemas.page import Quirk
from marketfetch.schemas.rejects import MOST_KEPT, Reject, RejectBook, Rejects


@dataclass(frozen=True, slots=True)
class Range:
    """The requested range in Unix ms: `start_ms` inclusive, `end_ms` exclusive."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """The rows that passed, with the rejects and the quirks."""

    bars: BarColumns
    rejects: Rejects
    quirks: tuple[Quirk, ...]


def check_bars(
    bars: BarColumns,
    *,
    rows: Ints | None = None,
    asked: Range | None = None,
    required: tuple[str, ...] = ("open", "high", "low", "close"),
    symbol: str = "",
) -> Checked:
    """Checks bars in ascending order and splits them into good rows and rejects.

    `rows` gives each bar's row number in the reply (default: its position). `asked` None skips the range check.
    A row's reject has its first failed check. The cost is one vectorised pass; Python code runs only for kept rejects.
    """
    n = len(bars)
    rows = np.arange(n, dtype=np.int64) if rows is None else rows
    bad = np.zeros(n, dtype=np.bool_)
    book = RejectBook()

    def reject(failed: Flags, field: str, reason: str) -> None:
        fresh = failed & ~bad
        if not fresh.any():
            return
        bad[fresh] = True
        values = getattr(bars, field)
        where = np.flatnonzero(fresh)
        first = where[np.argsort(rows[where], kind="stable")[:MOST_KEPT]]
        kept = [
            Reject.of(int(rows[i]), field, "" if np.isnan(values[i]) else values[i].item(), reason, symbol=symbol)
            for i in first
        ]
        book.add_rows(f"{field}: {reason}", array("q", rows[where].tobytes()), kept)

    with np.errstate(invalid="ignore"):
        for name in required:
            reject(np.isnan(getattr(bars, name)), name, "required field is missing or not a number")
        for name in PRICE_COLUMNS:
            column = getattr(bars, name)
            reject((column <= 0) | np.isinf(column), name, "price is not finite and positive")
            reject(column > HIGHEST_PRICE, name, f"price is above {HIGHEST_PRICE:.0e}")
        reject(bars.low > np.fmin(bars.open, bars.close), "low", "low is above open or close")
        reject(bars.high < np.fmax(bars.open, bars.close), "high", "high is below open or close")
        reject(bars.low > bars.high, "low", "low is above high")
        for name in ("volume", "trades", "vwap"):
            column = getattr(bars, name)
            reject((column < 0) | np.isinf(column), name, f"{name} is negative or not finite")
        reject(~np.isnan(bars.trades) & (bars.trades != np.rint(bars.trades)), "trades", "trades is not a whole number")
        if asked is not None:
            reject((bars.ts < asked.start_ms) | (bars.ts >= asked.end_ms), "ts", "timestamp is outside the asked range")
        # The reference is the latest good bar before, so that one bad timestamp does not reject its neighbours.
        good_ts = np.where(bad, np.iinfo(np.int64).min, bars.ts)
        before = np.maximum.accumulate(np.concatenate(([np.iinfo(np.int64).min], good_ts[:-1]))) if n else bars.ts
        reject(bars.ts == before, "ts", "timestamp stands twice in this reply")
        reject(bars.ts < before, "ts", "timestamp is before its predecessor")
        kept = bars.take(~bad) if bad.any() else bars
        odd_vwap = int(np.count_nonzero((kept.vwap < kept.low) | (kept.vwap > kept.high)))

    quirks = (Quirk("vwap outside the bar", odd_vwap),) if odd_vwap else ()
    return Checked(bars=kept, rejects=book.rejects(), quirks=quirks)
