"""The bars of one series with what a chart marks: gaps, splits and dividends, bars that may still change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from marketfetch.frames.choosing import one_of_each, wish
from marketfetch.frames.stored_bars import found, reading, spans
from marketfetch.ops.missing_sessions import Chosen, find
from marketfetch.storage.reading_back import last_bars
from marketfetch.storage.store import Store
from marketfetch.storage.stored_actions import stored_actions
from marketfetch.storage.stored_series import StoredSeries

if TYPE_CHECKING:
    from marketfetch.schemas.bars import BarColumns  # imports numpy

#: Of a chart without a start: a year of sessions. With one, what a screen of pixels can show.
USUAL: Final = 260
MOST: Final = 3_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Mark:
    """A gap from `begin_ms` to `end_ms`, or an action at `begin_ms`."""

    begin_ms: int
    end_ms: int
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """`cut`: there are more bars in the range than these latest ones."""

    series: StoredSeries
    bars: BarColumns
    gaps: list[Mark]
    actions: list[Mark]
    cut: bool


def chart(
    provider: str,
    symbol: str,
    timespan: str,
    adjustment: str | None,
    start: str | None = None,
    end: str | None = None,
) -> Chart:
    """Reads a series. Raises BadRequestError, which names the series that there are, and UnavailableError."""
    meant = wish([symbol], timespan=timespan, provider=provider, adjustment=adjustment, written="{name}={value}")
    with reading() as store:
        (series,) = one_of_each(meant, found(store, meant))
        ((_, start_ms, end_ms),) = spans([series], start, end)
        of_series, most = (series.provider, series.symbol, series.timespan, series.adjustment), MOST if start else USUAL
        bars = last_bars(store, *of_series, most + 1, start_ms=start_ms, end_ms=end_ms)
        cut = len(bars) > most
        bars = bars.rows(1, len(bars)) if cut else bars
        if not len(bars):
            return Chart(series, bars, [], [], cut=False)
        first, last = _day(int(bars.ts[0]), series), _day(int(bars.ts[-1]), series)
        gaps, actions = list(_gaps(store, series, first, last)), list(_actions(store, series, first, last))
    return Chart(series, bars, gaps, sorted(actions, key=lambda one: one.begin_ms), cut)


def document(of: Chart) -> dict[str, object]:
    """What the script draws: columns of numbers, null for what is absent; times are Unix s, as uPlot has them."""
    bars = of.bars
    columns = {name: _numbers(getattr(bars, name)) for name in ("open", "high", "low", "close", "volume")}
    return {
        "ts": [ms / 1000 for ms in bars.ts.tolist()],
        **columns,
        "partial": [number for number, one in enumerate(bars.partial.tolist()) if one],
        "gaps": [[one.begin_ms / 1000, one.end_ms / 1000, one.words] for one in of.gaps],
        "actions": [[one.begin_ms / 1000, one.words] for one in of.actions],
        "zone": of.series.zone or "UTC",
    }


def _numbers(column: object) -> list[float | None]:
    return [None if one != one else one for one in column.tolist()]  # type: ignore[attr-defined]


def _gaps(store: Store, series: StoredSeries, first: date, last: date) -> Iterator[Mark]:
    chosen = Chosen(series.provider, frozenset([series.symbol]), series.timespan, series.adjustment, first, last)
    missing = find(store, chosen)
    for gap in missing.gaps:
        words = f"{gap.first} to {gap.last}" if gap.first != gap.last else f"{gap.first}"
        begin, end = _midnight(gap.first, series), _midnight(gap.last + timedelta(days=1), series)
        yield Mark(begin, end, f"{words}: {gap.why}")
    for one in missing.stretches:
        yield Mark(one.begin_ms, one.end_ms, f"{one.day}: {one.bars:,} bars missing, {one.why}")


def _actions(store: Store, series: StoredSeries, first: date, last: date) -> Iterator[Mark]:
    for one in stored_actions(store, "splits", [series.symbol]):
        if one.gone_at is None and first <= date.fromisoformat(one.ex_date) <= last:
            at = _midnight(date.fromisoformat(one.ex_date), series)
            yield Mark(at, at, f"{one.ex_date}: split, {one.value:g} new for 1 old")
    for one in stored_actions(store, "dividends", [series.symbol]):
        if one.gone_at is None and first <= date.fromisoformat(one.ex_date) <= last:
            at = _midnight(date.fromisoformat(one.ex_date), series)
            yield Mark(at, at, f"{one.ex_date}: dividend of {one.value:g} {one.currency}".rstrip())


def _day(ms: int, series: StoredSeries) -> date:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(series.zone or "UTC")).date()


def _midnight(day: date, series: StoredSeries) -> int:
    at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(series.zone or "UTC"))
    return int(at.astimezone(UTC).timestamp() * 1000)
