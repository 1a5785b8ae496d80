"""What `marketfetch rejects` shows: the rows that failed a check, of a job, a vendor, a symbol, or all."""

from __future__ import annotations

from dataclasses import dataclass

from marketfetch import vendors
from marketfetch.addresses import database_choice
from marketfetch.exceptions import BadRequestError, UnavailableError, UnknownJob
from marketfetch.jobs.lookup import known_job, recorded
from marketfetch.storage.rejected_rows import (
    Choice,
    ReasonCount,
    RejectedRow,
    by_reason,
    knows_symbol,
    latest,
    totals,
)
from marketfetch.storage.store import NoTables, Store, StoreError

#: Replies have at most so many reasons each; further ones say nothing new.
_MOST_REASONS = 100


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """`rejected` counts all rows, `kept` those whose values are kept: the first hundred of each reason of a reply.

    `what` names the choice in words. `reasons` have the most frequent first, `rows` the latest first.
    """

    what: str
    choice: Choice
    rejected: int
    kept: int
    reasons: list[ReasonCount]
    rows: list[RejectedRow]


def refused_rows(what: str = "", *, reason: str = "", limit: int = 20, asker: str = "") -> RefusedRows:
    """Looks up rejects. `what` is a vendor, a job (id, beginning of it, or name) or a symbol, in this order; "" means all.

    `reason` is a part of "field: reason", in any case; `limit` bounds `rows`. A name means a job of `asker` first. Raises
    BadRequestError for a word that is none of the three, and UnavailableError.
    """
    try:
        store = recorded()
        named, choice = _choice(store, what, reason, asker)
        rejected, kept = totals(store, choice)
        return RefusedRows(
            named, choice, rejected, kept, by_reason(store, choice, limit=_MOST_REASONS), latest(store, choice, limit=limit)
        )
    except NoTables as error:
        raise BadRequestError(f"No reject is stored: {error}. {database_choice()}") from None
    except StoreError as error:
        raise UnavailableError(f"The rejects can't be read: {error}.") from error


def _choice(store: Store, what: str, reason: str, asker: str) -> tuple[str, Choice]:
    """The choice, and its name in words. Raises BadRequestError."""
    if not what:
        return "all vendors", Choice(reason=reason)
    if what in vendors.names():
        return what, Choice(provider=what, reason=reason)
    # A symbol such as FACE may also begin a job's id, so the whole id of a job goes first, and its beginning last.
    if not store.job(what) and knows_symbol(store, what):
        return what, Choice(symbol=what, reason=reason)
    try:
        job = known_job(store, what, asker=asker)
    except UnknownJob:
        raise BadRequestError(
            f"{what!r} is no vendor ({', '.join(vendors.names())}), no job, and no symbol with a stored bar or a reject in "
            f"{store.database.where}. `marketfetch status` lists the jobs, `marketfetch rejects` alone all rejects."
        ) from None
    return f"job {job.id}", Choice(job_id=job.id, reason=reason)
