"""The rejects of the database: counted by reason, and the latest. The first hundred of each reason of a reply are kept."""

from __future__ import annotations

from dataclasses import dataclass

from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rejects are meant; "" leaves a side open. `reason`: a part of "field: reason", in any case."""

    job_id: str = ""
    provider: str = ""
    symbol: str = ""
    reason: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        """The values of `chosen` in rejected_rows.sql."""
        literal = self.reason.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
        twice = (self.job_id, self.provider, self.symbol)
        return (*(one for text in twice for one in (text, text)), self.reason, f"%{literal}%")


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """The kept rejects of one reason: how many rows, of how many symbols and requests; the latest in Unix ms."""

    field: str
    reason: str
    rows: int
    symbols: int
    requests: int
    latest_ms: int


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One kept reject. `row` counts from 0 in the reply of `request_id`; `rejected_ms` is in Unix ms."""

    request_id: str
    provider: str
    symbol: str
    row: int
    field: str
    value: str
    reason: str
    rejected_ms: int


def by_reason(store: Store, choice: Choice, *, limit: int) -> list[ReasonCount]:
    """The most frequent reasons first. Raises StoreError."""
    return [ReasonCount(*row) for row in store.database.read(_sql(store)["by_reason"], *choice.values, limit)]


def latest(store: Store, choice: Choice, *, limit: int) -> list[RejectedRow]:
    """The latest first; those of one reply in its order. Raises StoreError."""
    return [RejectedRow(*row) for row in store.database.read(_sql(store)["latest"], *choice.values, limit)]


def totals(store: Store, choice: Choice) -> tuple[int, int]:
    """How many rows were rejected, and how many of them are kept. Raises StoreError.

    The first is the second where a symbol or a reason is chosen: the ledger counts the others by request alone.
    """
    kept = int(store.database.read(_sql(store)["kept"], *choice.values)[0][0])
    if choice.symbol or choice.reason:
        return kept, kept
    of = (choice.provider, choice.provider, choice.job_id, choice.job_id)
    return max(kept, int(store.database.read(_sql(store)["counted"], *of)[0][0])), kept


def knows_symbol(store: Store, symbol: str) -> bool:
    """True if a bar or a reject of this symbol is stored. Raises StoreError."""
    return bool(store.database.read(_sql(store)["has_symbol"], symbol, symbol))


def _sql(store: Store) -> dict[str, str]:
    return dict(statements("sql/rejected_rows.sql", store.database.spelling))
