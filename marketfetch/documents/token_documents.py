"""The documents of the web API's tokens, without the tokens themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.ops.access_tokens import MadeToken
    from marketfetch.storage.api_tokens import TokenRow


class ListedToken(TypedDict):
    """A token: its id, its name (which owns its jobs), scope and limit of submits; moments are ISO 8601. `owner`: whose jobs
    alone it submits and sees, null for a token without an owner."""

    id: str
    name: str
    scope: str
    submits: str | None
    owner: str | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class ListedTokens(TypedDict):
    """Every token, the oldest first."""

    tokens: list[ListedToken]


class NewToken(ListedToken):
    """A new token, which is shown this once."""

    token: str


def listed_token(row: TokenRow) -> ListedToken:
    return {
        "id": row.id,
        "name": row.name,
        "scope": row.scope,
        "submits": row.submits or None,
        "owner": row.owner or None,
        "created_at": str(_iso(row.created_ms)),
        "expires_at": _iso(row.expires_ms),
        "revoked_at": _iso(row.revoked_ms),
    }


def listed_tokens(rows: Sequence[TokenRow]) -> ListedTokens:
    return {"tokens": [listed_token(one) for one in rows]}


def new_token(made: MadeToken) -> NewToken:
    return {**listed_token(made.row), "token": made.token}


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
