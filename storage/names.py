"""The names that statements are made of. Apart from the tables, so that only who makes tables waits for SQLAlchemy."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final, Literal

#: Raised by one with every change of the tables; `create` and `check` refuse any other.
SCHEMA_VERSION: Final = 1

#: Every table and view that `create` makes.
RELATIONS: Final = frozenset(("schema_version", "series", "bar_rows", "ledger", "rejects", "jobs", "job_requests", "bars"))

SERIES_KEY: Final = ("provider", "symbol", "timespan", "adjustment")

#: What an upsert compares. An equal bar is left alone, its `fetched_at` and request too: a re-run writes nothing.
VALUE_COLUMNS: Final = ("open", "high", "low", "close", "volume", "vwap", "trades", "partial")


def to_make(kind: Literal["sqlite", "postgresql"], present: AbstractSet[str]) -> list[str]:
    """The statements that make what is not in `present`, in order; none, and nothing is loaded, where all of it is there."""
    if present >= RELATIONS:
        return []
    from storage.tables import missing

    return missing(kind, present)
