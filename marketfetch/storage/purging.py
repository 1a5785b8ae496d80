"""Deletes what is old: jobs that are over, then the requests that no job asks for any more. Bars stay.

A ledger row that a job still names stays, or its request would be unfinished and paid for twice. So jobs go first, and only
rows without a job follow. A job's own row goes before its list of requests: a job with half a list would seem to be whole,
while the next purge finds and clears a list without a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.job_records import Purged
from marketfetch.storage.recorded_jobs import RecordedJobs
from marketfetch.storage.statements import statements

#: Rows deleted in one transaction.
PIECE: Final = 5_000

#: No calendar quota reaches further back than yesterday and its time zone, and `calls` must be right for it.
YOUNGEST_MS: Final = 3 * 86_400_000

#: The reservations of a key in use go with each new one. Those of other keys go when no window is as long as this.
RESERVATIONS_MS: Final = 32 * 86_400_000


class Purging:
    def __init__(self, database: Database, jobs: RecordedJobs) -> None:
        self._database = database
        self._jobs = jobs
        self._sql = statements("sql/purging.sql", database.spelling)

    def purge(self, *, older_than_ms: int) -> Purged:
        with self._database.unhurried():
            before_ms = min(older_than_ms, self._database.now_ms() - YOUNGEST_MS)
            self._jobs.open_jobs()  # notes of those that are over when they ended
            jobs = self._repeat("jobs", before_ms, before_ms, PIECE, before_ms, before_ms)
            self._database.change(lambda execute: execute(self._sql["waiters_without_job"]), alone=True)
            for (job_id,) in self._database.read(self._sql["lists_without_job"]):
                self._shorten_list(job_id)
            ledger, rejects = self._purge_ledger(before_ms)
            self._repeat("spent_calls", before_ms, PIECE)
            oldest_minute = (self._database.now_ms() - RESERVATIONS_MS) // 60_000
            self._database.change(lambda execute: execute(self._sql["reserved_calls"], oldest_minute))
            return Purged(jobs, ledger, rejects)

    def _shorten_list(self, job_id: str) -> None:
        self._repeat("shorten_list", job_id, job_id, PIECE, job_id)

    def _repeat(self, statement: str, *values: object) -> int:
        """Runs a DELETE, each time in its own transaction, until it finds less than a whole piece. Returns how many rows."""

        def delete(execute: Execute) -> int:
            return len(execute(self._sql[statement], *values))

        deleted = 0
        while some := self._database.change(delete, alone=True):
            deleted += some
            if some < PIECE:
                break
        return deleted

    def _purge_ledger(self, before_ms: int) -> tuple[int, int]:
        ledger = rejects = last_id = 0
        while found := self._database.read(self._sql["old_requests"], last_id, before_ms, before_ms, PIECE):
            for some in _pieces(found):
                requests, bad = self._database.change(partial(self._drop, some), alone=True)
                ledger, rejects, last_id = ledger + requests, rejects + bad, found[-1][0]
        return ledger, rejects

    def _drop(self, request_ids: Sequence[str], execute: Execute) -> tuple[int, int]:
        gone = execute(self._sql["requests"], self._database.listing(request_ids))
        bad = execute(self._sql["rejects"], self._database.listing([row[0] for row in gone]))
        return len(gone), len(bad)


def _pieces(found: Sequence[tuple[Any, ...]]) -> list[list[str]]:
    """Request ids, so many together that with their rejects they are at most PIECE rows; at least one."""
    pieces: list[list[str]] = []
    room = 0
    for _, request_id, rejects in found:
        if not pieces or 1 + rejects > room:
            pieces.append([])
            room = PIECE
        pieces[-1].append(request_id)
        room -= 1 + rejects
    return pieces
