"""Tokens of the web API: made, listed, revoked, and recognised by their hash. The token itself is shown once and kept nowhere.

A token is 256 random bits, so a plain SHA-256 keeps it: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from marketfetch import connections
from marketfetch.addresses import database_choice
from marketfetch.exceptions import BadRequestError, UnavailableError, WrongValueError
from marketfetch.phrases import joined
from marketfetch.quotas.limits import Calendar, LimitError, Window, parse
from marketfetch.sections import owner_name
from marketfetch.storage import api_tokens
from marketfetch.storage.api_tokens import TokenRow
from marketfetch.storage.store import NoTables, Store, StoreError
from marketfetch.suggestions import did_you_mean

Scope = Literal["read", "submit", "operate", "admin"]
#: Each scope includes those before it.
SCOPES: Final[tuple[Scope, ...]] = ("read", "submit", "operate", "admin")
USUAL_SUBMITS: Final = "60/minute"
#: What a token begins with: searches for secrets in code and logs find it by that.
BEGINNING: Final = "mft_"
_TOKEN: Final = re.compile(r"mft_[A-Za-z0-9_-]{43}")
#: With the id behind it, it is the owner of jobs, which has 100 characters at most.
_LONGEST_NAME: Final = 80
#: Each submit of the span is counted by itself.
_MOST_SUBMITS: Final = 10_000


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new token, which nothing can show again, and its row."""

    token: str
    row: TokenRow


def create(
    name: str, *, scope: str = "read", submits: str = USUAL_SUBMITS, days: float | None = None, owner: str = ""
) -> MadeToken:
    """Makes a token for `name`, for `days` days or for ever (None).

    With `owner` it submits and sees the jobs of that owner alone.
    Raises WrongValueError: a wrong name, scope, owner or limit; BadRequestError: a name that another token has;
    UnavailableError.
    """
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise WrongValueError(
            f"A token has a name of up to {_LONGEST_NAME} printable characters, such as shop (got {name!r:.60})."
        )
    if scope not in SCOPES:
        meant = did_you_mean(scope, SCOPES)
        raise WrongValueError(f"There is no scope {scope!r:.40}. {meant}{' ' if meant else ''}There are {', '.join(SCOPES)}.")
    if owner:
        _check_owner(owner, scope)
    if submits:
        limit_of(submits)
    token = BEGINNING + secrets.token_urlsafe(32)
    now = _now_ms()
    expires_ms = None if days is None else now + int(days * 86_400_000)
    row = TokenRow(secrets.token_hex(4), name, scope, submits, now, expires_ms, owner=owner)
    try:
        if not api_tokens.add_token(connections.store(), row, hash_of(token)):
            raise BadRequestError(
                f"There is a token {name!r} already: revoke it with `marketfetch token revoke`, or name another."
            )
    except StoreError as error:
        raise UnavailableError(f"No token was made: {error}.") from error
    return MadeToken(token, row)


def _check_owner(owner: str, scope: str) -> None:
    """Raises WrongValueError. What operates concerns the jobs and keys of everyone."""
    try:
        owner_name(owner)
    except ValueError as error:
        raise WrongValueError(f"A token can't be bound to {owner!r:.60}: {error}.") from None
    if scope not in ("read", "submit"):
        raise WrongValueError(
            f"A token of an owner has the scope read or submit: {scope} concerns the jobs and the keys of everyone."
        )


def listed() -> list[TokenRow]:
    """Every token, the oldest first; revoked and expired ones too. Raises UnavailableError."""
    try:
        return api_tokens.tokens(_recorded())
    except NoTables:
        return []
    except StoreError as error:
        raise UnavailableError(f"The tokens can't be listed: {error}.") from error


def revoke(name: str) -> TokenRow:
    """Revokes the token of this id or name: servers refuse it within seconds, and end its streams.

    Raises BadRequestError, UnavailableError.
    """
    open_ones = [one for one in listed() if one.revoked_ms is None]
    found = [one for one in open_ones if name in (one.id, one.name)]
    if not found:
        known = [one.name for one in open_ones]
        meant = did_you_mean(name, known)
        there_are = f"There are {joined(known)}." if known else f"{where()} has none that is valid. {database_choice()}"
        raise BadRequestError(f"There is no token {name[:64]!r}. {meant}{' ' if meant else ''}{there_are}")
    try:
        api_tokens.revoke_token(connections.store(), found[0].id, at_ms=_now_ms())
    except StoreError as error:
        raise UnavailableError(f"The token {found[0].name!r} was not revoked: {error}.") from error
    return found[0]


def recognised(token: str) -> TokenRow | None:
    """The row of a valid token; None for one that is unknown, revoked or expired. Raises UnavailableError."""
    if not _TOKEN.fullmatch(token):
        return None
    try:
        row = api_tokens.token_of(_recorded(), hash_of(token))
    except NoTables:
        return None
    except StoreError as error:
        raise UnavailableError(f"The token can't be looked up: {error}.") from error
    return row if row is not None and is_valid(row) else None


def no_longer_valid(token_ids: Collection[str]) -> set[str]:
    """Those of these tokens that are revoked or expired by now. Raises UnavailableError."""
    try:
        return set(token_ids) - api_tokens.valid_among(_recorded(), token_ids, at_ms=_now_ms())
    except StoreError as error:
        raise UnavailableError(f"The tokens can't be looked up: {error}.") from error


def where() -> str:
    """The database that keeps the tokens, without a password."""
    return connections.recorded().database.where


def is_valid(row: TokenRow) -> bool:
    return row.revoked_ms is None and (row.expires_ms is None or row.expires_ms > _now_ms())


def limit_of(text: str) -> Window:
    """How many submits in which span. Raises WrongValueError."""
    try:
        found = parse(text)
    except LimitError as error:
        raise WrongValueError(f"A limit of submits is written like 60/minute: {error}.") from None
    if isinstance(found, Calendar) or found.count > _MOST_SUBMITS:
        raise WrongValueError(
            f"A limit of submits is a number up to {_MOST_SUBMITS:,} in a span, such as 60/minute (got {text!r})."
        )
    return found


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _recorded() -> Store:
    return connections.recorded()


def _now_ms() -> int:
    """Unix ms. Tests replace it."""
    return time.time_ns() // 1_000_000
