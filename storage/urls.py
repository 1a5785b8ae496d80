"""A database URL becomes a store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore
from storage.store import Store, StoreMismatch

_FORMS = "sqlite:///relative.db, sqlite:////absolute/path.db or postgresql://user:password@host:5432/database"


def open_store(url: str) -> Store:
    """The store that `url` names; nothing is opened before its first use. Raises StoreMismatch for a URL of no store."""
    scheme, _, rest = url.strip().partition("://")
    if scheme in ("postgresql", "postgres"):
        return PostgresStore(url.strip(), shown=safe_url(url))
    if scheme == "sqlite":
        name = unquote(rest.partition("?")[0])
        if name.startswith("/") and len(name) > 1:
            return SqliteStore(Path(name[1:]))
        raise StoreMismatch(f"the database URL {safe_url(url)} names no file: write one of {_FORMS}")
    raise StoreMismatch(f"no store for the database URL {safe_url(url)}: write one of {_FORMS}")


def safe_url(url: str) -> str:
    """`url` for messages: `***` in place of a password, wherever it stands."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return "(a URL that can't be read)"
    host = parts.netloc
    if "@" in host:
        login, _, place = host.rpartition("@")
        user, colon, secret = login.partition(":")
        host = f"{user}:***@{place}" if colon and secret else f"{user}@{place}"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    hidden = [(key, "***" if "password" in key.lower() else value) for key, value in pairs]
    query = urlencode(hidden, safe="*/", quote_via=quote) if hidden else ""
    return urlunsplit((parts.scheme, host, parts.path, query, "")) if parts.scheme != "sqlite" else url.strip()
