"""What checks of stored prices need besides the bars: the splits that are in force, and when bars were fetched."""

from __future__ import annotations

from datetime import date

from marketfetch.storage.session_dates import session_days
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store
from marketfetch.storage.stored_series import StoredSeries

#: By vendor and symbol: the date of each split, and its new shares for an old one.
Splits = dict[tuple[str, str], list[tuple[date, float]]]


def splits(store: Store) -> Splits:
    """Every split that its vendor still names, by date; two of one date where the vendor contradicts itself.

    Empty where the tables have no splits. Raises StoreError.
    """
    catalogue = statements(f"{store.database.spelling.folder}/catalogue.sql", store.database.spelling)
    if "splits" not in {row[0] for row in store.database.read(catalogue["relations"])}:
        return {}
    found: Splits = {}
    for provider, symbol, day, new, old in store.database.read(_sql(store)["splits"]):
        found.setdefault((provider, symbol), []).append((date.fromisoformat(str(day)), float(new) / float(old)))
    return found


def fetched_before(store: Store, series: int, before_ms: int) -> int | None:
    """When the earliest of the bars before `before_ms` were fetched, both in Unix ms; None without one. Raises StoreError."""
    found = store.database.read(_sql(store)["fetched_before"], series, before_ms)[0][0]
    return None if found is None else int(found)


def partial_days(store: Store, series: StoredSeries) -> frozenset[int]:
    """The days of a daily series, since 1970, whose bars were fetched before their session was over. Raises StoreError."""
    import numpy as np

    found = [row[0] for row in store.database.read(_sql(store)["partial"], series.number)]
    days = session_days(np.array(found, dtype=np.int64), series.timespan, series.zone)
    return frozenset(ts // 86_400_000 for ts in found) if days is None else frozenset(days.tolist())


def _sql(store: Store) -> dict[str, str]:
    return dict(statements("sql/price_checks.sql", store.database.spelling))
