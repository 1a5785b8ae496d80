"""What both stores answer with the same SQL: jobs, tallies, what is left to do. One statement each, whatever the job's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from marketfetch.schemas.ledger import LedgerRow
from marketfetch.storage.store import Job, Tally, Unfinished

T = TypeVar("T")

# Scalar subqueries, not EXISTS: Postgres turns an EXISTS into a hash of the whole ledger, and that once per job.
_FIRST_OF: Final = "(SELECT 1 FROM ledger l WHERE l.root = j.root AND l.page = 0 LIMIT 1) IS NULL"
_NEXT_OF: Final = """
    l.next_cursor IS NOT NULL AND (SELECT 1 FROM ledger n WHERE n.root = l.root AND n.page = l.page + 1 LIMIT 1) IS NULL"""

_PENDING_FIRST: Final = f"""
    SELECT j.root, 0 AS page, NULL AS cursor FROM job_requests j
    WHERE j.job_id = ? AND {_FIRST_OF}"""  # noqa: S608

_PENDING_NEXT: Final = f"""
    SELECT l.root, l.page + 1, l.next_cursor FROM job_requests j JOIN ledger l ON l.root = j.root
    WHERE j.job_id = ? AND {_NEXT_OF}"""  # noqa: S608

#: Of a row of `jobs`: is anything left to do? Ends at the first request that is.
PENDING: Final = f"""
    ((SELECT 1 FROM job_requests j WHERE j.job_id = jobs.id
      AND ({_FIRST_OF} OR (SELECT 1 FROM ledger l WHERE l.root = j.root AND {_NEXT_OF} LIMIT 1) IS NOT NULL)
      LIMIT 1) IS NOT NULL)"""  # noqa: S608

# A later page can be over before the one that names it, so each half looks at its own page and not at the root.
_TALLY: Final = f"""
    SELECT CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE id = ? AND cancelled_at IS NOT NULL) THEN 'cancelled' ELSE 'pending' END,
           count(*), 0, 0
    FROM ({_PENDING_FIRST} UNION ALL {_PENDING_NEXT}) AS pending
    UNION ALL
    SELECT l.outcome, count(*), sum(l.rows), sum(l.rejects)
    FROM job_requests j JOIN ledger l ON l.root = j.root WHERE j.job_id = ? GROUP BY l.outcome"""  # noqa: S608

_REASONS: Final = """
    SELECT r.reason, count(*)
    FROM job_requests j JOIN ledger l ON l.root = j.root JOIN rejects r ON r.request_id = l.request_id
    WHERE j.job_id = ? GROUP BY r.reason ORDER BY count(*) DESC, r.reason"""


_LOOKED_AT_ONCE: Final = 1_000
#: Above the number of every row.
_NO_NUMBER: Final = (1 << 63) - 1


class Execute(Protocol):
    """Runs one statement of a transaction, with `?` for its values."""

    def __call__(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """The rows that it returns, if it does. Raises the driver's errors."""
        ...


class Questions(ABC):
    """Answers from `read`, which a store supplies together with its own spelling of times and lists."""

    #: Behind a SELECT: nobody else changes its rows until the transaction ends.
    for_update: str

    @abstractmethod
    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs a SELECT with `?` for its values; each call is its own snapshot. Raises StoreError."""

    @abstractmethod
    def change(self, work: Callable[[Execute], T], *, alone: bool = False) -> T:
        """Runs `work` in one transaction, again if others were in its way. Raises StoreError.

        `alone`: nobody records a job until it ends, and it sees every job that was.
        """

    @abstractmethod
    def now_ms(self) -> int:
        """Unix time by the clock that writes `over_at`."""

    @staticmethod
    @abstractmethod
    def ms(column: str) -> str:
        """SQL for a time column as Unix ms."""

    @staticmethod
    @abstractmethod
    def time(value: str = "?") -> str:
        """SQL for a time given in Unix ms."""

    @staticmethod
    @abstractmethod
    def among(values: Sequence[str]) -> tuple[str, object]:
        """SQL to stand behind a column, and its one value: is it among `values`, however many."""

    def job(self, job_id: str) -> Job | None:
        rows = self.read(f"SELECT {self.job_columns()} FROM jobs WHERE id = ?", job_id)  # noqa: S608
        return Job(*rows[0]) if rows else None

    def latest_jobs(self, limit: int = 20) -> list[Job]:
        ordered = "FROM jobs ORDER BY created_at DESC, id LIMIT ?"
        return [Job(*row) for row in self.read(f"SELECT {self.job_columns()} {ordered}", limit)]

    def cancelled_jobs(self, limit: int = 200) -> list[Job]:
        ordered = "FROM jobs WHERE cancelled_at IS NOT NULL ORDER BY cancelled_at DESC, id LIMIT ?"
        return [Job(*row) for row in self.read(f"SELECT {self.job_columns()} {ordered}", limit)]

    def tally(self, job_id: str) -> Tally:
        counts: dict[str, int] = {}
        rows = rejects = 0
        for outcome, requests, its_rows, its_rejects in self.read(_TALLY, job_id, job_id, job_id, job_id):
            # A cancelled job has two such lines: what the ledger says is cancelled, and what is not in it.
            counts[outcome] = counts.get(outcome, 0) + int(requests)
            rows += int(its_rows)
            rejects += int(its_rejects)
        reasons = {reason: int(n) for reason, n in self.read(_REASONS, job_id)} if rejects else {}
        return Tally(**counts, rows=rows, rejects=rejects, reject_reasons=reasons)

    def unfinished(self, job_id: str, limit: int | None = None) -> list[Unfinished]:
        if limit is None:
            found = self.read(f"{_PENDING_FIRST} UNION ALL {_PENDING_NEXT}", job_id, job_id)
        else:
            found = self._first_unfinished(job_id, limit)
        return sorted((Unfinished(*row) for row in found), key=lambda one: (one.root, one.page))[:limit]

    def _first_unfinished(self, job_id: str, limit: int) -> list[tuple[Any, ...]]:
        # By root, as the keys are, so that each half stops after `limit`; next pages matter only up to the last first page.
        first = self.read(f"{_PENDING_FIRST} ORDER BY j.root LIMIT ?", job_id, limit)
        if len(first) < limit or not limit:
            return first + self.read(f"{_PENDING_NEXT} ORDER BY j.root, l.page LIMIT ?", job_id, limit)
        within = f"{_PENDING_NEXT} AND j.root <= ? ORDER BY j.root, l.page LIMIT ?"
        return first + self.read(within, job_id, first[-1][0], limit)

    def failures(self, job_id: str, limit: int = 100) -> list[LedgerRow]:
        sql = f"""
            SELECT {self._ledger_columns()} FROM job_requests j JOIN ledger l ON l.root = j.root
            WHERE j.job_id = ? AND l.outcome = 'failed' ORDER BY l.symbol, l.root, l.page LIMIT ?"""  # noqa: S608
        return [LedgerRow(*row) for row in self.read(sql, job_id, limit)]

    def calls(self, provider: str, key_label: str, *, since_ms: int) -> int:
        made = f"WHERE provider = ? AND key_label = ? AND called_at >= {self.time()}"
        sql = f"""
            SELECT (SELECT coalesce(sum(calls), 0) FROM ledger {made})
                 + (SELECT coalesce(sum(calls), 0) FROM spent_calls {made})"""  # noqa: S608
        return int(self.read(sql, *(provider, key_label, since_ms) * 2)[0][0])

    def last_call(self, provider: str, key_label: str) -> int:
        made = f"""
            SELECT max({self.ms("called_at")}) AS at FROM ledger WHERE provider = ? AND key_label = ?
            UNION ALL
            SELECT max({self.ms("called_at")}) FROM spent_calls WHERE provider = ? AND key_label = ?"""  # noqa: S608
        found = self.read(f"SELECT coalesce(max(at), 0) FROM ({made}) AS made", *(provider, key_label) * 2)  # noqa: S608
        return int(found[0][0])

    def over(self, request_ids: Sequence[str]) -> set[str]:
        condition, value = self.among(request_ids)
        return {row[0] for row in self.read(f"SELECT request_id FROM ledger WHERE request_id {condition}", value)}  # noqa: S608

    def outcomes(self, request_ids: Sequence[str]) -> dict[str, LedgerRow]:
        condition, value = self.among(request_ids)
        sql = f"SELECT {self._ledger_columns()} FROM ledger l WHERE l.request_id {condition}"  # noqa: S608
        return {row.request_id: row for row in (LedgerRow(*found) for found in self.read(sql, value))}

    def latest_over(self, provider: str, *, since_ms: int, before: int | None = None) -> tuple[list[LedgerRow], int | None]:
        # By number, which needs no index: rows get theirs nearly in the order of `over_at`.
        sql = f"""
            SELECT l.id, l.provider, {self.ms("l.over_at")}, {self._ledger_columns()} FROM ledger l
            WHERE l.id < ? ORDER BY l.id DESC LIMIT {_LOOKED_AT_ONCE}"""  # noqa: S608
        found = self.read(sql, _NO_NUMBER if before is None else before)
        rows = [LedgerRow(*one[3:]) for one in found if one[1] == provider and one[2] >= since_ms]
        more = len(found) == _LOOKED_AT_ONCE and max(one[2] for one in found) >= since_ms
        return rows, found[-1][0] if more else None

    def job_columns(self) -> str:
        return f"id, spec, {self.ms('created_at')}, {self.ms('cancelled_at')}"

    def _ledger_columns(self) -> str:
        return f"""l.request_id, l.root, l.page, l.provider, l.symbol, l.outcome, l.reason, l.rows, l.rejects, l.key_label,
                   l.calls, coalesce({self.ms("l.called_at")}, 0), l.next_cursor"""
