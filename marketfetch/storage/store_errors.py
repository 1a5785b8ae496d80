"""The errors of a store. Each message says what happened, why, and what to do; none holds a password."""

from __future__ import annotations


class StoreError(Exception):
    """The database did not do what was asked."""


class StoreUnavailable(StoreError):
    """The database is away, locked, full or read-only: nothing was written, and the same call may succeed later."""


class StoreMismatch(StoreError):
    """The database is there but is not ours to use: another schema version, or not a database at all."""


class NoTables(StoreMismatch):
    """There is no database of that name yet, or it is empty: no job was ever recorded in it."""
