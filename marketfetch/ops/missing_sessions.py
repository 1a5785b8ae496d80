"""Which sessions, and stretches of sessions, have no stored bar, and why: what `marketfetch gaps` reports."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Final, cast

from marketfetch.exceptions import BadRequestError
from marketfetch.ops.asked_series import Asked, Key, asked_of, by_series, with_names
from marketfetch.ops.ended_listings import sentences_of_ends
from marketfetch.ops.gap_reasons import Run, Why, runs
from marketfetch.ops.missing_minutes import Stretch, for_sessions, shortest_session, stretches
from marketfetch.ops.series_calendars import SeriesCalendar, SeriesCalendars
from marketfetch.phrases import counted
from marketfetch.printable import printable
from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.storage.asked_ranges import EVERY_SYMBOL, asked_ranges
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.store import Store
from marketfetch.storage.stored_days import days_of, ends, stored_days, stored_minutes
from marketfetch.storage.stored_series import StoredSeries, stored_series
from marketfetch.storage.value_columns import changed_columns
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.expected_days import date_of, unix_day

if TYPE_CHECKING:
    from marketfetch.schemas.bars import Ints  # imports numpy

_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000
#: Liquid stocks trade in each minute, others not for an hour.
STRETCH_MINUTES: Final = 30
#: Longer than any period of a bar.
_A_PERIOD: Final = 40
_MOST_SHOWN: Final = 40
#: Of a series that has no bar.
_NO_NUMBER: Final = -1


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which series to look at, and between which dates, both inclusive; None leaves it open.

    Without `start` the first date is that of a series' first bar or of what was asked, whichever is earlier; without `end` the
    last one likewise. Empty replies from before the first bar lead to no earlier date: the listing began later. A session that
    is not final yet is never missing. Of a session that has a bar, stretches without one count from `stretch_minutes` on, those
    outside of the regular hours with `extended` alone.

    `due`: each series from its first bar on, if that is later than `start`, up to the last session that is final by its
    calendar, also behind its last bar; a series without a bar lacks nothing then.
    """

    provider: str | None = None
    symbols: Collection[str] | None = None
    timespan: str | None = None
    adjustment: str | None = None
    start: date | None = None
    end: date | None = None
    stretch_minutes: int = STRETCH_MINUTES
    extended: bool = False
    due: bool = False

    def takes(self, key: Key) -> bool:
        provider, symbol, timespan, adjustment = key
        return (
            symbol != EVERY_SYMBOL
            and self.provider in (None, provider)
            and (self.symbols is None or symbol in self.symbols)
            and self.timespan in (None, timespan)
            and (self.adjustment is None or adjustment in ("", self.adjustment))
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """Sessions in a row without a bar, from `first` to `last`; of weekly and monthly bars the first days of the periods.

    `reason` and `at_ms` (Unix ms) say more: of a failure, of the rejects, or when the vendor was asked and had none.
    """

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str
    first: date
    last: date
    sessions: int
    why: Why
    reason: str = ""
    at_ms: int = 0


@dataclass(slots=True)
class Found:
    """The gaps by symbol and date, how many series and sessions were compared, and sentences about what could not be.

    `stretches`: what is missing of sessions that have a bar, of bars shorter than a session. `outside`: how many sessions have
    such stretches outside of the regular hours, where these were not asked for.
    """

    gaps: list[Gap] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    outside: int = 0
    series: int = 0
    sessions: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[Gap | Stretch]:
        return [*self.gaps, *self.stretches]


def find(store: Store, chosen: Chosen, *, at_ms: int | None = None) -> Found:
    """Compares the stored bars with the calendars at `at_ms` (Unix ms; None: now). Raises BadRequestError, StoreError."""
    calendars = SeriesCalendars(time.time_ns() // 1_000_000 if at_ms is None else at_ms)
    asked = with_names(by_series(asked_ranges(store)), store)
    stored = {(one.provider, one.symbol, one.timespan, one.adjustment): one for one in stored_series(store)}
    found = Found()
    _must_be_known(chosen, {key[1] for key in (*stored, *asked)})
    compared: list[StoredSeries] = []
    known: dict[Key, tuple[SeriesCalendar, Asked]] = {}
    for key in filter(chosen.takes, {**stored, **dict.fromkeys(asked)}):
        if not key[3] and any((*key[:3], one) in stored for one in ("raw", "split", "split_dividend")):
            continue  # a wish that named no adjustment is one of these
        one = stored.get(key) or StoredSeries(_NO_NUMBER, *key)
        of_series = asked_of(key, asked)
        calendar = calendars.of(one, of_series.dataset)
        if calendar is not None:
            known[key] = calendar, of_series
            compared.append(one if one.zone else replace(one, zone=calendar.zone))
    first_bars = _first_bars(store, compared)
    for one, days, minutes in _days(store, compared, chosen):
        calendar, of_series = known[one.provider, one.symbol, one.timespan, one.adjustment]
        _compare(found, one, days, minutes, calendar, of_series, first_bars.get(one.number), chosen)
    found.gaps.sort(key=lambda gap: (gap.symbol, gap.provider, gap.timespan, gap.adjustment, gap.first))
    found.stretches.sort(key=lambda gap: (gap.symbol, gap.provider, gap.timespan, gap.adjustment, gap.begin_ms))
    ended = sentences_of_ends(store, {(gap.provider, gap.symbol) for gap in found.gaps})
    found.notes = [*calendars.sentences(), *ended, *_changed_tables(store, chosen)]
    return found


def _changed_tables(store: Store, chosen: Chosen) -> list[str]:
    """A sentence for each table that lacks a column: its sessions are there, and what the column held is not."""
    if chosen.symbols is not None:
        return []
    return [f"{one.sentence()}." for one in changed_columns(store) if chosen.provider in (None, one.provider)]


def _must_be_known(chosen: Chosen, symbols: set[str]) -> None:
    """Raises BadRequestError for a symbol that is not stored and was never asked for by a job."""
    unknown = sorted(set(chosen.symbols or ()) - symbols)
    if unknown:
        first = printable(unknown[0], most=_MOST_SHOWN)
        more = f" nor of {counted(len(unknown) - 1, 'other symbol')} that you named" if len(unknown) > 1 else ""
        meant = did_you_mean(unknown[0], symbols)
        raise BadRequestError(
            f"No bar of {first}{more} is stored, and no job has asked for one, so no session can be missing. "
            f"{meant}{' ' if meant else ''}`marketfetch fetch PROVIDER {first}` fetches it, if a vendor has it."
        )


def _first_bars(store: Store, series: list[StoredSeries]) -> dict[int, int]:
    """The date of the first bar of each series that has one, as days since 1970, by the series' number."""
    import numpy as np

    bounds, found = ends(store), {}
    for one in series:
        first_ms, _last_ms = bounds.get(one.number, (None, None))
        days = None if first_ms is None else session_days(np.array([first_ms], dtype=np.int64), one.timespan, one.zone)
        if days is not None:
            found[one.number] = int(days[0])
    return found


def _days(store: Store, series: list[StoredSeries], chosen: Chosen) -> Iterator[tuple[StoredSeries, Ints, Ints]]:
    """Each series with the dates of its bars, and with the minutes of those that are shorter than a session."""
    import numpy as np

    none = np.zeros(0, dtype=np.int64)
    within = {}
    if chosen.start is not None:
        within["start_ms"] = (unix_day(chosen.start) - _A_PERIOD) * _DAY_MS
    yield from ((one, none, none) for one in series if one.number == _NO_NUMBER)
    with_bars = [one for one in series if one.number != _NO_NUMBER]
    intraday = {one.number for one in with_bars if is_intraday(cast("Timespan", one.timespan))}
    for one, days in stored_days(store, [one for one in with_bars if one.number not in intraday], **within):
        yield one, days, none
    if chosen.end is not None:
        within["end_ms"] = (unix_day(chosen.end) + 2) * _DAY_MS  # midnight in UTC, and then in every zone
    for one, minutes in stored_minutes(store, [one for one in with_bars if one.number in intraday], **within):
        yield one, days_of(minutes * _MINUTE_MS, one), minutes


def _compare(
    found: Found,
    one: StoredSeries,
    days: Ints,
    minutes: Ints,
    calendar: SeriesCalendar,
    asked: Asked,
    first_bar: int | None,
    chosen: Chosen,
) -> None:
    """Adds the gaps of one series."""
    import numpy as np

    firsts = [known.first for known in asked.known if first_bar is None or known.why != "vendor has none"]
    firsts += [] if first_bar is None else [first_bar]
    lasts = [*([int(days[-1])] if len(days) else []), *(known.last for known in asked.known)]
    first = unix_day(chosen.start) if chosen.start else min(firsts, default=None)
    last = unix_day(chosen.end) if chosen.end else max(lasts, default=None)
    if chosen.due:
        first = None if first is None or first_bar is None else max(first, first_bar)
        last = calendar.last_final if chosen.end is None else last
    if first is None or last is None or first > last:
        return
    expected = calendar.sessions(first, last)
    found.series += 1
    found.sessions += len(expected)
    known = asked.known
    if is_intraday(calendar.timespan):
        among = days[np.isin(days, expected, assume_unique=True)]
        lacks = stretches(
            one,
            minutes,
            among,
            calendar,
            known,
            dataset=asked.dataset,
            first_bar=first_bar,
            least=chosen.stretch_minutes,
        )
        for stretch in lacks:
            if stretch.extended and not chosen.extended:
                found.outside += 1
            else:
                found.stretches.append(stretch)
        known = for_sessions(known, shortest_session(calendar, one.timespan, expected))
    gaps = runs(expected, days, known, first_bar=first_bar)
    if first_bar is None and not (chosen.start or chosen.end):
        # Nothing says that the series was there between two dates that were asked for.
        gaps = (run for run in gaps if run.known is not None)
    found.gaps += [_gap(one, asked.dataset, run) for run in gaps]


def _gap(one: StoredSeries, dataset: str, run: Run) -> Gap:
    known = run.known
    return Gap(
        provider=one.provider,
        dataset=dataset,
        symbol=one.symbol,
        timespan=one.timespan,
        adjustment=one.adjustment,
        first=date_of(run.first),
        last=date_of(run.last),
        sessions=run.sessions,
        why="never asked" if known is None else known.why,
        reason="" if known is None else known.reason,
        at_ms=0 if known is None else known.at_ms,
    )
