"""Stored splits and dividends, as they are needed to adjust prices, and when their lists were fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from marketfetch.schemas.record_kinds import WHOLE_MARKET
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


class StoredAction(NamedTuple):
    """`value`: new shares for one old share, or cash for one share. Times are Unix ms; `gone_at` None for what is there."""

    provider: str
    symbol: str
    ex_date: str
    value: float
    first_seen: int
    gone_at: int | None
    kind: str
    currency: str


def stored_actions(store: Store, dataset: Literal["splits", "dividends"], symbols: Sequence[str]) -> list[StoredAction]:
    """The splits or the dividends of these symbols, of every vendor. Raises StoreError."""
    return [StoredAction(*row) for row in store.database.read(_sql(store)[dataset], store.database.listing(symbols))]


def action_lists(store: Store, symbols: Sequence[str]) -> dict[tuple[str, str, str], int]:
    """When the latest whole list was fetched, in Unix ms, by provider, dataset and symbol.

    The symbol "*" is the list of all symbols. Raises StoreError.
    """
    found = store.database.read(_sql(store)["lists"], store.database.listing([*symbols, WHOLE_MARKET]))
    return {(provider, dataset, symbol): int(ms) for provider, dataset, symbol, ms in found}


def _sql(store: Store) -> Mapping[str, str]:
    return statements("sql/actions.sql", store.database.spelling)
