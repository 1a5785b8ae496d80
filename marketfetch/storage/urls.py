"""Makes the store that a database URL names."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from marketfetch.storage.sqlite.database import BUSY_MS, SqliteDatabase
from marketfetch.storage.store import Store
from marketfetch.storage.store_errors import StoreMismatch

if TYPE_CHECKING:
    from marketfetch.storage.postgres.database import PostgresDatabase
    from marketfetch.storage.store import Batches

_FORMS = "sqlite:///relative.db, sqlite:////absolute/path.db or postgresql://user:password@host:5432/database"


def open_store(url: str, *, busy_ms: int = BUSY_MS, history: bool = False) -> Store:
    """The store that `url` names; nothing is opened before its first use. Raises StoreMismatch for a URL of no store.

    `busy_ms`: how long it waits for another writer of the same SQLite file. `history`: it keeps the values of corrected bars.
    """
    scheme = url.strip().partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        try:
            from marketfetch.storage.postgres.database import PostgresDatabase  # loads psycopg, which SQLite does not need
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "psycopg":
                raise
            raise StoreMismatch(
                "A Postgres database needs psycopg, which is not installed: run `pip install 'marketfetch[postgres]'`"
            ) from None

        server = PostgresDatabase(url.strip(), shown=safe_url(url))
        return Store(server, partial(_postgres_batches, server, history=history))
    if scheme == "sqlite":
        return sqlite_store(sqlite_path(url), busy_ms=busy_ms, history=history)
    raise StoreMismatch(f"no store for the database URL {safe_url(url)}: write one of {_FORMS}")


def sqlite_path(url: str) -> Path:
    """The file that a URL of SQLite names. Raises StoreMismatch if it names none."""
    name = unquote(url.strip().partition("://")[2].partition("?")[0])
    if name.startswith("/") and len(name) > 1:
        return Path(name[1:])
    raise StoreMismatch(f"the database URL {safe_url(url)} names no file: write one of {_FORMS}")


def absolute_url(url: str) -> str:
    """The URL that means the same in every folder. One that names no file stays as it is: `open_store` says what is wrong."""
    try:
        path = sqlite_path(url) if url.strip().startswith("sqlite:") else None
    except StoreMismatch:
        return url
    return url if path is None or path.is_absolute() else f"sqlite:///{quote(str(path.absolute()))}"


def sqlite_store(path: Path, *, busy_ms: int = BUSY_MS, history: bool = False) -> Store:
    """The store in the file `path`; see `open_store`."""
    file = SqliteDatabase(path, busy_ms=busy_ms)
    return Store(file, partial(_sqlite_batches, file, history=history))


def _sqlite_batches(file: SqliteDatabase, *, history: bool) -> Batches:
    from marketfetch.storage.sqlite.writing import SqliteBatches

    return SqliteBatches(file, history=history)


def _postgres_batches(server: PostgresDatabase, *, history: bool) -> Batches:
    from marketfetch.storage.postgres.writing import PostgresBatches

    return PostgresBatches(server, history=history)


def safe_url(url: str) -> str:
    """`url` for messages: `***` in place of each password, also in a URL that is written wrongly."""
    scheme, divider, rest = url.strip().partition("://") if "://" in url else ("", "", url.strip())
    # The last @, since a password that was not escaped may hold one, or a slash.
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{scheme}{divider}{user}{':***' if colon else ''}{at}{place}"
    return re.sub(r"(password=)[^&\s]*", r"\1***", shown, flags=re.IGNORECASE)
