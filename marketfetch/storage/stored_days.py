"""Which dates and minutes each series has a bar of that can't change any more, in bulk: 12,600,000 bars take a few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

from marketfetch.schemas.timespans import LONGEST_MS, Timespan
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store
from marketfetch.storage.stored_series import StoredSeries

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Ints  # imports numpy

_HOUR_MS: Final = 3_600_000
#: Series in one statement: the text of their hours is some 20 kB for ten years of daily bars.
_MOST_SERIES: Final = 250
#: Series between two asked ones that are read too, rather than in another statement.
_NEAR: Final = 8
#: Of bars shorter than a session in one statement, if the market never closed: nine bytes each, as text.
_MOST_BARS: Final = 6_000_000
#: Before and after all that both databases can name.
_EARLIEST_MS: Final = -62_135_596_800_000
_LATEST_MS: Final = 253_402_300_799_000


def ends(store: Store) -> dict[int, tuple[int | None, int | None]]:
    """By the number of a series: its first bar, and its last one that is final, as Unix ms. Raises StoreError."""
    sql = statements("sql/stored_days.sql", store.database.spelling)
    return {number: (first, last) for number, first, last in store.database.read(sql["ends"])}


def stored_days(
    store: Store, series: Sequence[StoredSeries], *, start_ms: int = _EARLIEST_MS, end_ms: int = _LATEST_MS
) -> Iterator[tuple[StoredSeries, Ints]]:
    """Yields each series of daily or longer bars with the dates of its final bars, as days since 1970, ascending, each once.

    `start_ms` is inclusive, `end_ms` exclusive. Weekly and monthly bars have the first date of their period. A series needs a
    zone. Series without such bars come too, with no dates. Raises StoreError.
    """
    sql = statements("sql/stored_days.sql", store.database.spelling)
    chosen = {one.number: one for one in series}
    for numbers in _runs(sorted(chosen)):
        found = _texts(store, sql["hours"], numbers, start_ms, end_ms)
        for number in numbers:
            yield chosen[number], days_of(_ascending(found.get(number, "")) * _HOUR_MS, chosen[number])


def stored_minutes(
    store: Store, series: Sequence[StoredSeries], *, start_ms: int = _EARLIEST_MS, end_ms: int = _LATEST_MS
) -> Iterator[tuple[StoredSeries, Ints]]:
    """Yields each series of bars shorter than a session with the starts of its final bars, in minutes since 1970, ascending.

    Otherwise as `stored_days`. One series at a time is in memory, of shorter ones as many as have some millions of bars.
    """
    sql = statements("sql/stored_days.sql", store.database.spelling)
    chosen = {one.number: one for one in series}
    bounds = ends(store)

    def most_bars(number: int) -> int:
        first_ms, last_ms = bounds.get(number, (None, None))
        if first_ms is None or last_ms is None:
            return 0
        span_ms = min(last_ms, end_ms) - max(first_ms, start_ms)
        return max(0, span_ms) // LONGEST_MS[cast("Timespan", chosen[number].timespan)]

    for numbers in _small_runs(sorted(chosen), most_bars):
        found = _texts(store, sql["minutes"], numbers, start_ms, end_ms)
        for number in numbers:
            yield chosen[number], _ascending(found.pop(number, ""))


def days_of(ts: Ints, series: StoredSeries) -> Ints:
    """The dates of sessions of ascending moments (Unix ms), as days since 1970, each once."""
    import numpy as np

    if not len(ts):
        return ts
    dates = session_days(ts, series.timespan, series.zone or "UTC")
    days: Ints = ts[:0] if dates is None else dates.astype(np.int64)
    return days[np.flatnonzero(np.diff(days, prepend=-1))]


def _texts(store: Store, statement: str, numbers: Sequence[int], start_ms: int, end_ms: int) -> dict[int, str]:
    with store.database.unhurried():
        return dict(store.database.read(statement, numbers[0], numbers[-1], start_ms, end_ms))


def _ascending(text: str) -> Ints:
    import numpy as np

    found: Ints = np.fromstring(text, dtype=np.int64, sep=",")
    # No database promises an order within an aggregate.
    return np.sort(found) if np.any(found[1:] < found[:-1]) else found


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    """The numbers, ascending, in runs that are worth one statement each."""
    run: list[int] = []
    for number in numbers:
        if run and (len(run) >= _MOST_SERIES or number - run[-1] > _NEAR):
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _small_runs(numbers: Sequence[int], bars: Callable[[int], int]) -> Iterator[list[int]]:
    """The same of series with many bars: none that is not asked for is read, and each run has some millions of them."""
    run: list[int] = []
    together = 0
    for number in numbers:
        if run and (number != run[-1] + 1 or together + bars(number) > _MOST_BARS):
            yield run
            run, together = [], 0
        run.append(number)
        together += bars(number)
    if run:
        yield run
