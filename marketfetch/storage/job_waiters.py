"""Who waits for the end of a job: stored beside the job, so that neither a crash nor an emptied Redis forgets them.

A waiter is recorded in the transaction that records its job, claimed by the process that notifies it, and deleted once it is
notified. A claim expires: what a process did not notify before it crashed, another one notifies.
"""

from __future__ import annotations

from collections.abc import Sequence

from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.job_records import JobWaiter
from marketfetch.storage.statements import statements


class JobWaiters:
    """Each method is one statement. Moments are Unix ms."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("sql/job_waiters.sql", database.spelling)

    def add(self, execute: Execute, waiter: JobWaiter, *, due_ms: int) -> None:
        """Within the transaction that records the job. Nothing changes where the job has this waiter already."""
        execute(self._sql["add"], waiter.job_id, waiter.name, waiter.message, due_ms, waiter.gives_up_at_ms)

    def of_job(self, job_id: str) -> list[JobWaiter]:
        return [JobWaiter(*row) for row in self._database.read(self._sql["of_job"], job_id)]

    def jobs_of_requests(self, roots: Sequence[str]) -> list[str]:
        found = self._database.read(self._sql["jobs_of_requests"], self._database.listing(sorted(set(roots))))
        return sorted(row[0] for row in found)

    def due(self, *, now_ms: int, limit: int) -> list[JobWaiter]:
        return [JobWaiter(*row) for row in self._database.read(self._sql["due"], now_ms, now_ms, limit)]

    def claim(self, waiter: JobWaiter, *, now_ms: int, until_ms: int) -> bool:
        def claimed(execute: Execute) -> bool:
            return bool(execute(self._sql["claim"], until_ms, waiter.job_id, waiter.name, now_ms))

        return self._database.change(claimed)

    def forget(self, job_id: str, name: str) -> bool:
        return self._database.change(lambda execute: bool(execute(self._sql["forget"], job_id, name)))
