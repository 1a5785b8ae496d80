"""Which symbols of a job the replies with the whole market have no bar of: `status` names them."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.schemas.coverage import EVERY_SYMBOL, Days, covered_days
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.storage.store import Store
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.times import day_start_ms


def lacking(spec: JobSpec, job_id: str, store: Store) -> list[str]:
    """Returns the symbols, in the order of the wish, that lack a bar of a session that came with the whole market.

    A reply shortly after the close counts as well, although its bars may still change.
    Those that have been asked for by themselves since are left out. Raises StoreError.
    """
    if EVERY_SYMBOL in spec.symbols or spec.is_whole:
        return []
    found = [json.loads(one) for one in store.market_requests(job_id)]
    requests = [Request.model_validate({"provider": spec.provider, **one}) for one in found]
    if not requests:
        return []
    vendor: Any = vendors.vendor(spec.provider)
    ours = options(spec.provider)
    try:
        own = vendor.plan(spec.model_copy(update={"symbols": spec.symbols[:1]}), ours)[0]
    except (PlanError, IndexError):
        return []  # another release has recorded it
    kind = (own.timespan, own.adjustment)
    came = covered_days(
        one for name in {one.dataset for one in requests} for one in store.covered(spec.provider, name, *kind, ())
    )
    days = {one.start.toordinal(): one for one in requests if one.start and _among(one.start.toordinal(), came)}
    starts = {day: day_start_ms(one.start, vendor.zone(one, ours)) for day, one in sorted(days.items()) if one.start}
    bars = store.stored_starts(spec.provider, *kind, spec.symbols, [*starts.values()], partial=True)
    asked = defaultdict(list)
    for one in store.covered(spec.provider, own.dataset, *kind, spec.symbols):
        asked[one.symbol].append(one)

    def lacks(symbol: str) -> bool:
        stored = bars.get(symbol, frozenset())
        if len(stored) == len(starts):
            return False
        known = covered_days(asked[symbol])
        return any(start not in stored and not _among(day, known) for day, start in starts.items())

    return [symbol for symbol in spec.symbols if lacks(symbol)]


def _among(day: int, days: list[Days]) -> bool:
    return any(one.first <= day <= one.last for one in days)
