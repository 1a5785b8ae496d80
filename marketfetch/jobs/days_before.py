"""Which sessions before a job's range are not stored although older ones are: an update leaves them out, and says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from marketfetch import connections
from marketfetch.jobs.planning import plan, spec_of
from marketfetch.jobs.subtraction import kept
from marketfetch.jobs.without_sessions import sessions_between
from marketfetch.storage.store import StoreError
from marketfetch.vendors.times import period_start


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many `sessions` of a symbol, from the day `since` until the day before `before`, are neither stored nor asked for."""

    symbol: str
    since: date
    before: date
    sessions: int


def left_out(job_id: str) -> list[LeftOut]:
    """By symbol, for those of which something older is stored. None where the database can't say: the job goes on."""
    try:
        store = connections.recorded()
        job = store.job(job_id)
        if job is None:
            return []
        spec = spec_of(job)
        of_symbols = kept(spec, plan(spec), store)
    except StoreError:
        return []
    found = []
    for symbol, one in of_symbols.items():
        before = period_start(date.fromordinal(one.first), one.timespan)
        older = [days.last for days in one.final if days.first < before.toordinal()]
        if not older or max(older) >= before.toordinal() - 1:
            continue
        since = date.fromordinal(max(older) + 1)
        if sessions := sessions_between(one.finality, since, date.fromordinal(before.toordinal() - 1)):
            found.append(LeftOut(symbol, since, before, sessions))
    return found
