"""The names that statements are made of. Apart from the tables, so that only who makes tables waits for SQLAlchemy."""

from __future__ import annotations

from typing import Final

#: Raised by one with every change of the tables; `create` and `check` refuse any other.
SCHEMA_VERSION: Final = 2

#: Every table and view that `create` makes.
RELATIONS: Final = frozenset(
    ("schema_version", "series", "bar_rows", "ledger", "rejects", "jobs", "job_requests", "spent_calls", "call_marks", "bars")
)

SERIES_KEY: Final = ("provider", "symbol", "timespan", "adjustment")

#: What an upsert compares. An equal bar is left alone, its `fetched_at` and request too: a re-run writes nothing.
VALUE_COLUMNS: Final = ("open", "high", "low", "close", "volume", "vwap", "trades", "partial")
