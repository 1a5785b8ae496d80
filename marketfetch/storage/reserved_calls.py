"""Reservations of calls: an upper bound of the calls granted to a key, per minute, written before the calls are made.

The ledger learns of a call when its request is over, which may be never. A gate that has lost its state in Redis reads here
what a long window, or a calendar day, may have seen. Both methods use the clock of the database, so that the age of a
reservation is right for every reader.
"""

from __future__ import annotations

from typing import Final

from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.ledger_queries import LedgerQueries
from marketfetch.storage.statements import statements

_MINUTE_MS: Final = 60_000

#: The ledger's times come from the workers' clocks: a call this long before the first reservation may belong to it.
_CLOCKS_APART_MS: Final = 600_000


class ReservedCalls:
    """The table `call_marks`."""

    def __init__(self, database: Database, ledger: LedgerQueries) -> None:
        self._database = database
        self._ledger = ledger
        self._sql = statements("sql/reserved_calls.sql", database.spelling)

    def reserve(self, provider: str, key_label: str, *, calls: int, keep_ms: int) -> None:
        minute = self._database.now_ms() // _MINUTE_MS

        def add(execute: Execute) -> None:
            execute(self._sql["reserve"], provider, key_label, minute, calls)
            execute(self._sql["forget_before"], provider, key_label, minute - keep_ms // _MINUTE_MS)

        self._database.change(add)

    def reserved(self, provider: str, key_label: str, *, back_ms: int) -> int | None:
        since_ms = self._database.now_ms() - back_ms
        ((first, reserved),) = self._database.read(self._sql["first_and_sum"], since_ms // _MINUTE_MS, provider, key_label)
        known = self._ledger.calls(provider, key_label, since_ms=since_ms)
        until_ms = self._database.now_ms() if first is None else first * _MINUTE_MS - _CLOCKS_APART_MS
        if since_ms < until_ms and known > self._ledger.calls(provider, key_label, since_ms=until_ms):
            return None  # A release without reservations made these calls, and may have made others that the ledger lacks.
        return max(int(reserved), known)
