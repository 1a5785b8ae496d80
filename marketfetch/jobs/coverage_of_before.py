"""What the replies that an earlier release has stored cover, from its jobs and the ledger: a part of `check --upgrade`."""

from __future__ import annotations

from typing import Any, Final

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import MarketfetchError
from marketfetch.jobs.planning import plan, spec_of
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.request import Request
from marketfetch.storage.store import Job, Store
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.generations import other_generations

#: Intervals written in one transaction, and jobs looked up at once.
_AT_ONCE: Final = 2_000
_JOBS_AT_ONCE: Final = 50


def build_coverage(store: Store) -> tuple[int, int]:
    """Returns how many intervals were built, and from how many jobs. Raises StoreError; the next run goes on where it ended.

    A job that can't be read or planned any more is passed over: what it has stored is found by its requests' identity.
    """
    before, jobs = store.covered_intervals(), 0
    while ids := store.jobs_to_cover(_JOBS_AT_ONCE):
        for job_id in ids:
            if job := store.job(job_id):
                covered = _covered(store, job)
                for first in range(0, len(covered), _AT_ONCE):
                    store.cover(covered[first : first + _AT_ONCE])
                jobs += 1
            # Last: after a crash the job is done again, which changes nothing.
            store.job_is_covered(job_id)
    return store.covered_intervals() - before, jobs


def _covered(store: Store, job: Job) -> list[Covered]:
    if not (replies := store.replies(job.id)):
        return []
    try:
        spec = spec_of(job)
        planned = plan(spec)
    except MarketfetchError:
        return []
    vendor: Any = vendors.vendor(spec.provider)
    by_root: dict[str, Request] = {other.root: other for one in planned for other in (*other_generations(spec, one), one)}
    return [
        covered
        for root, called_at_ms in replies
        if root in by_root
        for covered in covered_by(by_root[root], vendor, options(spec.provider), called_at_ms=called_at_ms)
    ]
