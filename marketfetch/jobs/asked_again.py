"""Requests that are over and whose days are still to be asked for are made again in a later job: in a generation of their own.

Those without a result, and those that brought bars that could still change by the worker's clock or settings of then.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import uuid4

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.vendors.covering import symbols_of
from marketfetch.vendors.finality import is_final
from marketfetch.vendors.times import unix_ms

#: Failures that the same call meets again: the classes of the error tree (vendors/errors.py) that fail at once.
_REFUSED: Final = re.compile(r": (UnknownSymbol|NotEntitled|BadRequest|Gone): ")


class LedgerReader(Protocol):
    """The part of a store that is read here."""

    def ended_roots(self, roots: Sequence[str]) -> Mapping[str, bool]: ...

    def covered(
        self, provider: str, dataset: str, timespan: str, adjustment: str, symbols: Sequence[str] | None, /
    ) -> list[Covered]: ...


def asked_again(spec: JobSpec, requests: Sequence[Request], store: LedgerReader) -> list[Request]:
    """Returns the requests, in a new generation those of which the ledger says that a page failed or was cancelled.

    So are those whose reply is stored with days that could still change at its call, and can't change now: the worker's clock
    was late, or a longer delay was set for the vendor. Another one that is stored is not made again: its coverage is missing
    where a release without coverage has stored it. One that is in flight is shared with the jobs that wait for it. Raises
    StoreError.
    """
    ended = store.ended_roots([one.root for one in requests])
    unsettled = _unsettled(spec, [one for one in requests if ended.get(one.root) is False], store)
    # The name is that of the reply with these days: a job that comes while the new request is in flight shares it.
    found = [one.model_copy(update={"generation": unsettled[one.root]}) if one.root in unsettled else one for one in requests]
    if unsettled:
        ended = store.ended_roots([one.root for one in found])
    renamed = {one.root for one, before in zip(found, requests, strict=True) if one is not before}
    for generation in (spec.as_of, uuid4().hex[:12]):
        again = {root for root, failed in ended.items() if failed or root in renamed}
        if not again:
            break
        found = [one.model_copy(update={"generation": generation}) if one.root in again else one for one in found]
        ended = store.ended_roots([one.root for one in found])
    return found


def _unsettled(spec: JobSpec, stored: Sequence[Request], store: LedgerReader) -> dict[str, str]:
    """A new generation for each of these requests that are stored with days that were not final then, and are now; by root."""
    vendor: Any = vendors.vendor(spec.provider)
    ours, at_ms = options(spec.provider), unix_ms(datetime.fromisoformat(spec.as_of))
    kinds: dict[tuple[str, str, str], list[Request]] = defaultdict(list)
    for one in stored:
        if one.start and one.end and is_final(vendor.finality_of(one, ours), one.timespan, one.end, at_ms):
            kinds[one.dataset, one.timespan, one.adjustment].append(one)
    found = {}
    for kind, some in kinds.items():
        named = list(dict.fromkeys(symbol for one in some for symbol in symbols_of(one)))
        rows: dict[str, list[Covered]] = defaultdict(list)
        for row in store.covered(spec.provider, *kind, named):
            if row.final_to is None or row.final_to < row.last_day:
                rows[row.symbol].append(row)
        for one in some:
            open_ms = [
                row.fetched_at_ms
                for symbol in (*symbols_of(one), EVERY_SYMBOL)
                for row in rows.get(symbol, ())
                if one.start and one.end and row.first_day <= one.end and row.last_day >= one.start
            ]
            if open_ms:
                found[one.root] = hashlib.sha256(f"not final at {max(open_ms)}".encode()).hexdigest()[:12]
    return found


def is_refusal(reason: str) -> bool:
    """True for the ledger's reason of a failure that the same call would meet again."""
    return _REFUSED.search(reason) is not None
