"""Series that a vendor has adjusted: the knowledge of the day on which they were fetched stands still in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import NamedTuple

from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered, Days, united, without
from marketfetch.storage.action_knowledge import ADJUSTED_FOR, Knowledge, SeriesKey, changed_since, in_force_ms, knowledge
from marketfetch.storage.coverage_rows import covered_of
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class StaleSeries:
    """A series with days that were fetched before its vendor knew of an action: their prices are in the shares of then.

    `of` is the dataset that the days are kept under, `first_day` and `last_day` their ends, `fetched_on` the day of the
    earliest call. `dataset` is where the latest such action stands, splits or dividends, `ex_date` its date. `corrected`: the
    action was in force by that call, and the vendor's list has changed since.
    """

    provider: str
    symbol: str
    timespan: str
    adjustment: str
    first_day: date
    last_day: date
    fetched_on: date
    dataset: str
    ex_date: date
    of: str = "bars"
    corrected: bool = False

    @property
    def why(self) -> str:
        """A clause for people, of which the symbol is the subject."""
        changed = "has" if not self.corrected else "has since changed"
        return f"was fetched on {self.fetched_on}, and its list of {self.dataset} {changed} {self.ex_date}"


class StaleDays(NamedTuple):
    """The stale days of one series, as few intervals, what makes them so, and since when that is known (Unix ms)."""

    days: list[Days]
    series: StaleSeries
    known_ms: int


def stale_series(store: Store, at_ms: int, symbols: Sequence[str] | None = None) -> list[StaleSeries]:
    """The stale ones among these symbols, or all, by provider and symbol, each with its latest action. Raises StoreError.

    Actions count that the vendor knows at `at_ms` (Unix ms) and did not know at the call, or the other way round; where the
    vendor has no list of the symbol here, those of another one. Dividends count for `split_dividend` alone.
    """
    covered = adjusted(store, symbols)
    if not covered:
        return []
    earliest_ms = min((one.fetched_at_ms for one in covered), default=0)
    listing = store.database.listing([EVERY_SYMBOL, *sorted({one.symbol for one in covered})])
    known = knowledge(store.database.read, store.database.spelling, listing, earliest_ms)
    found = stale_days(covered, known, at_ms)
    return [found[key].series for key in sorted(found)]


def adjusted(store: Store, symbols: Sequence[str] | None) -> list[Covered]:
    """What replies have covered of the series of these symbols, or of all, that their vendor has adjusted. Raises StoreError.

    What covers the whole market is there once for each symbol that has a series, as days of "bars": the stored bars are of one
    series, whichever way they came, and a symbol is asked for by itself.
    """
    sql = statements("sql/actions.sql", store.database.spelling)
    if symbols is None:
        rows = store.database.read(sql["adjusted"])
    else:
        rows = store.database.read(sql["adjusted_of"], store.database.listing(sorted({*symbols, EVERY_SYMBOL})))
    found: list[Covered] = []
    markets: dict[tuple[str, str, str], list[Covered]] = defaultdict(list)
    for one in map(covered_of, rows):
        if one.symbol == EVERY_SYMBOL:
            markets[one.provider, one.timespan, one.adjustment].append(one)
        else:
            found.append(one)
    if markets:
        chosen = None if symbols is None else frozenset(symbols)
        for *kind, symbol in store.database.read(sql["adjusted_series"]):
            if chosen is None or symbol in chosen:
                found += [replace(one, symbol=symbol, dataset="bars") for one in markets.get(tuple(kind), ())]
    return found


def stale_days(covered: Iterable[Covered], known: Knowledge, at_ms: int) -> dict[SeriesKey, StaleDays]:
    """The stale days of these intervals at `at_ms` (Unix ms), by `Covered.series`: pure.

    A day is stale that no interval with today's knowledge has: an action concerns the days before its ex date.
    """
    rows: dict[SeriesKey, list[Covered]] = defaultdict(list)
    for one in covered:
        rows[one.series].append(one)
    found = {}
    for key, of_series in rows.items():
        fresh: list[Days] = []
        stale: list[tuple[Days, StaleSeries]] = []
        for one in of_series:
            changed = _changed(one, known, at_ms)
            first, last = one.first_day.toordinal(), one.last_day.toordinal()
            until = changed.last_day.toordinal() if changed else first - 1
            if changed:
                stale.append((Days(first, until), changed))
            if until < last:
                fresh.append(Days(until + 1, last))
        if left := united(part for days, _ in stale for part in without(days, fresh)):
            causes = [one for days, one in stale if without(days, fresh)]
            latest = max(causes, key=lambda one: one.ex_date)
            first_day, last_day = date.fromordinal(left[0].first), date.fromordinal(left[-1].last)
            fetched_on = min(one.fetched_on for one in causes)
            series = replace(latest, first_day=first_day, last_day=last_day, fetched_on=fetched_on)
            turns = known.turns(latest.adjustment, latest.symbol)
            found[key] = StaleDays(left, series, max((ms for ms in turns if ms <= at_ms), default=at_ms))
    return found


def _changed(one: Covered, known: Knowledge, at_ms: int) -> StaleSeries | None:
    """What makes the first days of an interval stale: of splits and dividends the later action."""
    found = None
    for dataset in ADJUSTED_FOR.get(one.adjustment, ()):
        of_symbol = known.of(one.provider, dataset, one.symbol)
        ex_day = changed_since(of_symbol, one.fetched_at_ms, at_ms, behind=one.first_day.toordinal())
        if ex_day is None or (found is not None and ex_day <= found.ex_date.toordinal()):
            continue
        found = StaleSeries(
            provider=one.provider,
            symbol=one.symbol,
            timespan=one.timespan,
            adjustment=one.adjustment,
            first_day=one.first_day,
            last_day=min(one.last_day, date.fromordinal(ex_day - 1)),
            fetched_on=datetime.fromtimestamp(one.fetched_at_ms / 1000, UTC).date(),
            dataset=dataset,
            ex_date=date.fromordinal(ex_day),
            of=one.dataset,
            corrected=in_force_ms(ex_day) <= one.fetched_at_ms,
        )
    return found


def without_raw(store: Store) -> list[tuple[str, str, str, str]]:
    """Provider, timespan, adjustment and symbol of the vendor-adjusted series without a raw one beside them."""
    rows = store.database.read(statements("sql/actions.sql", store.database.spelling)["without_raw"])
    return [(provider, timespan, adjustment, symbol) for provider, timespan, adjustment, symbol in rows]
