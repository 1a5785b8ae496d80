"""Which series are stored: a vendor's bars of a symbol, of one timespan and adjustment. Each has at least one bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """`number` stands for the series in `bar_rows`. `zone` is that of its days, None where it is not known."""

    number: int
    provider: str
    symbol: str
    timespan: str
    adjustment: str
    zone: str | None = None


def stored_series(store: Store, symbols: Sequence[str] | None = None) -> list[StoredSeries]:
    """The series of these symbols, or all of them; by symbol in the order of code points, which no locale changes.

    Raises StoreError.
    """
    sql = statements("sql/stored_series.sql", store.database.spelling)
    if symbols is None:
        rows = store.database.read(sql["every"])
    else:
        rows = store.database.read(sql["of_symbols"], store.database.listing(symbols))
    return sorted(
        (StoredSeries(*row) for row in rows), key=lambda one: (one.symbol, one.provider, one.timespan, one.adjustment)
    )


def series_without_zone(store: Store) -> list[StoredSeries]:
    """The series whose zone is not known: a release that recorded none has stored them. Raises StoreError."""
    sql = statements("sql/stored_series.sql", store.database.spelling)
    return [StoredSeries(*row) for row in store.database.read(sql["without_zone"])]


def stored_symbols(store: Store) -> list[str]:
    """Every symbol of which bars are stored, in order. Raises StoreError."""
    sql = statements("sql/stored_series.sql", store.database.spelling)
    return sorted(row[0] for row in store.database.read(sql["symbols"]))
