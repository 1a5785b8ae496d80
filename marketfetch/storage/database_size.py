"""How large the database is."""

from __future__ import annotations

from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


def database_bytes(store: Store) -> int:
    """The size of a Postgres database, or of SQLite's file, in bytes. Counts nothing, so it is quick. Raises StoreError."""
    sql = statements(f"{store.database.spelling.folder}/catalogue.sql", store.database.spelling)
    return int(store.database.read(sql["bytes"])[0][0])
