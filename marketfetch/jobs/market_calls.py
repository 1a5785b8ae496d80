"""Calls that bring a session of the whole market, where they are fewer than calls by symbol; and what such calls have stored.

A session counts as covered for a symbol where a reply with the whole market has covered it finally *and* the symbol's bar is
stored: what the reply lacks (no trade, over the counter) is asked for by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple, Protocol

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.jobs.asked_again import is_refusal
from marketfetch.jobs.shared_days import Wish, shared
from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered, Days, final_days, united
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.settings import get_settings
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.generations import with_generations
from marketfetch.vendors.protocol import MarketWay, Vendor
from marketfetch.vendors.times import day_start_ms, unix_ms
from marketfetch.vendors.trading_days import close_ms

_MINUTE_MS: Final = 60_000
_DAY: Final = date.fromordinal


class Kind(NamedTuple):
    """What some symbols of a wish have in common: what their coverage is kept under, and their calendar."""

    dataset: str
    timespan: Timespan
    adjustment: Adjustment
    finality: Finality


class MarketReader(Protocol):
    """The part of a store that is read here."""

    def covered(
        self, provider: str, dataset: str, timespan: str, adjustment: str, symbols: Sequence[str] | None, /
    ) -> list[Covered]: ...

    def stored_starts(
        self, provider: str, timespan: str, adjustment: str, symbols: Sequence[str], starts_ms: Sequence[int], /
    ) -> dict[str, frozenset[int]]: ...

    def outcomes(self, request_ids: Sequence[str], /) -> dict[str, LedgerRow]: ...


@dataclass(frozen=True, slots=True)
class MarketCalls:
    """The calls with the whole market in a plan: how many, for how many symbols, and how many calls these would take else."""

    dataset: str
    calls: int
    symbols: int
    instead_of: int


class Market:
    """The whole-market calls of a vendor that bring the bars of a kind."""

    def __init__(self, spec: JobSpec, kind: Kind, store: MarketReader) -> None:
        self._spec, self._kind, self._store = spec, kind, store
        self._vendor: Vendor[Any] = vendors.vendor(spec.provider)
        self._options: Any = options(spec.provider)
        plan = get_settings().provider(spec.provider).plan
        self.ways: tuple[MarketWay, ...] = self._vendor.market_ways(
            kind.dataset, kind.timespan, kind.adjustment, self._options, plan
        )

    @cached_property
    def final(self) -> list[Days]:
        """The days that replies have covered finally; days without a session between two of them count too."""
        rows: list[Covered] = []
        for way in self.ways:
            rows += self._store.covered(self._spec.provider, way.dataset, self._kind.timespan, self._kind.adjustment, ())
        return _over_closed_days(final_days(rows), self._kind.finality)

    def stored(self, missing: Mapping[str, Sequence[Days]]) -> dict[str, list[Days]]:
        """Of the missing days of symbols those that are covered by such replies and by a stored bar, by symbol."""
        spans = [days for days in missing.values() if days]
        if not self.ways or not spans or not self.final:
            return {}
        first, last = min(days[0].first for days in spans), max(days[-1].last for days in spans)
        known = [Days(max(one.first, first), min(one.last, last)) for one in self.final]
        runs = [sessions_in(self._kind.finality, one) for one in known]
        asked = [one for one in missing if missing[one] and self.serves(one)]
        sample = Request(provider=self._spec.provider, dataset=self.ways[0].dataset, symbol=EVERY_SYMBOL)
        zone = self._vendor.zone(sample, self._options)
        starts = {day: day_start_ms(_DAY(day), zone) for run in runs for day in run}
        key = (self._spec.provider, self._kind.timespan, self._kind.adjustment)
        bars = self._store.stored_starts(*key, asked, [*starts.values()])
        # Few of the sets differ.
        ranges = {found: _ranges(runs, starts, found) for found in set(bars.values())}
        return {symbol: ranges[found] for symbol, found in bars.items()}

    def serves(self, symbol: str) -> bool:
        """True if a way has the bars of this symbol, as a rule."""
        return any(way.serves(symbol) for way in self.ways)

    def instead(
        self, requests: Sequence[Request], missing: Mapping[str, Sequence[Days]]
    ) -> tuple[list[Request], MarketCalls | None]:
        """Returns the requests with whole-market calls in place of those of symbols, if that is fewer of them.

        `missing`: the days that are to be asked for, of each symbol of this kind.
        """
        places: dict[str, list[int]] = defaultdict(list)
        for n, one in enumerate(requests):
            places[one.symbol].append(n)
        served = [one for one in missing if missing[one] and one in places and self.serves(one)]
        fewest = get_settings().whole_market_from
        if self._spec.by_symbol or not fewest or len(served) < fewest:
            return list(requests), None
        alike: dict[tuple[tuple[Days, ...], int], list[str]] = defaultdict(list)
        for symbol in served:
            alike[tuple(missing[symbol]), len(places[symbol])].append(symbol)
        ways = self._ways_of({day for days, _ in alike for day in self._sessions(days)})
        groups: list[tuple[Wish, list[str]]] = []
        for (days, number), some in alike.items():
            sessions = self._sessions(days)
            if sessions and all(day in ways for day in sessions):
                groups.append((Wish(sessions, number * len(some)), some))
        chosen = [groups[n] for n in shared([wish for wish, _ in groups])]
        symbols = {symbol for _, some in chosen for symbol in some}
        if len(symbols) < fewest:
            return list(requests), None
        together = sorted({day for wish, _ in chosen for day in wish.days})
        calls = [ways[day] for day in together]
        kept = [one for one in requests if one.symbol not in symbols]
        by_way = {one.dataset: None for one in calls}
        saved = MarketCalls(" and ".join(by_way), len(calls), len(symbols), len(requests) - len(kept))
        return [*calls, *kept], saved

    def _sessions(self, days: Iterable[Days]) -> list[int]:
        return [day for one in days for day in sessions_in(self._kind.finality, one)]

    def _ways_of(self, days: Iterable[int]) -> dict[int, Request]:
        """The call for each of these sessions that can be made, by the preferred way."""
        at_ms = unix_ms(datetime.fromisoformat(self._spec.as_of))
        found: dict[int, Request] = {}
        known = {day for one in self.final for day in range(one.first, one.last + 1)}
        for way in self.ways:
            left = sorted(day for day in days if day not in found and day not in known and self._is_over(day, way, at_ms))
            if not left:
                continue
            requests = {one.start.toordinal(): one for one in self._requests(way, left) if one.start}
            refused = self._refused(requests.values())
            found |= {day: requests[day] for day in left if day in requests and requests[day].root not in refused}
        return found

    def _is_over(self, day: int, way: MarketWay, at_ms: int) -> bool:
        closed_ms = close_ms(self._kind.finality.calendar, _DAY(day), zone=self._kind.finality.zone)
        return closed_ms is not None and closed_ms + way.after_close_minutes * _MINUTE_MS <= at_ms

    def _requests(self, way: MarketWay, days: Sequence[int]) -> list[Request]:
        wish = {
            "dataset": way.dataset, "symbols": (EVERY_SYMBOL,), "adjustment": self._kind.adjustment,
            "start": _DAY(days[0]), "end": _DAY(days[-1]),
        }  # fmt: skip
        spec = self._spec.model_copy(update=wish)
        return with_generations(spec, self._vendor.plan(spec, self._options), self._vendor, self._options)

    def _refused(self, requests: Iterable[Request]) -> set[str]:
        """The calls that the vendor has refused, as it would again: these sessions are asked for by symbol."""
        roots = [one.root for one in requests]
        return {root for root, row in self._store.outcomes(roots).items() if row.outcome == "failed" and is_refusal(row.reason)}


def _ranges(runs: Sequence[Sequence[int]], starts: Mapping[int, int], stored: frozenset[int]) -> list[Days]:
    """The sessions whose starts are stored, as ranges; between two runs lies a session that is in none of them."""
    found: list[Days] = []
    for run in runs:
        goes_on = False
        for day in run:
            if starts[day] in stored:
                first = found.pop().first if goes_on else day
                found.append(Days(first, day))
            goes_on = starts[day] in stored
    return found


@lru_cache(maxsize=4_096)
def sessions_in(finality: Finality, days: Days) -> tuple[int, ...]:
    """Returns the sessions of some days, as ordinals, ascending."""
    return tuple(
        day
        for day in range(days.first, days.last + 1)
        if close_ms(finality.calendar, _DAY(day), zone=finality.zone) is not None
    )


def _over_closed_days(days: Sequence[Days], finality: Finality) -> list[Days]:
    """The days with those between two of them on which there is no session."""
    found: list[Days] = []
    for one in days:
        if found and not sessions_in(finality, Days(found[-1].last + 1, one.first - 1)):
            found[-1] = Days(found[-1].first, one.last)
        else:
            found.append(one)
    return united(found)
