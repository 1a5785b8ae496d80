"""Stored bars in parts, for a client of any pace: each part is a query of its own, and nothing is held between two of them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from marketfetch.exceptions import AdjustmentWarning
from marketfetch.frames.adjusted_bars import adjusted_columns, last_ms
from marketfetch.frames.adjusting import known_actions, read_adjust, tell_of_stale
from marketfetch.frames.bar_frames import checked_columns
from marketfetch.frames.choosing import one_of_each, wish
from marketfetch.frames.stored_bars import found, reading, spans
from marketfetch.storage.reading_back import first_bars

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarColumns
    from marketfetch.storage.stored_series import StoredSeries

#: Bars in a part: a few MB as JSON.
PART: Final = 16_384
#: Python's filters of warnings are those of the process.
_WARNINGS: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class BarsWish:
    """The arguments of `marketfetch.bars`."""

    symbols: Sequence[str]
    start: str | None = None
    end: str | None = None
    timespan: str = "1d"
    provider: str | None = None
    adjustment: str | None = None
    adjust: str | None = None
    as_of: str | None = None
    columns: Sequence[str] | None = None


class BarReader:
    """The bars of a wish, by symbol and time. For one thread at a time. `notes`: doubts about adjusted prices so far.

    `close` may come while a thread reads a part, whose client has gone: what is open is then closed behind that part.
    """

    def __init__(self, asked: BarsWish) -> None:
        """Finds the series. Raises BadRequestError, UnavailableError."""
        self.notes: dict[str, None] = {}
        self._reads, self._ended = threading.Lock(), False
        self.columns = checked_columns(asked.columns)
        self._by, adjustment = read_adjust(asked.adjust, asked.as_of, asked.adjustment)
        meant = wish(
            asked.symbols, timespan=asked.timespan, provider=asked.provider, adjustment=adjustment, written="{name}={value}"
        )
        with ExitStack() as stack:
            self._store = stack.enter_context(reading())
            series = one_of_each(meant, found(self._store, meant))
            ranges = spans(series, asked.start, asked.end)
            with self._doubts():
                if self._by:
                    known_actions(self._store, series, self._by)  # whatever is missing is said before the first bar
                elif any(one.adjustment != "raw" for one in series):
                    tell_of_stale(self._store, series)
            self._left = [(one, start, end) for one, (_, start, end) in zip(series, ranges, strict=True)]
            self._opened = stack.pop_all()

    def part(self) -> tuple[StoredSeries, BarColumns] | None:
        """The next bars, of one series; None behind the last one. Raises StoreError, BadRequestError."""
        try:
            with self._reads:
                return None if self._ended else self._next()
        finally:
            if self._ended:
                self.close()

    def close(self) -> None:
        self._ended = True
        if self._reads.acquire(blocking=False):
            try:
                self._opened.close()
            finally:
                self._reads.release()

    def _next(self) -> tuple[StoredSeries, BarColumns] | None:
        while self._left:
            one, start, end = self._left.pop(0)
            if self._by:
                end = min(end or last_ms(one, self._by), last_ms(one, self._by))
            of_series = (one.provider, one.symbol, one.timespan, one.adjustment)
            bars = first_bars(self._store, *of_series, PART, start_ms=start, end_ms=end)
            if len(bars.ts) == PART:
                self._left.insert(0, (one, int(bars.ts[-1]) + 1, end))
            if not len(bars.ts):
                continue
            if not self._by:
                return one, bars
            with self._doubts():
                return replace(one, adjustment=self._by.adjustment), adjusted_columns(self._store, one, bars, self._by)
        return None

    @contextmanager
    def _doubts(self) -> Iterator[None]:
        """Keeps what the block warns of as notes."""
        with _WARNINGS, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AdjustmentWarning)
            yield
        self.notes |= dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, AdjustmentWarning))
