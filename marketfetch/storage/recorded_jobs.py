"""Jobs as they were recorded: saved, cancelled, counted, and what each has left to do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any, Final

from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.job_records import Job, Tally, Unfinished
from marketfetch.storage.statements import statements
from marketfetch.storage.store_errors import StoreUnavailable

#: Jobs noted as over in one transaction: it looks at all their requests while SQLite's other writers wait.
_NOTED_AT_ONCE: Final = 20


class RecordedJobs:
    """Each method is one statement, or one transaction, whatever the size of the job."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("sql/jobs.sql", database.spelling)

    def save(self, job: Job, roots: Sequence[str]) -> bool:
        def add(execute: Execute) -> bool:
            tags = json.dumps(job.tags, ensure_ascii=False)
            if not execute(self._sql["add"], job.id, job.spec, job.created_at_ms, job.owner, job.name, tags):
                execute(self._sql["resume"], job.id)
                return False
            execute(self._sql["add_requests"], job.id, self._database.listing(sorted(set(roots))))
            return True

        return self._database.change(add)

    def cancel(self, job_id: str, *, at_ms: int) -> bool:
        return bool(self._database.change(lambda execute: execute(self._sql["cancel"], at_ms, job_id)))

    def job(self, job_id: str) -> Job | None:
        found = self._jobs("one", job_id)
        return found[0] if found else None

    def latest(self, limit: int, *, owner: str, tag: str) -> list[Job]:
        return self._jobs("latest", owner, owner, tag, tag, limit)

    def beginning_with(self, prefix: str, limit: int) -> list[Job]:
        # Behind every id of hexadecimal digits that begins with it.
        return self._jobs("beginning_with", prefix, f"{prefix}g", limit)

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

    def tally(self, job_id: str) -> Tally:
        counts: dict[str, int] = {}
        rows = rejects = 0
        for outcome, requests, its_rows, its_rejects in self._database.read(self._sql["tally"], *[job_id] * 4):
            # A cancelled job has two such lines: what the ledger says is cancelled, and what is not in the ledger.
            counts[outcome] = counts.get(outcome, 0) + int(requests)
            rows += int(its_rows)
            rejects += int(its_rejects)
        reasons = self._database.read(self._sql["reject_reasons"], job_id) if rejects else []
        return Tally(**counts, rows=rows, rejects=rejects, reject_reasons={reason: int(n) for reason, n in reasons})

    def unfinished(self, job_id: str, limit: int | None) -> list[Unfinished]:
        if limit is None:
            found = self._database.read(self._sql["unfinished"], job_id, job_id)
        else:
            found = self._some_unfinished(job_id, limit)
        return sorted((Unfinished(*row) for row in found), key=lambda one: (one.root, one.page))[:limit]

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


def _job(id_: str, spec: str, created: int, cancelled: int | None, owner: str, name: str, tags: str) -> Job:
    found: object = None
    with contextlib.suppress(ValueError):
        found = json.loads(tags)
    # Tags that another program has damaged must not keep the job from going on.
    return Job(id_, spec, created, cancelled, owner, name, tuple(map(str, found)) if isinstance(found, list) else ())
