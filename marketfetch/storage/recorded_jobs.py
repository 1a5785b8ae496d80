"""Jobs as they were recorded: saved, cancelled, counted, and what each has left to do."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.job_records import Job, JobWaiter, Tally, ToDo, Unfinished
from marketfetch.storage.job_waiters import JobWaiters
from marketfetch.storage.open_tallies import RECENT_MS, OpenTallies
from marketfetch.storage.statements import statements
from marketfetch.storage.store_errors import StoreError, StoreUnavailable

#: Jobs noted as over in one transaction: it looks at all their requests while SQLite's other writers wait.
_NOTED_AT_ONCE: Final = 20
#: The counts of a job that is over: none of them changes any more.
_KEPT: Final = ("stored", "empty", "failed", "cancelled", "rows", "rejects", "corrected", "last_over_ms")


class RecordedJobs:
    """Each method is one statement, or one transaction, whatever the size of the job."""

    def __init__(self, database: Database, waiters: JobWaiters) -> None:
        self._database = database
        self._waiters = waiters
        self._sql = statements("sql/jobs.sql", database.spelling)
        self._open_tallies = OpenTallies(database)

    def save(self, job: Job, roots: Sequence[str], waiter: JobWaiter | None, arguments: Sequence[str]) -> bool:
        def add(execute: Execute) -> bool:
            if waiter:
                self._waiters.add(execute, waiter, due_ms=job.created_at_ms)
            tags = json.dumps(job.tags, ensure_ascii=False)
            if not execute(self._sql["add"], job.id, job.spec, job.created_at_ms, job.owner, job.name, tags):
                execute(self._sql["resume"], job.id)
                return False
            if arguments:
                plan = [f"{root:40}{n:10}{text}" for n, (root, text) in enumerate(zip(roots, arguments, strict=True))]
                execute(self._sql["add_plan"], job.id, self._database.listing(sorted(plan)))
            else:
                execute(self._sql["add_requests"], job.id, self._database.listing(sorted(set(roots))))
            self._open_tallies.begin(execute, job.id, requests=len(roots))
            return True

        return self._database.change(add)

    def cancel(self, job_id: str, *, at_ms: int) -> bool:
        return bool(self._database.change(lambda execute: execute(self._sql["cancel"], at_ms, job_id)))

    def job(self, job_id: str) -> Job | None:
        found = self._jobs("one", job_id)
        return found[0] if found else None

    def latest(self, limit: int, *, owner: str, tag: str, failed: bool) -> list[Job]:
        return self._jobs("latest", owner, owner, tag, tag, "failed" if failed else "", limit)

    def chosen_open(self, *, owner: str, tag: str, failed: bool) -> list[Job]:
        return self._jobs("chosen_open", owner, owner, tag, tag, "failed" if failed else "")

    def beginning_with(self, prefix: str, limit: int) -> list[Job]:
        # Behind every id of hexadecimal digits that begins with it.
        return self._jobs("beginning_with", prefix, f"{prefix}g", limit)

    def named(self, name: str, limit: int, *, owner: str) -> list[Job]:
        return self._jobs("named_by", name, owner, limit) if owner else self._jobs("named", name, limit)

    def cancelled(self, limit: int) -> list[Job]:
        return self._jobs("cancelled", limit)

    def open_jobs(self) -> list[Job]:
        found = self._database.read(self._sql["not_known_to_be_over"])
        over = [row[0] for row in found if not row[-1]]
        # The note spares the next caller a look at these jobs. The result is right without it too.
        with contextlib.suppress(StoreUnavailable):
            for start in range(0, len(over), _NOTED_AT_ONCE):
                self._note_over(over[start : start + _NOTED_AT_ONCE])
        return [_job(*row[:-1]) for row in found if row[-1]]

    def is_over(self, job_id: str) -> bool:
        found = self._database.read(self._sql["is_job_open"], job_id)
        if not found or found[0][0]:
            return False
        self._note_over([job_id])
        return True

    def tally(self, job_id: str) -> Tally:
        counted = self.tallies([job_id])[job_id]
        reasons = self._database.read(self._sql["reject_reasons"], job_id) if counted.rejects else []
        return replace(counted, reject_reasons={reason: int(n) for reason, n in reasons})

    def tallies(self, job_ids: Sequence[str]) -> dict[str, Tally]:
        noted = self._database.read(self._sql["noted"], self._database.listing(job_ids))
        kept = {job_id: Tally(**json.loads(tally)) for job_id, _, tally in noted if tally}
        going_on = self._open_tallies.counts([one for one in job_ids if one not in kept])
        counted = {job_id: _tally(counts) for job_id, counts in going_on.items()}
        found = {**kept, **counted, **self._counted([one for one in job_ids if one not in kept and one not in counted])}
        new = [(job_id, int(done_ms), found[job_id]) for job_id, done_ms, tally in noted if not tally]
        # Kept for the next look; the counts are right without it too.
        with contextlib.suppress(StoreError):
            self._keep([one for one in new if not one[2].pending])
        return found

    def _keep(self, new: Sequence[tuple[str, int, Tally]]) -> None:
        def keep(execute: Execute) -> None:
            for job_id, done_ms, tally in new:
                counts = {name: number for name, number in asdict(tally).items() if name in _KEPT}
                execute(self._sql["keep_tally"], json.dumps(counts), done_ms, job_id, done_ms)

        if new:
            self._database.change(keep)

    def _counted(self, job_ids: Sequence[str]) -> dict[str, Tally]:
        if not job_ids:
            return {}
        now_ms = self._database.now_ms()
        ids = self._database.listing(job_ids)
        counts: dict[str, Counter[str]] = {one: Counter() for one in job_ids}
        for job_id, state, requests, *sums, last, first, ahead in self._database.read(
            self._sql["tallies"], ids, now_ms - RECENT_MS, ids
        ):
            job = counts[job_id]
            for name, number in zip((state, "rows", "rejects", "corrected", "recent"), (requests, *sums), strict=True):
                job[name] += int(number)
            job["left"] += int(ahead) - int(first)
            job["last_over_ms"] = max(job["last_over_ms"], int(last or 0))
        return {one: _tally(found) for one, found in counts.items()}

    def pending_among(self, job_ids: Sequence[str], request_ids: Sequence[str]) -> dict[str, int]:
        if not request_ids or not job_ids:
            return {}
        parts = [one.partition("/") for one in request_ids]
        pages = [(root, int(page or 0)) for root, _, page in parts if not page or page.isdecimal()]
        named = [Unfinished(root, page, None) for root, page in pages]
        before = [Unfinished(root, page - 1, None).request_id for root, page in pages if page]
        looked_up = self._database.listing([one.request_id for one in named] + before)
        over = {row[0] for row in self._database.read(self._sql["over"], looked_up)}
        # A page is pending once the page that names it is over.
        pending = Counter(
            one.root
            for one in named
            if one.request_id not in over and (not one.page or Unfinished(one.root, one.page - 1, None).request_id in over)
        )
        owners = self._database.read(
            self._sql["first_pages_of"], self._database.listing(job_ids), self._database.listing(sorted(pending))
        )
        found: Counter[str] = Counter()
        for job_id, root in owners:
            found[job_id] += pending[root]
        return dict(found)

    def unfinished(self, job_id: str, limit: int | None) -> list[Unfinished]:
        if limit is None:
            found = self._database.read(self._sql["unfinished"], job_id, job_id)
        else:
            found = self._some_unfinished(job_id, limit)
        return sorted((Unfinished(*row) for row in found), key=lambda one: (one.root, one.page))[:limit]

    def market_requests(self, job_id: str) -> list[str]:
        return [row[0] for row in self._database.read(self._sql["market_requests"], job_id)]

    def planned_requests(self, job_id: str) -> int:
        return int(self._database.read(self._sql["planned_requests"], job_id)[0][0])

    def to_do(self, job_id: str, limit: int) -> list[ToDo]:
        return [ToDo(*row) for row in self._database.read(self._sql["to_do"], job_id, job_id, limit)]

    def _some_unfinished(self, job_id: str, limit: int) -> list[tuple[Any, ...]]:
        first = self._database.read(self._sql["some_first_pages"], job_id, limit)
        if len(first) < limit or not limit:
            return first + self._database.read(self._sql["some_next_pages"], job_id, limit)
        # Next pages matter only up to the last first page.
        return first + self._database.read(self._sql["some_next_pages_up_to"], job_id, first[-1][0], limit)

    def _jobs(self, statement: str, *values: object) -> list[Job]:
        return [_job(*row) for row in self._database.read(self._sql[statement], *values)]

    def _note_over(self, job_ids: Sequence[str]) -> None:
        ids = self._database.listing(job_ids)

        def note(execute: Execute) -> None:
            # Locked first, then looked at: `forget_failed` may have reopened one since it was found to be over.
            execute(self._sql["lock"], ids)
            execute(self._sql["note_over"], ids)

        self._database.change(note)
        self.tallies(job_ids)


def _tally(found: dict[str, Any]) -> Tally:
    """Planned requests are open, ended with their cancelled job, or over; `left`: pages that are named, less first pages."""
    left, is_open, is_over = found.pop("left", 0), "open" in found, "over" in found
    planned = found.pop("open", 0) + found.pop("ended", 0) + found.pop("over", 0)
    if not is_over:
        state = "pending" if is_open else "cancelled"
        found[state] = found.get(state, 0) + planned + left
    return Tally(**found)


def _job(id_: str, spec: str, created: int, cancelled: int | None, owner: str, name: str, tags: str) -> Job:
    found: object = None
    with contextlib.suppress(ValueError):
        found = json.loads(tags)
    # Tags that another program has damaged must not keep the job from going on.
    return Job(id_, spec, created, cancelled, owner, name, tuple(map(str, found)) if isinstance(found, list) else ())
