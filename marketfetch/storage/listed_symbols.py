"""What a vendor has listed, by the latest list of its symbols that is stored."""

from __future__ import annotations

from collections.abc import Collection

from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


def listed_symbols(store: Store, provider: str, *, kinds: Collection[str] = (), exchanges: Collection[str] = ()) -> list[str]:
    """The symbols that are listed now, in order; only those of these kinds and exchanges, where some are named.

    Kinds and exchanges are in the vendor's own words. Raises StoreError.
    """
    sql = statements("sql/listed_symbols.sql", store.database.spelling)
    rows = store.database.read(sql["listed"], provider)
    return sorted(
        {symbol for symbol, kind, exchange in rows if (not kinds or kind in kinds) and (not exchanges or exchange in exchanges)}
    )


def words_of_list(store: Store, provider: str) -> tuple[list[str], list[str]]:
    """The kinds and the exchanges of what is listed now, each in order; both empty without a list. Raises StoreError."""
    sql = statements("sql/listed_symbols.sql", store.database.spelling)
    rows = store.database.read(sql["listed"], provider)
    return sorted({kind for _, kind, _ in rows if kind}), sorted({exchange for _, _, exchange in rows if exchange})
