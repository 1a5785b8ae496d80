"""What of a wish is to be asked, and how: the one answer of `submit` and of `plan`."""

from __future__ import annotations

from collections.abc import Sequence

from marketfetch.jobs.asked_again import asked_again
from marketfetch.jobs.market_calls import MarketReader
from marketfetch.jobs.refreshing import stale_of
from marketfetch.jobs.subtraction import Left, subtracted
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.ledger import LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage.store import Store


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
    return found._replace(requests=asked_again(spec, found.requests, store)) if store is not None else found
