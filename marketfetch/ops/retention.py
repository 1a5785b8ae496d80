"""Retention: deletes old ended jobs, ledger rows and rejects from the database, and dead messages from Redis. Bars stay."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from pydantic import BaseModel

from marketfetch import connections, redis_errors
from marketfetch.addresses import database_choice
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.ops import dead_letters, redis_writes
from marketfetch.phrases import counted
from marketfetch.storage.store import NoTables, StoreError

#: The gate reads the calls of the last days from the ledger after Redis was emptied, so no purge deletes those.
YOUNGEST: Final = timedelta(days=3)


class Purged(BaseModel):
    """The number of deleted records of each kind."""

    jobs: int
    requests: int
    rejects: int
    dead_messages: int


def purge(*, older_than: timedelta) -> Purged:
    """Deletes records that ended `older_than` ago or earlier; at least three days. Costs a few transactions per 5,000 rows.

    It is safe while workers run, and may be interrupted: the next purge continues. Raises MarketfetchError; records deleted
    before the error stay deleted.
    """
    if older_than < YOUNGEST:
        raise BadRequestError(
            f"Nothing younger than {YOUNGEST.days} days can be purged: the ledger of these says what the keys have used."
        )
    before_ms = time.time_ns() // 1_000_000 - int(older_than.total_seconds() * 1000)
    try:
        gone = connections.recorded().purge(older_than_ms=before_ms)
    except NoTables as error:
        raise UnavailableError(f"There is nothing to purge: {error}. {database_choice()}") from error
    except StoreError as error:
        raise UnavailableError(f"Not everything old was purged: {error}. Run it again.") from error
    try:
        messages = dead_letters.forget_before(before_ms)
    except redis_errors.RedisError as error:
        purged = f"{counted(gone.jobs, 'job')}, {counted(gone.ledger, 'request')}, {counted(gone.rejects, 'reject')}"
        why = redis_writes.told(error, "")
        raise UnavailableError(
            f"The database is purged ({purged}), the dead messages are not: {why} Then run it again."
        ) from error
    return Purged(jobs=gone.jobs, requests=gone.ledger, rejects=gone.rejects, dead_messages=messages)
