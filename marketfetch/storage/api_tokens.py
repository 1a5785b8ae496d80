"""The tokens of the web API: their hashes, never the tokens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret. Times are Unix ms, None for one that never comes. `submits`: a limit, "" for none.

    `owner`: whose jobs alone it submits and sees, "" for a token without an owner.
    """

    id: str
    name: str
    scope: str
    submits: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    owner: str = ""


def add_token(store: Store, row: TokenRow, token_hash: str) -> bool:
    """Records a token; False where another one that is not revoked has its name. Raises StoreError."""
    sql = _sql(store)

    def add(execute: Execute) -> bool:
        if execute(sql["named"], row.name):
            return False
        execute(sql["add"], row.id, row.name, token_hash, row.scope, row.submits, row.owner, row.created_ms, row.expires_ms)
        return True

    return store.database.change(add, alone=True)


def tokens(store: Store) -> list[TokenRow]:
    """Every token, the oldest first. Raises StoreError."""
    return [_row(one) for one in store.database.read(_sql(store)["every"])]


def token_of(store: Store, token_hash: str) -> TokenRow | None:
    """The token with this hash, revoked or not. Raises StoreError."""
    found = store.database.read(_sql(store)["of_hash"], token_hash)
    return _row(found[0]) if found else None


def revoke_token(store: Store, token_id: str, *, at_ms: int) -> bool:
    """Marks a token as revoked. False if there is none of that id, or it was revoked before. Raises StoreError."""
    sql = _sql(store)
    return bool(store.database.change(lambda execute: execute(sql["revoke"], at_ms, token_id)))


def valid_among(store: Store, token_ids: Collection[str], *, at_ms: int) -> set[str]:
    """Those of these tokens that are neither revoked nor expired at `at_ms`. Raises StoreError."""
    ids = store.database.listing(sorted(token_ids))
    return {row[0] for row in store.database.read(_sql(store)["valid_among"], ids, at_ms)}


def _row(values: tuple[Any, ...]) -> TokenRow:
    token_id, name, scope, submits, owner, created, expires, revoked = values
    expires_ms, revoked_ms = (None if one is None else int(one) for one in (expires, revoked))
    return TokenRow(token_id, name, scope, submits, int(created), expires_ms, revoked_ms, owner)


def _sql(store: Store) -> dict[str, str]:
    return dict(statements("sql/api_tokens.sql", store.database.spelling))
