"""What of a wish is to be asked: wanted - covered-and-final, in the fewest calls. Subtracted once, when a job is submitted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.fewest_calls import fewest, widened
from marketfetch.jobs.market_calls import Kind, Market, MarketCalls, MarketReader
from marketfetch.jobs.refreshing import generation_of
from marketfetch.jobs.shared_calls import Piece, together
from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered, Days, final_days, united, without
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan
from marketfetch.storage.vendor_adjusted import StaleDays
from marketfetch.vendors.covering import symbols_of, today
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.generations import with_generations
from marketfetch.vendors.protocol import Vendor, VendorOptions
from marketfetch.vendors.times import period_end, period_start, unix_ms
from marketfetch.vendors.trading_days import close_ms

_ORDINARY: Final = date.fromordinal
_NOTHING_STALE: Final[Mapping[str, StaleDays]] = MappingProxyType({})


@dataclass(slots=True)
class _Wanted:
    """The days that are wanted of a symbol, up to today, and its requests in the plan, by their place."""

    kind: Kind
    first: int
    last: int
    places: list[int] = field(default_factory=list)


class Left(NamedTuple):
    """The requests that are still to be made, and how many of them bring the whole market instead of symbols.

    `partly_stored`: a part of the wish, or all of it, is stored and is not asked for again. `stale`: the stored days that are
    asked for too, by symbol.
    """

    requests: list[Request]
    partly_stored: bool
    market: MarketCalls | None = None
    stale: Mapping[str, StaleDays] = _NOTHING_STALE


def subtracted(
    spec: JobSpec,
    planned: Sequence[Request],
    store: MarketReader,
    *,
    overlap: int,
    stale: Mapping[str, StaleDays] = _NOTHING_STALE,
) -> Left:
    """Returns the requests that are still to be made of those `planned`, in the order of the wish's symbols.

    A symbol of which nothing is final keeps its requests. Of the others each missing interval is asked for, and what lies
    between two of them where one call takes both. An interval that reaches into the last `overlap` sessions before today begins
    with them, if that is no further call. Stored days that are `stale` are asked for too, of any range, in a generation of
    their own. Calls with the whole market take the place of calls by symbol where that is fewer of them; they come first.
    Raises StoreError, BadRequestError.
    """
    return _Subtraction(spec, planned, overlap, stale).left(store)


class Kept(NamedTuple):
    """The first day that requests ask for of a symbol, and the final days that are stored, of any range; as ordinals."""

    finality: Finality
    timespan: Timespan
    first: int
    final: list[Days]


def kept(spec: JobSpec, requests: Sequence[Request], store: MarketReader) -> dict[str, Kept]:
    """What is stored and final of the symbols of these requests, by symbol. Raises StoreError.

    Days that a reply with the whole market has covered count for each symbol that such a reply brings as a rule.
    """
    wanted = _Subtraction(spec, requests, 0, _NOTHING_STALE).wanted()
    final = _final(spec.provider, wanted, store)
    markets = {kind: Market(spec, kind, store) for kind in {one.kind for one in wanted.values()}}
    found = {}
    for symbol, one in wanted.items():
        market = markets[one.kind]
        days = united([*final(one.kind, symbol), *(market.final if market.serves(symbol) else ())])
        found[symbol] = Kept(one.kind.finality, one.kind.timespan, one.first, days)
    return found


class _Subtraction:
    def __init__(self, spec: JobSpec, planned: Sequence[Request], overlap: int, stale: Mapping[str, StaleDays]) -> None:
        self._spec = spec
        self._stale = stale
        self._planned = planned
        self._records = any(one.records for one in planned)
        self._overlap = overlap
        self._at_ms = unix_ms(datetime.fromisoformat(spec.as_of))
        self._vendor: Vendor[Any] = vendors.vendor(spec.provider)
        self._options: VendorOptions = options(spec.provider)
        self._costs: dict[tuple[Kind, Days], int] = {}

    def left(self, store: MarketReader) -> Left:
        wanted = self.wanted()
        markets = {kind: Market(self._spec, kind, store) for kind in {one.kind for one in wanted.values()}}
        missing = self._missing(wanted, markets, store)
        requests = self._less(wanted, missing)
        asked, wished = (
            {(one.symbol, one.start, one.end) for one in some if one.symbol not in self._stale}
            for some in (requests, self._planned)
        )
        saved = None
        for kind, market in markets.items():
            if saved is None and market.ways:
                of_kind = {
                    symbol: days
                    for symbol, days in missing.items()
                    if wanted[symbol].kind == kind and symbol not in self._stale
                }
                requests, saved = market.instead(requests, of_kind)
        return Left(requests, asked != wished, saved, self._stale)

    def _missing(
        self, wanted: Mapping[str, _Wanted], markets: Mapping[Kind, Market], store: MarketReader
    ) -> dict[str, tuple[Days, ...]]:
        """The days of each symbol that are to be asked for: wanted and not covered finally, and stale ones.

        A reply with the whole market that lacks the symbol does not cover it, nor does one that is older than an action.
        """
        final = _final(self._spec.provider, wanted, store)
        found: dict[str, tuple[Days, ...]] = {}
        for symbol, one in wanted.items():
            taken, old = final(one.kind, symbol), self._stale.get(symbol)
            if old is not None:
                taken = [part for each in taken for part in without(each, old.days)]
            days = united([Days(one.first, one.last), *(old.days if old else ())])
            found[symbol] = tuple(part for each in days for part in without(each, taken))
        for kind, market in markets.items():
            of_kind = {
                symbol: days for symbol, days in found.items() if wanted[symbol].kind == kind and symbol not in self._stale
            }
            for symbol, stored in market.stored(of_kind).items():
                found[symbol] = tuple(part for each in found[symbol] for part in without(each, stored))
        return found

    def _less(self, wanted: Mapping[str, _Wanted], missing: Mapping[str, tuple[Days, ...]]) -> list[Request]:
        """The requests for the missing days, by symbol."""
        #: Symbols with the same missing days are planned together, in one generation: "" is that of an ordinary wish.
        groups: dict[tuple[Kind, tuple[Days, ...], str], list[str]] = defaultdict(list)
        replanned: set[int] = set()
        whole: list[str] = []
        for symbol, one in wanted.items():
            old = self._stale.get(symbol)
            if missing[symbol] == (Days(one.first, one.last),) and old is None:
                whole.append(symbol)
                continue
            replanned.update(one.places)
            gaps = missing[symbol]
            if not self._records:  # splits and dividends may have an ex date on any day
                gaps = tuple(filter(None, (_sessions_of(one.kind.finality, gap) for gap in gaps)))
            if gaps:
                groups[one.kind, gaps, generation_of(old) if old else ""].append(symbol)
        if not replanned:
            return list(self._planned)
        # A request of several symbols, of which one is replanned, leaves the others to be asked for all of their range.
        torn = {symbol for place in replanned for symbol in symbols_of(self._planned[place])}
        for symbol in whole:
            if symbol in torn:
                groups[wanted[symbol].kind, (Days(wanted[symbol].first, wanted[symbol].last),), ""].append(symbol)
                replanned.update(wanted[symbol].places)
        found = [request for place, request in enumerate(self._planned) if place not in replanned]
        pieces: dict[tuple[Kind, str], list[Piece]] = defaultdict(list)
        for (kind, of_group, generation), symbols in groups.items():
            first = min(wanted[symbol].first for symbol in symbols)
            ranges = self._ranges(kind, of_group, symbols[0], first)
            pieces[kind, generation] += [Piece(days, tuple(symbols)) for days in ranges]
        order = {symbol: place for place, symbol in enumerate(self._spec.symbols)}
        for (_kind, generation), some in pieces.items():
            for days, names in together(some, self._plan, self._vendor, self._options):
                found += self._plan(sorted(names, key=lambda one: order.get(one, 0)), days, generation)
        return sorted(found, key=lambda one: (order.get(symbols_of(one)[0], 0), one.start or date.min))

    def wanted(self) -> dict[str, _Wanted]:
        """By symbol. A request without a range is always made."""
        found: dict[str, _Wanted] = {}
        for place, one in enumerate(self._planned):
            if one.start is None or one.end is None:
                continue
            for symbol in symbols_of(one):
                known = found.get(symbol)
                if known is None:
                    finality = self._vendor.finality_of(one, self._options)
                    kind = Kind(one.dataset, one.timespan, one.adjustment, finality)
                    known = found[symbol] = _Wanted(kind, one.start.toordinal(), 0)
                last = min(one.end, today(known.kind.finality, self._at_ms))
                known.first = min(known.first, one.start.toordinal())
                known.last = max(known.last, last.toordinal())
                known.places.append(place)
        return {symbol: one for symbol, one in found.items() if one.first <= one.last}

    def _ranges(self, kind: Kind, missing: Sequence[Days], symbol: str, first: int) -> list[Days]:
        """The ranges to ask for; a week or a month is asked for as a whole, since its bar is one."""

        def cost(days: Days) -> int:
            if (kind, days) not in self._costs:
                self._costs[kind, days] = len(self._plan([symbol], days))
            return self._costs[kind, days]

        whole = united(_whole_periods(days, kind.timespan) for days in missing)
        sessions = sessions_before(kind.finality, self._at_ms, self._overlap)
        firsts = sorted({max(first, period_start(_ORDINARY(one), kind.timespan).toordinal()) for one in sessions})
        return widened(fewest(whole, cost), firsts, cost)

    def _plan(self, symbols: Sequence[str], days: Days, generation: str = "") -> list[Request]:
        wish = {"symbols": tuple(symbols), "start": _ORDINARY(days.first), "end": _ORDINARY(days.last), "again": generation}
        spec = self._spec.model_copy(update=wish)
        try:
            found = with_generations(spec, self._vendor.plan(spec, self._options), self._vendor, self._options)
        except PlanError as error:
            raise BadRequestError(str(error)) from error
        return [one.model_copy(update={"records": True}) for one in found] if self._records else found


def _final(provider: str, wanted: Mapping[str, _Wanted], store: MarketReader) -> Callable[[Kind, str], list[Days]]:
    """Returns what finds the final days of a symbol: one query for all symbols of a dataset."""
    asked: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for symbol, one in wanted.items():
        asked[one.kind[:3]].append(symbol)
    found: dict[tuple[str, ...], list[Covered]] = defaultdict(list)
    for (dataset, timespan, adjustment), symbols in asked.items():
        for row in store.covered(provider, dataset, timespan, adjustment, symbols):
            found[row.dataset, row.timespan, row.adjustment, row.symbol].append(row)

    def final(kind: Kind, symbol: str) -> list[Days]:
        own, every = found.get((*kind[:3], symbol), []), found.get((*kind[:3], EVERY_SYMBOL), [])
        return final_days([*own, *every]) if own or every else []

    return final


def _whole_periods(days: Days, timespan: Timespan) -> Days:
    first, last = period_start(_ORDINARY(days.first), timespan), period_end(_ORDINARY(days.last), timespan)
    return Days(first.toordinal(), last.toordinal())


@lru_cache(maxsize=4_096)
def _sessions_of(finality: Finality, days: Days) -> Days | None:
    """The days from the first session to the last; None if there is none, as between two sessions: there is nothing to ask."""

    def is_session(day: int) -> bool:
        return close_ms(finality.calendar, _ORDINARY(day), zone=finality.zone) is not None

    first = next((day for day in range(days.first, days.last + 1) if is_session(day)), None)
    last = next((day for day in range(days.last, days.first - 1, -1) if is_session(day)), None)
    return None if first is None or last is None else Days(first, last)


@lru_cache(maxsize=256)
def sessions_before(finality: Finality, at_ms: int, number: int) -> tuple[int, ...]:
    """Returns the last `number` sessions before the day of `at_ms`, ascending, as ordinals."""
    found: list[int] = []
    day = today(finality, at_ms)
    while len(found) < number:
        day -= timedelta(days=1)
        if close_ms(finality.calendar, day, zone=finality.zone) is not None:
            found.append(day.toordinal())
    return tuple(found[::-1])
