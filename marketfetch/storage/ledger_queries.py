"""What both stores change with the same SQL: jobs cancelled, failed requests forgotten, jobs that are over marked as such."""

from __future__ import annotations

import contextlib
from typing import Final

from marketfetch.storage.questions import PENDING, Execute, Questions
from marketfetch.storage.store import Job, StoreUnavailable

#: Jobs marked in one transaction: it looks at all their requests while SQLite's other writers wait.
_MARKED_AT_ONCE: Final = 20

_FAILED_OF_JOB: Final = "outcome = 'failed' AND root IN (SELECT root FROM job_requests WHERE job_id = ?)"
_FAILED: Final = "outcome = 'failed' AND request_id = ?"


class Changes(Questions):
    """The rarer changes, made by `change`; the frequent ones, `store` and `save_job`, each store makes in its own way."""

    def cancel_job(self, job_id: str, *, at_ms: int) -> bool:
        sql = f"UPDATE jobs SET cancelled_at = {self.time()} WHERE id = ? AND cancelled_at IS NULL RETURNING id"  # noqa: S608
        return bool(self.change(lambda execute: execute(sql, at_ms, job_id)))

    def forget_failed(self, job_id: str) -> int:
        return self.change(lambda execute: self._forget_where(execute, _FAILED_OF_JOB, job_id))

    def forget_if_failed(self, request_id: str) -> bool:
        return bool(self.change(lambda execute: self._forget_where(execute, _FAILED, request_id)))

    def _forget_where(self, execute: Execute, which: str, value: str) -> int:
        # Named one by one from here on: another request may fail between two statements.
        failed = execute(f"SELECT request_id, root FROM ledger WHERE {which} {self.for_update}", value)  # noqa: S608
        if not failed:
            return 0
        condition, ids = self.among([row[0] for row in failed])
        execute(
            f"""INSERT INTO spent_calls (provider, key_label, calls, called_at)
                SELECT provider, key_label, calls, called_at FROM ledger
                WHERE request_id {condition} AND calls > 0 AND called_at IS NOT NULL""",  # noqa: S608
            ids,
        )
        execute(f"DELETE FROM rejects WHERE request_id {condition}", ids)  # noqa: S608
        execute(f"DELETE FROM ledger WHERE request_id {condition}", ids)  # noqa: S608
        # Last, and without asking what stands there: a mark set until this moment did not see the rows go.
        condition, roots = self.among(sorted({row[1] for row in failed}))
        asking = f"SELECT job_id FROM job_requests WHERE root {condition}"  # noqa: S608
        execute(f"UPDATE jobs SET done_at = NULL WHERE id IN ({asking})", roots)  # noqa: S608
        return len(failed)

    def open_jobs(self) -> list[Job]:
        sql = f"""
            SELECT {self.job_columns()}, {PENDING} FROM jobs
            WHERE done_at IS NULL AND cancelled_at IS NULL ORDER BY created_at, id"""  # noqa: S608
        found = self.read(sql)
        over = [row[0] for row in found if not row[-1]]
        # The mark spares the next one a look. Where nothing can be written now, the answer is right all the same.
        with contextlib.suppress(StoreUnavailable):
            for start in range(0, len(over), _MARKED_AT_ONCE):
                self._mark_over(over[start : start + _MARKED_AT_ONCE])
        return [Job(*row[:-1]) for row in found if row[-1]]

    def _mark_over(self, job_ids: list[str]) -> None:
        condition, ids = self.among(job_ids)

        def mark(execute: Execute) -> None:
            # Held first, and looked at then: `forget_failed` may have reopened one since it was found to be over.
            execute(f"SELECT id FROM jobs WHERE id {condition} ORDER BY id {self.for_update}", ids)  # noqa: S608
            last = "SELECT max(l.over_at) FROM job_requests j JOIN ledger l ON l.root = j.root WHERE j.job_id = jobs.id"
            execute(f"UPDATE jobs SET done_at = coalesce(({last}), created_at) WHERE id {condition} AND NOT {PENDING}", ids)  # noqa: S608

        self.change(mark)
