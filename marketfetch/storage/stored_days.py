"""Which dates each series has a bar of that can't change any more, in bulk: 12,600,000 bars take a few seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

from marketfetch.schemas.timespans import Timespan, is_intraday
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
    """Yields each series with the dates of its final bars, as days since 1970, ascending, each once.

    `start_ms` is inclusive, `end_ms` exclusive. Weekly and monthly bars have the first date of their period. A series needs a
    zone. Series without such bars come too, with no dates. Raises StoreError.
    """
    import numpy as np

    sql = statements("sql/stored_days.sql", store.database.spelling)
    for intraday in (False, True):
        chosen = {one.number: one for one in series if is_intraday(cast("Timespan", one.timespan)) is intraday}
        statement = sql["distinct_hours" if intraday else "hours"]
        for numbers in _runs(sorted(chosen)):
            with store.database.unhurried():
                found = dict(store.database.read(statement, numbers[0], numbers[-1], start_ms, end_ms))
            for number in numbers:
                one = chosen[number]
                hours = np.fromstring(found.get(number, ""), dtype=np.int64, sep=",")
                yield one, _days(hours, one)


def _days(hours: Ints, series: StoredSeries) -> Ints:
    import numpy as np

    if not len(hours):
        return hours
    if np.any(hours[1:] < hours[:-1]):  # no database promises an order within an aggregate
        hours = np.sort(hours)
    dates = session_days(hours * _HOUR_MS, series.timespan, series.zone or "UTC")
    days: Ints = hours[:0] if dates is None else dates.astype(np.int64)
    return days[np.flatnonzero(np.diff(days, prepend=-1))]


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
