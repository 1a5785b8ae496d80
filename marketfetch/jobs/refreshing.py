"""Series that their vendor has adjusted are asked for as a whole again, once an action is known that they can't have.

Days of before an action and days behind it do not fit each other, so no wish adds days to a stale series: it asks for the stale
days too, in one call with them where one call takes both. They stay stale until their replies are stored, whole requests at a
time: after a crash the rest is asked for, and no more. A wish for the whole market asks for the stale series by their symbols.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.jobs.asked_again import is_refusal
from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered, united
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.storage.action_knowledge import ADJUSTED_FOR, knowledge
from marketfetch.storage.asked_ranges import failed_since
from marketfetch.storage.store import Store
from marketfetch.storage.vendor_adjusted import StaleDays, adjusted, stale_days
from marketfetch.vendors.covering import symbols_of
from marketfetch.vendors.times import unix_ms


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A symbol of which a job asks for stored days again, from `since` on. `why`: a clause with the symbol as its subject."""

    symbol: str
    since: date
    why: str


def stale_of(spec: JobSpec, planned: Sequence[Request], store: Store) -> dict[str, StaleDays]:
    """The stale days of the series that these requests bring, by symbol. Raises StoreError."""
    if spec.again:
        return {}
    vendor: Any = vendors.vendor(spec.provider)
    ours = options(spec.provider)
    wished: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in planned:
        for adjustment in vendor.brings(one, ours) if one.start else ():
            if adjustment in ADJUSTED_FOR:
                names = symbols_of(one)
                # A reply with the whole market adds days to the series of every symbol.
                wished["bars" if EVERY_SYMBOL in names else one.dataset, one.timespan, adjustment].update(names)
    if not wished:
        return {}
    named = set[str]().union(*wished.values())
    symbols = None if EVERY_SYMBOL in named else sorted(named)
    covered = [one for one in adjusted(store, symbols) if _is_wished(one, spec.provider, wished)]
    if not covered:
        return {}
    at_ms = unix_ms(datetime.fromisoformat(spec.as_of))
    earliest_ms = min(one.fetched_at_ms for one in covered)
    listing = store.database.listing([EVERY_SYMBOL, *sorted({one.symbol for one in covered})])
    known = knowledge(store.database.read, store.database.spelling, listing, earliest_ms)
    found: dict[str, StaleDays] = {}
    for (_, _, symbol, _, _), stale in stale_days(covered, known, at_ms).items():
        before = found.get(symbol, stale)
        found[symbol] = stale._replace(days=united([*before.days, *stale.days]), known_ms=max(before.known_ms, stale.known_ms))
    return _without_refused(spec.provider, found, store) if found else found


def _is_wished(one: Covered, provider: str, wished: Mapping[tuple[str, str, str], set[str]]) -> bool:
    names = wished.get((one.dataset, one.timespan, one.adjustment), set())
    return one.provider == provider and (one.symbol in names or EVERY_SYMBOL in names)


def _without_refused(provider: str, stale: dict[str, StaleDays], store: Store) -> dict[str, StaleDays]:
    """Those of which the vendor has not refused the days since it is known that they are stale.

    It may serve fewer years than are stored. The same call would be refused each evening, and the new days in it.
    """
    refused = {
        (symbol, request.timespan, request.dataset)
        for request, reason in failed_since(store, provider, min(one.known_ms for one in stale.values()))
        if is_refusal(reason) and request.start is not None and request.end is not None
        for symbol in symbols_of(request)
        if symbol in stale and request.start.toordinal() <= stale[symbol].days[0].first <= request.end.toordinal()
    }
    return {symbol: one for symbol, one in stale.items() if (symbol, one.series.timespan, one.series.of) not in refused}


def beside_the_market(spec: JobSpec, stale: Mapping[str, StaleDays]) -> JobSpec | None:
    """The wish that asks for the stale series of a wish for the whole market: each by its symbol, as a call is enough for it.

    None without any: a wish for symbols asks for their stale days itself.
    """
    if EVERY_SYMBOL not in spec.symbols or not stale:
        return None
    return spec.model_copy(update={"symbols": tuple(sorted(stale)), "dataset": "bars", "by_symbol": True})


def generation_of(stale: StaleDays) -> str:
    """What distinguishes the requests of a refresh from those that brought the stale days: what is known now.

    Two wishes that come while a refresh is in flight share its requests.
    """
    return hashlib.sha256(f"known since {stale.known_ms}".encode()).hexdigest()[:12]


def refreshed(stale: dict[str, StaleDays]) -> tuple[Refreshed, ...]:
    """The same for people, by symbol."""
    return tuple(
        Refreshed(symbol, date.fromordinal(one.days[0].first), one.series.why) for symbol, one in sorted(stale.items())
    )
