"""What both stores answer with the same SQL: jobs, tallies, what is left to do. One statement each, whatever the job's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal

from schemas.ledger import LedgerRow
from storage.names import RELATIONS, SCHEMA_VERSION
from storage.store import Job, StoreMismatch, Tally, Unfinished

_PENDING_FIRST: Final = """
    SELECT j.root, 0 AS page, NULL AS cursor
    FROM job_requests j
    WHERE j.job_id = ? AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.root = j.root AND l.page = 0)"""

_PENDING_NEXT: Final = """
    SELECT l.root, l.page + 1, l.next_cursor
    FROM job_requests j JOIN ledger l ON l.root = j.root
    WHERE j.job_id = ? AND l.next_cursor IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM ledger n WHERE n.root = l.root AND n.page = l.page + 1)"""

# A later page can be over before the one that names it, so each half looks at its own page and not at the root.
_TALLY: Final = f"""
    SELECT 'pending', count(*), 0, 0 FROM ({_PENDING_FIRST} UNION ALL {_PENDING_NEXT}) AS pending
    UNION ALL
    SELECT l.outcome, count(*), sum(l.rows), sum(l.rejects)
    FROM job_requests j JOIN ledger l ON l.root = j.root WHERE j.job_id = ? GROUP BY l.outcome"""  # noqa: S608

_REASONS: Final = """
    SELECT r.reason, count(*)
    FROM job_requests j JOIN ledger l ON l.root = j.root JOIN rejects r ON r.request_id = l.request_id
    WHERE j.job_id = ? GROUP BY r.reason ORDER BY count(*) DESC, r.reason"""


class Questions(ABC):
    """Answers from `read`, which a store supplies together with its own spelling of times and lists."""

    @abstractmethod
    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs a SELECT with `?` for its values; each call is its own snapshot. Raises StoreError."""

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
        rows = self.read(f"SELECT id, spec, {self.ms('created_at')} FROM jobs WHERE id = ?", job_id)  # noqa: S608
        return Job(*rows[0]) if rows else None

    def latest_jobs(self, limit: int = 20) -> list[Job]:
        ordered = "FROM jobs ORDER BY created_at DESC, id LIMIT ?"
        return [Job(*row) for row in self.read(f"SELECT id, spec, {self.ms('created_at')} {ordered}", limit)]

    def tally(self, job_id: str) -> Tally:
        counts: dict[str, int] = {}
        rows = rejects = 0
        for outcome, requests, its_rows, its_rejects in self.read(_TALLY, job_id, job_id, job_id):
            counts[outcome] = int(requests)
            rows += int(its_rows)
            rejects += int(its_rejects)
        reasons = {reason: int(n) for reason, n in self.read(_REASONS, job_id)} if rejects else {}
        return Tally(**counts, rows=rows, rejects=rejects, reject_reasons=reasons)

    def unfinished(self, job_id: str) -> list[Unfinished]:
        found = self.read(f"{_PENDING_FIRST} UNION ALL {_PENDING_NEXT}", job_id, job_id)
        return sorted((Unfinished(*row) for row in found), key=lambda one: (one.root, one.page))

    def failures(self, job_id: str, limit: int = 100) -> list[LedgerRow]:
        sql = f"""
            SELECT l.request_id, l.root, l.page, l.provider, l.symbol, l.outcome, l.reason, l.rows, l.rejects, l.key_label,
                   l.calls, coalesce({self.ms("l.called_at")}, 0), l.next_cursor
            FROM job_requests j JOIN ledger l ON l.root = j.root
            WHERE j.job_id = ? AND l.outcome = 'failed' ORDER BY l.symbol, l.root, l.page LIMIT ?"""  # noqa: S608
        return [LedgerRow(*row) for row in self.read(sql, job_id, limit)]

    def calls(self, provider: str, key_label: str, *, since_ms: int) -> int:
        sql = f"""
            SELECT coalesce(sum(calls), 0) FROM ledger
            WHERE provider = ? AND key_label = ? AND called_at >= {self.time()}"""  # noqa: S608
        return int(self.read(sql, provider, key_label, since_ms)[0][0])

    def last_call(self, provider: str, key_label: str) -> int:
        sql = f"SELECT coalesce(max({self.ms('called_at')}), 0) FROM ledger WHERE provider = ? AND key_label = ?"  # noqa: S608
        return int(self.read(sql, provider, key_label)[0][0])

    def outcomes(self, request_ids: Sequence[str]) -> dict[str, LedgerRow]:
        condition, value = self.among(request_ids)
        sql = f"""
            SELECT l.request_id, l.root, l.page, l.provider, l.symbol, l.outcome, l.reason, l.rows, l.rejects, l.key_label,
                   l.calls, coalesce({self.ms("l.called_at")}, 0), l.next_cursor
            FROM ledger l WHERE l.request_id {condition}"""  # noqa: S608
        return {row[0]: LedgerRow(*row) for row in self.read(sql, value)}

    def over(self, request_ids: Sequence[str]) -> set[str]:
        condition, value = self.among(request_ids)
        return {row[0] for row in self.read(f"SELECT request_id FROM ledger WHERE request_id {condition}", value)}  # noqa: S608


def refuse_foreign(present: set[str], version: int | None, where: str) -> None:
    """Raises StoreMismatch where the tables in `present` are not ours, or of another release."""
    if version is None and (taken := sorted(present & RELATIONS)):
        raise StoreMismatch(
            f"{where} already has a table or view named {taken[0]} that marketfetch did not make: give it a database of its own"
        )
    if version is not None and version != SCHEMA_VERSION:
        newer = version > SCHEMA_VERSION
        todo = "install the marketfetch that made it" if newer else "name a new database, or the marketfetch that made it"
        raise StoreMismatch(f"{where} has tables of schema {version}, this marketfetch knows schema {SCHEMA_VERSION}: {todo}")


def no_tables(where: str) -> StoreMismatch:
    return StoreMismatch(
        f"{where} has no marketfetch tables yet: `marketfetch fetch` and `marketfetch up` make them at their start"
    )


def to_make(kind: Literal["sqlite", "postgresql"], present: AbstractSet[str]) -> list[str]:
    """The statements that make what is not in `present`, in order; none, and nothing is loaded, where all of it is there."""
    if present >= RELATIONS:
        return []
    from storage.tables import missing

    return missing(kind, present)
