"""Postgres's errors as sentences for people. https://www.postgresql.org/docs/current/errcodes-appendix.html"""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import errors

from marketfetch.storage.postgres.watched import ServerSilentError
from marketfetch.storage.schema import no_tables
from marketfetch.storage.store_errors import StoreError, StoreMismatch, StoreUnavailable

#: Conflicts with another writer; the same transaction succeeds when it is run again.
AGAIN: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)

_AWAY: Final = {
    "53100": "can't grow, its disk is full: free some space; the batch is stored later",
    "53200": "is out of memory: see what else runs there",
    "53300": "takes no more connections: raise its max_connections or run fewer workers",
    "55P03": "kept us waiting for a lock for 30 s: see pg_stat_activity for who holds it",
    "57014": "cancelled our statement: it is too slow, its statement_timeout is too short, or an operator cancelled it",
    "25006": "is read-only (a standby, or default_transaction_read_only): name the primary in the database URL",
    "40001": "has too many writers on the same rows: the batch is stored later",
    "40P01": "has too many writers on the same rows: the batch is stored later",
}
_NOT_OURS: Final = {
    "28P01": "does not accept the password: see user and password in the database URL",
    "28000": "does not let this user in: see user and pg_hba.conf",
    "3D000": "has no database of that name: make it with `createdb`, or name another in the database URL",
    "42501": "does not allow this user to do that: grant it CREATE on the schema; SELECT, INSERT, UPDATE, DELETE on the tables",
    "42703": "has a table without a column of ours: it was made by another release; give marketfetch a database of its own",
}


def translated(error: psycopg.Error, where: str) -> StoreError:
    """The error for people. Never quotes a connection string, which may hold a password."""
    if isinstance(error, ServerSilentError):
        return StoreUnavailable(f"{where} takes connections and does not answer ({error}): see whether it or its disk hangs")
    state = error.sqlstate or ""
    if state in _AWAY:
        return StoreUnavailable(f"{where} {_AWAY[state]}")
    if state in _NOT_OURS:
        return StoreMismatch(f"{where} {_NOT_OURS[state]}")
    if state == "42P01":
        return no_tables(where)
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        lowered = str(error).lower()
        for code, phrase in (("28P01", "password authentication failed"), ("28P01", "no password supplied")):
            if phrase in lowered:
                return StoreMismatch(f"{where} {_NOT_OURS[code]}")
        # An error of connecting has no code, only words.
        if any(phrase in lowered for phrase in ("too many clients", "too many connections", "connection slots")):
            return StoreUnavailable(f"{where} {_AWAY['53300']}")
        if "database" in lowered and "does not exist" in lowered:
            return StoreMismatch(f"{where} {_NOT_OURS['3D000']}")
        if "role" in lowered and "does not exist" in lowered:
            return StoreMismatch(f"{where} {_NOT_OURS['28000']}")
        return StoreUnavailable(f"{where} can't be reached ({_first_line(error)}): see that it runs and takes connections")
    return StoreError(f"{where} refused: {_first_line(error)}. Nothing of this transaction was stored")


def unreadable(where: str) -> StoreMismatch:
    return StoreMismatch(
        f"{where}: the database URL can't be read; write postgresql://user:password@host:5432/database, with a % sign "
        "and two hex digits for each of :/@?#% in the password"
    )


def _first_line(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".:") if lines else type(error).__name__
