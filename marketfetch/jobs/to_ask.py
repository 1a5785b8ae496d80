"""What of a wish is to be asked, and how: the one answer of `submit` and of `plan`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.jobs.asked_again import asked_again
from marketfetch.jobs.market_calls import MarketReader
from marketfetch.jobs.refreshing import beside_the_market, stale_of
from marketfetch.jobs.subtraction import Left, subtracted
from marketfetch.jobs.without_sessions import with_sessions
from marketfetch.quotas.lanes import lane
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage.store import Store
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.generations import with_generations


class _Empty:
    """A database in which nothing is stored."""

    def covered(self, *_of: object) -> list[Covered]:
        return []

    def stored_starts(self, *_of: object) -> dict[str, frozenset[int]]:
        return {}

    def outcomes(self, _ids: object) -> dict[str, LedgerRow]:
        return {}


def to_ask(spec: JobSpec, planned: Sequence[Request], store: Store | None) -> Left:
    """Returns what is to be asked of the requests of a wish; with None of a database without tables.

    Wanted - covered-and-final, in the fewest calls, with the stored days that an action has made stale; what failed before is
    asked again by itself. A wish with `again` is planned as if nothing were stored. Raises StoreError, BadRequestError.
    """
    stale = stale_of(spec, planned, store) if store is not None else {}
    reader: MarketReader = store if store is not None and not spec.again else _Empty()
    found = subtracted(spec, planned, reader, overlap=get_settings().overlap_sessions, stale=stale)
    if (beside := beside_the_market(spec, stale)) is not None:
        found.requests.extend(subtracted(beside, _planned(beside), reader, overlap=0, stale=stale).requests)
    found = found._replace(requests=in_lane(spec, with_sessions(found.requests)))
    return found._replace(requests=asked_again(spec, found.requests, store)) if store is not None else found


def in_lane(spec: JobSpec, requests: list[Request]) -> list[Request]:
    """The requests in the lane of the wish's owner, wherever they were planned."""
    name = lane(spec.keys_of)
    return [one if one.lane == name else one.model_copy(update={"lane": name}) for one in requests]


def _planned(spec: JobSpec) -> list[Request]:
    """The requests of the symbols of a wish, without those that the vendor lists with the market and does not serve alone."""
    vendor: Any = vendors.vendor(spec.provider)
    ours = options(spec.provider)
    found: list[Request] = []
    for symbol in spec.symbols:
        one = spec.model_copy(update={"symbols": (symbol,)})
        with suppress(PlanError):
            found += with_generations(one, vendor.plan(one, ours), vendor, ours)
    return found
