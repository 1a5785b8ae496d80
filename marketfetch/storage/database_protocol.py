"""What the parts of a store need of a database: read, change, and a few words of its own SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from marketfetch.storage.statements import Spelling

T = TypeVar("T")


class Execute(Protocol):
    """Runs one statement of a transaction, with `?` for its values."""

    def __call__(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Returns the statement's rows, if it has any. Raises the driver's errors."""
        ...


class Database(Protocol):
    """One database, opened at first use, of one process. Every method may raise StoreError and may be called again after it."""

    @property
    def where(self) -> str:
        """The database in messages, without a password."""
        ...

    @property
    def spelling(self) -> Spelling: ...

    def renew(self) -> bool:
        """Drops a connection to a file, which stays read-only if the file was when it was opened. False if there is no file."""
        ...

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs a SELECT with `?` for its values. Each call is a snapshot of its own."""
        ...

    def change(self, work: Callable[[Execute], T], *, alone: bool = False) -> T:
        """Runs `work` in one transaction, and again after a conflict with another writer.

        `alone`: no job is recorded until the transaction ends, and the transaction sees every job recorded before.
        """
        ...

    def change_tables(self, work: Callable[[Execute], T], *, make: bool = False) -> T:
        """Runs `work` in one transaction, one process at a time. `make`: makes the database's file where there is none."""
        ...

    def probe(self, work: Callable[[Execute], None], *, make: bool = False) -> tuple[str, str]:
        """Runs `work` and rolls it back, without a long wait for a lock. Returns the server or library, and the place.

        `make`: where there is no file yet, only tries whether its folder takes one.
        """
        ...

    def unhurried(self) -> AbstractContextManager[None]:
        """Within it a statement may take any time: for what an operator asks for and which may look at every row."""
        ...

    def listing(self, values: Sequence[str]) -> object:
        """`values` as the one parameter of `{among}` and `{listed}`."""
        ...

    def now_ms(self) -> int:
        """Unix time in ms by the clock that writes `over_at`."""
        ...

    def close(self) -> None: ...
