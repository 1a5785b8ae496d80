"""Deleting what is old: jobs that are over, then the requests that no job asks for any more. Bars stay.

A ledger row that a job still names must stay, or its request would be to do again and be paid twice. So jobs go first,
and only rows without any job follow. A job's own row goes before its list of requests: a job with half a list would seem to be
whole, a list without a job is found and cleared by the next purge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from marketfetch.storage.marks import Marks
from marketfetch.storage.questions import Execute
from marketfetch.storage.store import Purged

#: Rows deleted in one transaction.
PIECE: Final = 5_000

#: No calendar quota reaches further back than yesterday and its time zone, and `calls` must be right for it.
YOUNGEST_MS: Final = 3 * 86_400_000

#: Of a key in use what no limit reaches back to goes with each mark; of others when no window is as long as this.
MARKS_MS: Final = 32 * 86_400_000

_UNASKED: Final = "(SELECT 1 FROM job_requests j WHERE j.root = ledger.root LIMIT 1) IS NULL"

# One step through the key per job, however many requests each of them lists.
_LISTS_WITHOUT_JOB: Final = """
    WITH RECURSIVE listed (job_id) AS (
        SELECT min(job_id) FROM job_requests
        UNION ALL
        SELECT (SELECT min(r.job_id) FROM job_requests r WHERE r.job_id > listed.job_id) FROM listed
        WHERE listed.job_id IS NOT NULL)
    SELECT job_id FROM listed WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = listed.job_id)"""


class Purging(Marks):
    def purge(self, *, older_than_ms: int) -> Purged:
        before_ms = min(older_than_ms, self.now_ms() - YOUNGEST_MS)
        self.open_jobs()  # marks those that are over with when they were
        jobs = self._repeat(lambda execute: len(execute(*self._old_jobs(before_ms))))
        for (job_id,) in self.read(_LISTS_WITHOUT_JOB):
            self._repeat(partial(_shorten, job_id=job_id))
        ledger, rejects = self._purge_ledger(before_ms)
        old = f"SELECT id FROM spent_calls WHERE called_at < {self.time()} LIMIT {PIECE}"  # noqa: S608
        forget = f"DELETE FROM spent_calls WHERE id IN ({old}) RETURNING id"  # noqa: S608
        self._repeat(lambda execute: len(execute(forget, before_ms)))
        old_marks = (self.now_ms() - MARKS_MS) // 60_000
        self.change(lambda execute: execute("DELETE FROM call_marks WHERE minute < ?", old_marks))
        return Purged(jobs, ledger, rejects)

    def _repeat(self, delete: Callable[[Execute], int]) -> int:
        """Runs `delete`, each time in its own transaction, until it finds less than a whole piece; how many in all."""
        deleted = 0
        while some := self.change(delete, alone=True):
            deleted += some
            if some < PIECE:
                break
        return deleted

    def _old_jobs(self, before_ms: int) -> tuple[Any, ...]:
        old = f"coalesce(cancelled_at, done_at) < {self.time()} AND created_at < {self.time()}"
        some = f"SELECT id FROM jobs WHERE {old} LIMIT {PIECE}"  # noqa: S608
        # The condition once more outside: somebody may reopen a job after it was chosen.
        return f"DELETE FROM jobs WHERE id IN ({some}) AND {old} RETURNING id", *[before_ms] * 4  # noqa: S608

    def _purge_ledger(self, before_ms: int) -> tuple[int, int]:
        ledger = rejects = last_id = 0
        sql = f"""
            SELECT id, request_id, rejects FROM ledger
            WHERE id > ? AND over_at < {self.time()} AND (called_at IS NULL OR called_at < {self.time()}) AND {_UNASKED}
            ORDER BY id LIMIT {PIECE}"""  # noqa: S608
        while found := self.read(sql, last_id, before_ms, before_ms):
            for some in _pieces(found):
                requests, bad = self.change(partial(self._drop, some), alone=True)
                ledger, rejects, last_id = ledger + requests, rejects + bad, found[-1][0]
        return ledger, rejects

    def _drop(self, request_ids: Sequence[str], execute: Execute) -> tuple[int, int]:
        condition, ids = self.among(request_ids)
        gone = execute(f"DELETE FROM ledger WHERE request_id {condition} AND {_UNASKED} RETURNING request_id", ids)  # noqa: S608
        condition, ids = self.among([row[0] for row in gone])
        return len(gone), len(execute(f"DELETE FROM rejects WHERE request_id {condition} RETURNING id", ids))  # noqa: S608


def _shorten(execute: Execute, job_id: str) -> int:
    some = f"SELECT root FROM job_requests WHERE job_id = ? LIMIT {PIECE}"  # noqa: S608
    # The same job may have been submitted anew in the meantime.
    sql = f"""
        DELETE FROM job_requests WHERE job_id = ? AND root IN ({some}) AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?)
        RETURNING root"""  # noqa: S608
    return len(execute(sql, job_id, job_id, job_id))


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
