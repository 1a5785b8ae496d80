"""Which series are behind their calendar, and by how many sessions: what `marketfetch status --freshness` reports."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from marketfetch.ops.asked_series import Asked, asked_of, by_series
from marketfetch.ops.ended_listings import words_of
from marketfetch.ops.gap_reasons import runs
from marketfetch.ops.series_calendars import SeriesCalendar, SeriesCalendars
from marketfetch.printable import printable
from marketfetch.storage.action_knowledge import ADJUSTED_FOR
from marketfetch.storage.asked_ranges import EVERY_SYMBOL, asked_ranges
from marketfetch.storage.listing_ends import listing_ends
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.store import Store
from marketfetch.storage.stored_actions import action_lists
from marketfetch.storage.stored_days import ends
from marketfetch.storage.stored_series import StoredSeries, stored_series
from marketfetch.storage.vendor_adjusted import StaleSeries, stale_series
from marketfetch.vendors.expected_days import date_of
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES

#: A listing ends so near to its last bar: over a weekend and holidays. A farther day is that of another listing of the symbol.
_A_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Stale:
    """A series whose last final bar is `sessions` sessions behind the last one that is final by its calendar.

    `last` is the date of that bar, None where each stored bar may still change; `due` the date of that session. For weekly and
    monthly bars these are the first dates of periods. `vendor_has_none`: a final reply has covered each of the sessions, latest
    at `none_at_ms` (Unix ms), and had no bar: the listing has ended, or the vendor has stopped. `listing` is what the vendor's
    lists say of a symbol that is not listed any more, a clause, "" for nothing; `delisted`: it says that the listing ended
    before all of these sessions.
    """

    provider: str
    symbol: str
    timespan: str
    adjustment: str
    last: date | None
    due: date
    sessions: int
    vendor_has_none: bool
    none_at_ms: int = 0
    listing: str = ""
    delisted: bool = False

    @property
    def over(self) -> bool:
        """True if the vendor has no more: no call brings these sessions."""
        return self.vendor_has_none or self.delisted


@dataclass(slots=True)
class Freshness:
    """The stale series, worst first; how many are not; and sentences about what could not be compared.

    `adjusted`: those, of any date, that their vendor adjusted before an action that is known now.
    """

    stale: list[Stale] = field(default_factory=list)
    adjusted: list[StaleSeries] = field(default_factory=list)
    fresh: int = 0
    notes: list[str] = field(default_factory=list)


def freshness(store: Store, *, at_ms: int | None = None) -> Freshness:
    """Compares the last bar of each stored series with its calendar at `at_ms` (Unix ms; None: now). Raises StoreError."""
    now_ms = _now_ms() if at_ms is None else at_ms
    calendars, asked = SeriesCalendars(now_ms), by_series(asked_ranges(store))
    bounds, found = ends(store), Freshness(adjusted=stale_series(store, now_ms))
    of_exchanges: list[StoredSeries] = []
    for one in stored_series(store):
        of_series = asked_of((one.provider, one.symbol, one.timespan, one.adjustment), asked)
        calendar = calendars.of(one, of_series.dataset)
        first_ms, last_ms = bounds.get(one.number, (None, None))
        if calendar is None or first_ms is None:
            continue
        if one.adjustment in ADJUSTED_FOR and calendar.finality.calendar not in (EVERY_DAY, WEEK_OF_CURRENCIES):
            of_exchanges.append(one)
        zoned = one if one.zone else replace(one, zone=calendar.zone)
        last = None if last_ms is None else _day(last_ms, zoned)
        behind = _behind(zoned, last, _day(first_ms, zoned), calendar, of_series)
        if behind is None:
            found.fresh += 1
        else:
            found.stale.append(behind)
    found.stale = _with_listings(store, found.stale)
    found.stale.sort(key=lambda one: (one.over, -one.sessions, one.symbol, one.provider, one.timespan))
    found.notes = [*calendars.sentences(), *_without_lists(store, of_exchanges)]
    return found


def _with_listings(store: Store, stale: Sequence[Stale]) -> list[Stale]:
    """The same, with what the vendors' lists say of the symbols that are not listed any more."""
    ends = listing_ends(store, (one.symbol for one in stale))
    found = []
    for one in stale:
        end = ends.get((one.provider, one.symbol))
        last_day = None if end is None else end.last_day
        over = last_day is not None and one.last is not None and abs(one.last - last_day) <= _A_WEEK
        found.append(one if end is None else replace(one, listing=words_of(end), delisted=over))
    return found


def _without_lists(store: Store, adjusted: Sequence[StoredSeries]) -> Iterator[str]:
    """Says of which series that their vendor has adjusted no split can be known, and so no stale day."""
    if not adjusted:
        return
    names = [EVERY_SYMBOL, *sorted({one.symbol for one in adjusted})]
    have = {symbol for _, dataset, symbol in action_lists(store, names) if dataset == "splits"}
    lacking = {one.symbol: one.provider for one in adjusted if not {one.symbol, EVERY_SYMBOL} & have}
    if not lacking:
        return
    symbol = next(iter(lacking))
    more = f" and of {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
    words = f"{lacking[symbol]} {printable(symbol, most=40)}{' ...' if more else ''} --dataset splits"
    yield (
        f"The splits of {printable(symbol, most=40)}{more} were never fetched, so whether their adjusted prices are stale "
        f"is not known: `marketfetch fetch {words}`."
    )


def _now_ms() -> int:
    """Unix ms. Tests replace it."""
    return time.time_ns() // 1_000_000


def _behind(one: StoredSeries, last: int | None, first: int, calendar: SeriesCalendar, asked: Asked) -> Stale | None:
    """What a series lacks behind its last final bar, or from its first bar on if none is final; None if it lacks nothing."""
    import numpy as np

    due = calendar.sessions(first if last is None else last + 1, calendar.last_final)
    if not len(due):
        return None
    gaps = list(runs(due, np.zeros(0, dtype=np.int64), asked.known, first_bar=None))
    none = all(gap.known is not None and gap.known.why == "vendor has none" for gap in gaps)
    return Stale(
        provider=one.provider,
        symbol=one.symbol,
        timespan=one.timespan,
        adjustment=one.adjustment,
        last=None if last is None else date_of(last),
        due=date_of(int(due[-1])),
        sessions=len(due),
        vendor_has_none=none,
        none_at_ms=max(gap.known.at_ms for gap in gaps if gap.known is not None) if none else 0,
    )


def _day(ts_ms: int, series: StoredSeries) -> int:
    import numpy as np

    days = session_days(np.array([ts_ms], dtype=np.int64), series.timespan, series.zone or "UTC")
    assert days is not None
    return int(days[0])
