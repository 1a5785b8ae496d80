"""The counts of many jobs that go on: what is counted of a big one is kept with it, and the next look counts what came since.

Rows of the ledger only come, in the order of their ids, but for failed ones, which may be forgotten, by other releases too. So
kept are the counts of the rows up to an id, and which of these rows may still change them ("loose"): the failed ones, and pages
that name a next one that was not among them. Each look reads the loose rows again; where a failed one is gone, the job is
counted anew.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, NamedTuple

from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.statements import statements
from marketfetch.storage.store_errors import StoreError

#: Requests that were over so long ago, or later, count in the rate of their job.
RECENT_MS: Final = 60_000
#: Counts are kept of rows that are older: a transaction that began before them has ended, so that no row comes among them.
SETTLED_MS = 120_000
#: So many rows at the end of the ledger are counted at each look.
AT_THE_END = 20_000
#: Counts of fewer rows are not worth a write.
WORTH_KEEPING = 1_000
#: Fewer jobs are counted sooner by themselves.
MANY_JOBS = 10
_MOST_LOOSE: Final = 500


@dataclass(frozen=True, slots=True)
class _Kept:
    """The counts of a job's rows up to the id `upto`; `planned` requests it has. `failed`, `ahead`: the loose ones."""

    upto: int
    planned: int
    counts: dict[str, int]
    first: int
    last_over_ms: int
    failed: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)


class _Row(NamedTuple):
    """A row of the ledger; of a loose one `job_id` is None.

    `next_id` is that of the next page, 0 if none is named, -1 if it is missing.
    """

    job_id: str | None
    id: int
    request_id: str
    outcome: str
    rows: int
    rejects: int
    corrected: int
    over_ms: int
    page: int
    next_id: int

    def is_ahead(self, upto: int) -> bool:
        """True if it names a page of which no row up to that id tells."""
        return self.next_id < 0 or self.next_id > upto


class OpenTallies:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("sql/jobs.sql", database.spelling)

    def begin(self, execute: Execute, job_id: str, *, requests: int) -> None:
        """Keeps the number of requests with a new job of so many, in the transaction that records it, for the first look."""
        if requests >= WORTH_KEEPING:
            planned = int(execute(self._sql["planned_requests"], job_id)[0][0])  # a root may be named twice
            execute(self._sql["keep_open"], json.dumps(asdict(_Kept(0, planned, {}, 0, 0))), job_id)

    def counts(self, job_ids: Sequence[str]) -> dict[str, Counter[str]]:
        """What `RecordedJobs` makes tallies of, for those of these jobs that can be counted so and are not over."""
        if len(job_ids) < MANY_JOBS:
            return {}
        from_id = int(self._database.read(self._sql["latest_row"])[0][0]) - AT_THE_END
        now_ms = self._database.now_ms()
        settled = int(self._database.read(self._sql["settled_row"], from_id, now_ms - SETTLED_MS)[0][0])
        if not settled and from_id > 0:
            return {}  # a ledger that grows faster than its rows settle
        found = self._database.read(self._sql["kept_open"], self._database.listing(job_ids))
        jobs = {job_id: (int(created_ms), bool(is_cancelled)) for job_id, created_ms, is_cancelled, _ in found}
        known = {job_id: _Kept(**json.loads(tally)) for job_id, *_, tally in found if tally}
        kept = {job_id: one for job_id, one in known.items() if one.upto >= from_id}
        new = self._up_to(settled, [one for one in jobs if one not in kept], known)
        rows = self._since({**kept, **new})
        loose = {row.request_id: row for row in rows[None]}
        counts: dict[str, Counter[str]] = {}
        for job_id, one in {**kept, **new}.items():
            if not _is_whole(one, loose):
                continue  # a failed request was forgotten
            created_ms, is_cancelled = jobs[job_id]
            own = [row for row in rows[job_id] if row.id > one.upto]
            counts[job_id] = _counted(one, own, loose, max(now_ms - RECENT_MS, created_ms))
            counts[job_id]["ended" if is_cancelled else "open"] = one.planned
            if settled - one.upto >= AT_THE_END // 4:
                new[job_id] = _moved(one, own, loose, settled)
        # Kept for the next look; the counts are right without it too.
        with contextlib.suppress(StoreError):
            self._keep({job_id: one for job_id, one in new.items() if job_id in counts})
        return counts

    def _up_to(self, settled: int, job_ids: Sequence[str], known: Mapping[str, _Kept]) -> dict[str, _Kept]:
        """The counts of the rows up to the id `settled`. `known`: earlier ones of these jobs, whose plans do not change."""
        if not job_ids:
            return {}
        ids = self._database.listing(job_ids)
        planned = {job_id: known[job_id].planned for job_id in job_ids if job_id in known}
        if asked := [one for one in job_ids if one not in planned]:
            counted = self._database.read(self._sql["planned_of"], self._database.listing(asked))
            planned |= {job_id: int(number) for job_id, number in counted}
        found = {one: _Kept(settled, planned.get(one, 0), {}, 0, 0) for one in job_ids}
        if settled < sum(planned.values()):
            rows = self._database.read(self._sql["up_to_from_rows"], settled, settled, ids)
        else:
            rows = self._database.read(self._sql["up_to"], settled, ids, settled)
        for job_id, *sums, last, first, failed, ahead in rows:
            counts = dict(zip(_SUMS, map(int, sums), strict=True))
            names = [text.split(",") if text else [] for text in (failed, ahead)]
            found[job_id] = _Kept(settled, planned.get(job_id, 0), counts, int(first), int(last or 0), *names)
        return found

    def _since(self, kept: Mapping[str, _Kept]) -> Mapping[str | None, list[_Row]]:
        """The rows behind those that are counted in `kept`, by job, and the loose ones under None: of one moment."""
        found: dict[str | None, list[_Row]] = defaultdict(list)
        if kept:
            loose = {name for one in kept.values() for name in (*one.failed, *one.ahead)}
            lists = self._database.listing(list(kept)), self._database.listing(sorted(loose))
            for row in self._database.read(self._sql["since"], min(one.upto for one in kept.values()), *lists):
                found[row[0]].append(_Row(*row))
        return found

    def _keep(self, new: Mapping[str, _Kept]) -> None:
        worth = {
            job_id: one
            for job_id, one in new.items()
            if one.planned >= WORTH_KEEPING and len(one.failed) + len(one.ahead) <= _MOST_LOOSE
        }
        if worth:
            texts = {job_id: json.dumps(asdict(one)) for job_id, one in worth.items()}
            self._database.change(
                lambda execute: [execute(self._sql["keep_open"], texts[job_id], job_id) for job_id in sorted(texts)]
            )


#: The counts that `up_to` returns of a job, in order.
_SUMS: Final = ("stored", "empty", "failed", "cancelled", "rows", "rejects", "corrected")


def _is_whole(one: _Kept, loose: Mapping[str, _Row]) -> bool:
    """False where a failed request that was counted has been forgotten, even if it was made again since."""
    return all(name in loose and loose[name].id <= one.upto for name in (*one.failed, *one.ahead))


def _counted(one: _Kept, rows: Sequence[_Row], loose: Mapping[str, _Row], recent_ms: int) -> Counter[str]:
    """The counts of a job with the rows since; `left`: pages that are named and missing, less first pages."""
    job = Counter(one.counts)
    for row in rows:
        job.update(_of_row(row))
        job["recent"] += row.over_ms >= recent_ms
    ahead = sum(row.next_id < 0 for row in (*rows, *(loose[name] for name in one.ahead)))
    job["left"] = ahead - one.first - sum(not row.page for row in rows)
    job["last_over_ms"] = max([one.last_over_ms, *(row.over_ms for row in rows)])
    return job


def _moved(one: _Kept, rows: Sequence[_Row], loose: Mapping[str, _Row], upto: int) -> _Kept:
    """What is kept of a job, with those of the rows since that are not behind the id `upto`."""
    counts = Counter(one.counts)
    among = [row for row in rows if row.id <= upto]
    for row in among:
        counts.update(_of_row(row))
    return _Kept(
        upto=upto,
        planned=one.planned,
        counts=dict(counts),
        first=one.first + sum(not row.page for row in among),
        last_over_ms=max([one.last_over_ms, *(row.over_ms for row in among)]),
        failed=[*one.failed, *(row.request_id for row in among if row.outcome == "failed")],
        ahead=[row.request_id for row in (*(loose[name] for name in one.ahead), *among) if row.is_ahead(upto)],
    )


def _of_row(row: _Row) -> dict[str, int]:
    return {row.outcome: 1, "rows": row.rows, "rejects": row.rejects, "corrected": row.corrected}
