"""SQLite's errors as sentences for people. https://www.sqlite.org/rescode.html"""

from __future__ import annotations

import sqlite3
from typing import Final

from marketfetch.storage.schema import no_tables
from marketfetch.storage.store_errors import StoreError, StoreMismatch, StoreUnavailable

_AWAY: Final = {
    sqlite3.SQLITE_BUSY: "stays locked by another program: end its transaction; the batch is stored later",
    sqlite3.SQLITE_LOCKED: "is locked by another program: end that program's transaction",
    sqlite3.SQLITE_READONLY: "is read-only: give this user write permission for the file and its folder",
    sqlite3.SQLITE_FULL: "can't grow, the disk is full: free some space; the batch is stored later",
    sqlite3.SQLITE_CANTOPEN: "can't be opened: see that its folder exists and that this user may read and write there",
    sqlite3.SQLITE_IOERR: "can't be read or written (I/O error): see the disk's health and its free space",
    sqlite3.SQLITE_PERM: "may not be opened by this user: give it read and write permission",
}
_NOT_OURS: Final = {
    sqlite3.SQLITE_NOTADB: "is a file, but not an SQLite database: name another file in the database URL",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a copy, or move it away and fetch again",
}


def full(where: str) -> StoreUnavailable:
    """The error of a disk that has no space left."""
    return StoreUnavailable(f"{where} {_AWAY[sqlite3.SQLITE_FULL]}")


def translated(error: sqlite3.Error, where: str) -> StoreError:
    """The error for people: what happened to which file, and what to do."""
    # The low byte is the kind; the upper ones only name the place inside SQLite.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _AWAY:
        return StoreUnavailable(f"{where} {_AWAY[code]}")
    if code in _NOT_OURS:
        return StoreMismatch(f"{where} {_NOT_OURS[code]}")
    if "no such table" in str(error):
        return no_tables(where)
    return StoreError(f"{where} refused: {error}. Nothing of this transaction was stored")
