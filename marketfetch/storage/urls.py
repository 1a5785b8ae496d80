"""A database URL becomes a store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from marketfetch.storage.sqlite import BUSY_MS, SqliteStore
from marketfetch.storage.store import Store, StoreMismatch

_FORMS = "sqlite:///relative.db, sqlite:////absolute/path.db or postgresql://user:password@host:5432/database"


def open_store(url: str, *, busy_ms: int = BUSY_MS) -> Store:
    """The store that `url` names; nothing is opened before its first use. Raises StoreMismatch for a URL of no store.

    `busy_ms`: for how long it waits for who writes to the same SQLite file.
    """
    scheme, _, rest = url.strip().partition("://")
    if scheme in ("postgresql", "postgres"):
        from marketfetch.storage.postgres import PostgresStore  # loads psycopg, which SQLite's users need not wait for

        return PostgresStore(url.strip(), shown=safe_url(url))
    if scheme == "sqlite":
        name = unquote(rest.partition("?")[0])
        if name.startswith("/") and len(name) > 1:
            return SqliteStore(Path(name[1:]), busy_ms=busy_ms)
        raise StoreMismatch(f"the database URL {safe_url(url)} names no file: write one of {_FORMS}")
    raise StoreMismatch(f"no store for the database URL {safe_url(url)}: write one of {_FORMS}")


def safe_url(url: str) -> str:
    """`url` for messages: `***` in place of a password, wherever it stands, also in a URL that is written wrongly."""
    scheme, divider, rest = url.strip().partition("://") if "://" in url else ("", "", url.strip())
    # The last @, since a password that was not escaped may hold one, or a slash.
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{scheme}{divider}{user}{':***' if colon else ''}{at}{place}"
    return re.sub(r"(password=)[^&\s]*", r"\1***", shown, flags=re.IGNORECASE)
