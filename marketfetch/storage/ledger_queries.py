"""The ledger: which requests are over and how they ended, what calls they cost, and failed requests made ready for a retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from marketfetch.schemas.ledger import LedgerRow
from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.statements import statements

_LOOKED_AT_ONCE: Final = 1_000
#: Above the number of every row.
_NO_NUMBER: Final = (1 << 63) - 1


class LedgerQueries:
    """Each method is one statement, or one transaction, whatever the number of requests."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("sql/ledger.sql", database.spelling)

    def over(self, request_ids: Sequence[str]) -> set[str]:
        return {row[0] for row in self._database.read(self._sql["over"], self._database.listing(request_ids))}

    def ended_roots(self, roots: Sequence[str]) -> dict[str, bool]:
        found = self._database.read(self._sql["ended_roots"], self._database.listing(roots))
        return {root: bool(without_result) for root, without_result in found}

    def outcomes(self, request_ids: Sequence[str]) -> dict[str, LedgerRow]:
        found = self._database.read(self._sql["outcomes"], self._database.listing(request_ids))
        return {row.request_id: row for row in (LedgerRow(*one) for one in found)}

    def latest_over(self, provider: str, *, since_ms: int, before: int | None) -> tuple[list[LedgerRow], int | None]:
        found = self._database.read(self._sql["latest_over"], _NO_NUMBER if before is None else before, _LOOKED_AT_ONCE)
        rows = [LedgerRow(*one[3:]) for one in found if one[1] == provider and one[2] >= since_ms]
        more = len(found) == _LOOKED_AT_ONCE and max(one[2] for one in found) >= since_ms
        return rows, found[-1][0] if more else None

    def recent_calls(self, provider: str) -> list[int]:
        return [int(row[0]) for row in self._database.read(self._sql["recent_calls"], _LOOKED_AT_ONCE, provider)]

    def failures(self, job_id: str, limit: int) -> list[LedgerRow]:
        return [LedgerRow(*row) for row in self._database.read(self._sql["failures"], job_id, limit)]

    def empty_symbols(self, job_id: str, limit: int) -> tuple[list[str], int]:
        found = self._database.read(self._sql["empty_symbols"], job_id, limit)
        return [row[0] for row in found], int(found[0][1]) if found else 0

    def calls(self, provider: str, key_label: str, *, since_ms: int) -> int:
        return int(self._database.read(self._sql["calls"], *(provider, key_label, since_ms) * 2)[0][0])

    def last_call(self, provider: str, key_label: str) -> int:
        return int(self._database.read(self._sql["last_call"], *(provider, key_label) * 2)[0][0])

    def forget_failed(self, job_id: str) -> int:
        return self._database.change(lambda execute: self._forget(execute, "failed_of_job", job_id))

    def forget_if_failed(self, request_id: str) -> bool:
        return bool(self._database.change(lambda execute: self._forget(execute, "failed_request", request_id)))

    def _forget(self, execute: Execute, which: str, value: str) -> int:
        # The ids are fixed from here on: another request may fail between two statements.
        failed = execute(self._sql[which], value)
        if not failed:
            return 0
        ids = self._database.listing([row[0] for row in failed])
        for statement in ("keep_calls", "forget_rejects", "forget"):
            execute(self._sql[statement], ids)
        # Last, and for every job: a `done_at` that was written until this moment did not see the rows go.
        execute(self._sql["reopen_jobs"], self._database.listing(sorted({row[1] for row in failed})))
        return len(failed)
