"""`marketfetch doctor`: one ordered scan of the stored daily bars, series by series, for what is suspicious in them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

from marketfetch.exceptions import BadRequestError
from marketfetch.extras import need
from marketfetch.frames import series_checks
from marketfetch.frames.choosing import Wish, wish
from marketfetch.frames.series_checks import Bounds, Calendar, DailyBars, SeriesFinding
from marketfetch.frames.stored_bars import arrow, found, reading
from marketfetch.ops.asked_series import Asked, Key, asked_of, by_series
from marketfetch.ops.series_calendars import SeriesCalendars
from marketfetch.schemas.bars import Ints
from marketfetch.storage.arrow_reading import ArrowSource
from marketfetch.storage.asked_ranges import asked_ranges
from marketfetch.storage.price_checks import Splits, fetched_before, splits
from marketfetch.storage.session_dates import session_days
from marketfetch.storage.store import Store
from marketfetch.storage.stored_series import StoredSeries
from marketfetch.storage.value_columns import changed_columns
from marketfetch.storage.vendor_adjusted import stale_series
from marketfetch.vendors.dataset_names import vendors_with
from marketfetch.vendors.expected_days import expected_days
from marketfetch.vendors.times import day_start_ms
from marketfetch.vendors.trading_days import WEEK_OF_CURRENCIES

_COLUMNS: Final = ("ts", "open", "high", "low", "close", "volume", "vwap")
_SUNDAY: Final = 6
_RENAMED: Final = (
    "Perhaps it has a new name. Rows of values have it in the cells of `value_rows`: read both names where a query names it. "
    "Bars have nothing of it until the mapping of the table, or a release of marketfetch, names it"
)
#: Calendars are read in blocks of so many days, which all series share.
_BLOCK: Final = 4_096
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class DataFinding:
    """A finding and the series that it is about; `adjustment` is "" where it is about a symbol's splits."""

    provider: str
    symbol: str
    adjustment: str
    finding: SeriesFinding


@dataclass(frozen=True, slots=True)
class Examined:
    """What a scan saw: `findings` by vendor, symbol, adjustment and date."""

    series: int
    bars: int
    findings: list[DataFinding]

    @property
    def errors(self) -> int:
        return sum(one.finding.level == "error" for one in self.findings)


def examine(
    symbols: Sequence[str] | None = None,
    *,
    provider: str | None = None,
    bounds: Bounds | None = None,
    stop_sessions: int = 10,
    told: Callable[[str], object] | None = None,
) -> Examined:
    """Scans the daily bars of these symbols (None: of all). Memory holds about a hundred series.

    `stop_sessions`: how far a series may end before the vendor's latest bar. `told` hears what of a
    universe can't be used. Raises BadRequestError, UnavailableError.
    """
    need("pyarrow", for_what="`marketfetch doctor`")
    asked = wish(symbols, timespan="1d", provider=provider, adjustment=None, written="--{name} {value}", told=told)
    findings: list[DataFinding] = []
    latest: dict[str, int] = {}
    lasts: list[tuple[StoredSeries, int, str | None]] = []
    total = 0
    with reading() as store:
        findings += _of_tables(store, asked)
        try:
            series, known = found(store, asked), splits(store)
        except BadRequestError:
            if not findings:
                raise
            return Examined(0, 0, findings)  # a table of values is named, or nothing else is stored
        findings += _of_splits(known, {(one.provider, one.symbol) for one in series})
        now_ms = time.time_ns() // 1_000_000
        calendars, asked_before = SeriesCalendars(now_ms), by_series(asked_ranges(store))
        # Before the scan: in one process no second connection to a SQLite file is used while ADBC has it open.
        findings += list(_stale(store, series, symbols, now_ms))
        uncovered = [one for one in series if (one.provider, one.symbol, one.timespan, one.adjustment) not in asked_before]
        findings += [_about(one, finding) for one in uncovered for finding in _outdated(store, one, _splits_of(known, one))]
        with arrow(store) as source:
            for one, bars in _each(source, series):
                total += len(bars.days)
                calendar = _calendar(one, calendars, asked_before)
                lasts.append((one, int(bars.days[-1]), calendar))
                latest[one.provider] = max(latest.get(one.provider, 0), int(bars.days[-1]))
                checks = series_checks.check(
                    bars,
                    adjusted=one.adjustment != "raw",
                    splits={(day - _EPOCH).days: ratio for day, ratio in _splits_of(known, one)},
                    calendar=_days_of(calendar, int(bars.days[0]), int(bars.days[-1])),
                    bounds=bounds or Bounds(),
                )
                findings += [_about(one, finding) for finding in checks]
    for one, last, calendar in lasts:
        until = latest[one.provider]
        behind = 0 if calendar is None else len(expected_days(calendar, "1d", last + 1, until))
        if behind > stop_sessions:
            findings.append(_about(one, series_checks.stopped(last, until, behind)))
    findings.sort(key=lambda one: (one.provider, one.symbol, one.adjustment, one.finding.first, one.finding.kind))
    return Examined(len(lasts), total, findings)


def daily_bars(store: Store, one: StoredSeries) -> DailyBars | None:
    """The bars of one series by date; None without one. Raises StoreError."""
    with arrow(store) as source:
        return next((bars for _, bars in _each(source, [one])), None)


def _each(source: ArrowSource, series: Sequence[StoredSeries]) -> Iterator[tuple[StoredSeries, DailyBars]]:
    """The bars of each series that has some, in order; those of one series may come in several batches."""
    parts: list[list[np.ndarray]] = []
    current = -1
    for batch in source.batches([(one.number, None, None) for one in series], _COLUMNS):
        number = batch.column("n").to_numpy(zero_copy_only=False)
        values = [batch.column("ts").cast("int64").to_numpy(zero_copy_only=False)]
        values += [batch.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS[1:]]
        edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]
        for first, end in pairwise(edges):
            if (n := int(number[first])) != current:
                if parts:
                    yield series[current], _joined(parts, series[current])
                parts, current = [], n
            parts.append([column[first:end] for column in values])
    if parts:
        yield series[current], _joined(parts, series[current])


def _joined(parts: list[list[np.ndarray]], one: StoredSeries) -> DailyBars:
    ts, *floats = (np.concatenate(column) if len(parts) > 1 else column[0] for column in zip(*parts, strict=True))
    days = session_days(ts, "1d", one.zone)
    dates: Ints = (ts // 86_400_000 if days is None else days).astype(np.int64)
    return DailyBars(dates, *floats)


def _about(one: StoredSeries, finding: SeriesFinding) -> DataFinding:
    if finding.todo == series_checks.FETCH_SPLITS:
        finding = replace(finding, todo=_fetch_splits(one))
    return DataFinding(one.provider, one.symbol, one.adjustment, finding)


def _fetch_splits(one: StoredSeries) -> str:
    """The commands that fetch a symbol's splits, from its vendor or one that has them, and then adjusted bars again."""
    having = vendors_with("splits")
    if not having:
        return "No installed vendor has splits: look at the day at another source"
    symbol = shlex.quote(one.symbol)
    where = one.provider if one.provider in having else having[0]
    lacks = "" if where == one.provider else f"{one.provider} has no splits, and those of {where} count too. "
    then = f", then `marketfetch fetch {one.provider} {symbol} --adjustment {one.adjustment} --again`"
    return f"{lacks}`marketfetch fetch {where} {symbol} --dataset splits`{then if one.adjustment != 'raw' else ''}"


def _splits_of(known: Splits, one: StoredSeries) -> list[tuple[date, float]]:
    """The vendor's own splits, or where it has none those that the others name."""
    if own := known.get((one.provider, one.symbol)):
        return own
    return sorted({split for (_, symbol), some in known.items() if symbol == one.symbol for split in some})


def _of_splits(known: Splits, asked: set[tuple[str, str]]) -> Iterator[DataFinding]:
    for (provider, symbol), some in known.items():
        by_day: dict[date, list[float]] = {}
        for day, ratio in some:
            by_day.setdefault(day, []).append(ratio)
        for day, ratios in by_day.items():
            if len(ratios) > 1 and (provider, symbol) in asked:
                yield DataFinding(provider, symbol, "", series_checks.contradicting(day, ratios))


def _of_tables(store: Store, asked: Wish) -> list[DataFinding]:
    """The tables that lack a column since a reply."""
    return [
        DataFinding(
            one.provider, one.table, "", SeriesFinding("changed columns", "warning", one.day, one.day, one.what, _RENAMED)
        )
        for one in changed_columns(store)
        if asked.provider in (None, one.provider) and (asked.symbols is None or one.table in asked.symbols)
    ]


def _stale(store: Store, series: Sequence[StoredSeries], symbols: Sequence[str] | None, now_ms: int) -> Iterator[DataFinding]:
    """Series that their vendor adjusted before a split or a dividend that is known now."""
    ours = {(one.provider, one.symbol, one.timespan, one.adjustment): one for one in series}
    for stale in stale_series(store, now_ms, symbols):
        if one := ours.get((stale.provider, stale.symbol, stale.timespan, stale.adjustment)):
            todo = (
                f"`marketfetch update {one.provider} {one.symbol} --adjustment {one.adjustment}` asks for the stale days again"
                if stale.of == "bars"
                else "The next update of it asks for the stale days again; `marketfetch check` has the command"
            )
            yield _about(one, series_checks.stale(stale.why, stale.first_day, stale.last_day, todo))


def _outdated(store: Store, one: StoredSeries, known: Sequence[tuple[date, float]]) -> Iterator[SeriesFinding]:
    """Adjusted prices, of which no coverage is known, that are older than a split. Of several the latest concerns all bars."""
    for day, _ratio in reversed(known if one.adjustment != "raw" else ()):
        before_ms = day_start_ms(day, one.zone or "UTC")
        if (fetched_ms := fetched_before(store, one.number, before_ms)) is None:
            continue  # a split before the first bar
        if fetched_ms < before_ms:
            yield series_checks.outdated(day, datetime.fromtimestamp(fetched_ms / 1000, UTC).date())
        return


def _calendar(one: StoredSeries, calendars: SeriesCalendars, asked: dict[Key, Asked]) -> str | None:
    """The name of the calendar of a series' sessions; None where none is known, as of a vendor that is not installed."""
    dataset = asked_of((one.provider, one.symbol, one.timespan, one.adjustment), asked).dataset
    found = calendars.of(one, dataset)
    return None if found is None else found.finality.calendar


def _days_of(calendar: str | None, first: int, last: int) -> Calendar:
    """The sessions from `first` to `last` at least, as days since 1970."""
    return Calendar() if calendar is None else _block(calendar, first - first % _BLOCK, last - last % _BLOCK + _BLOCK - 1)


@lru_cache(maxsize=32)
def _block(calendar: str, first: int, last: int) -> Calendar:
    sessions = expected_days(calendar, "1d", first, last)
    if calendar != WEEK_OF_CURRENCIES:
        return Calendar(sessions, sessions)
    # Not every vendor has bars of currencies on Sunday. 1970-01-01 was a Thursday.
    return Calendar(sessions, sessions[(sessions + 3) % 7 != _SUNDAY])
