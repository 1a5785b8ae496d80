"""The tables of a database: whether they are ours, which version they have, how they are made and upgraded."""

from __future__ import annotations

import os
import re
from collections.abc import Set as AbstractSet
from typing import Final

from marketfetch.storage import upgrades
from marketfetch.storage.database_protocol import Database, Execute
from marketfetch.storage.statements import script, statements
from marketfetch.storage.store_errors import NoTables, StoreMismatch

#: Raised with every change of the tables; `create` and `check` refuse tables that are not marked as usable with it.
SCHEMA_VERSION: Final = 5

#: More than the free space that the pages of a table usually have, and what a small batch needs.
_TRIED_BYTES: Final = 128 << 10

_MADE: Final = re.compile(r"CREATE (?:TABLE|VIEW) (\w+)")
_DROPPED: Final = re.compile(r"DROP (?:TABLE|VIEW) (\w+)")


class Schema:
    """The tables and the view `bars` of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._where = database.where
        self._sql = statements("sql/versions.sql", database.spelling)
        self._relations = statements(f"{database.spelling.folder}/catalogue.sql", database.spelling)["relations"]

    def create(self) -> None:
        # The first look needs no lock, which another program may hold for long.
        if self._database.renew() and not self._missing(self._database.read):
            return
        self._database.change_tables(self._make, make=True)

    def upgrade(self) -> str:
        found = None
        with self._database.unhurried():
            while (version := self._database.change_tables(self._step)) < SCHEMA_VERSION:
                found = found or version
        if found is None:
            return f"Nothing to do: {self._where} has schema {SCHEMA_VERSION} already"
        return f"Upgraded {self._where} from schema {found} to {SCHEMA_VERSION}; every row is kept"

    def check(self) -> str:
        def try_writing(execute: Execute) -> None:
            if self._versions(execute, present := self._present(execute)) is None:
                raise no_tables(self._where)
            self._refuse_foreign(execute, present)
            # Random, so that a database which compresses long texts needs the space all the same.
            execute(self._sql["try_writing"], os.urandom(_TRIED_BYTES // 2).hex(), 0)

        server, place = self._database.probe(try_writing)
        return f"{server}, schema {SCHEMA_VERSION}, writable: {place}"

    def rehearse(self) -> str:
        server, place = self._database.probe(self._make, make=True)
        return f"{server}, no tables yet, which the first job or worker makes: {place}"

    def verify(self) -> None:
        present = self._present(self._database.read)
        self._refuse_foreign(self._database.read, present)
        if self._versions(self._database.read, present) is None:
            raise no_tables(self._where)

    def _make(self, execute: Execute) -> None:
        for name in self._missing(execute):
            for statement in script(self._tables[name]):
                execute(statement)

    def _step(self, execute: Execute) -> int:
        """Takes the tables one version further; returns the version that was found."""
        present = self._present(execute)
        versions = self._versions(execute, present)
        if versions is None:
            self._refuse_foreign(execute, present)
            raise no_tables(self._where)
        if SCHEMA_VERSION in versions:
            return SCHEMA_VERSION
        version = max(versions)
        step = self._steps_after(version)
        if not step:
            self._refuse_foreign(execute, present)
        made, dropped = ({match[1] for one in step if (match := word.match(one))} for word in (_MADE, _DROPPED))
        if taken := sorted(present & made - dropped):
            raise self._taken(taken[0])
        for statement in step:
            execute(statement)
        execute(self._sql["add_version" if version in upgrades.STILL_USABLE else "set_version"], version + 1)
        return version

    def _steps_after(self, version: int) -> list[str]:
        return upgrades.step(self._database.spelling.folder, version + 1) if version < SCHEMA_VERSION else []

    @property
    def _tables(self) -> dict[str, str]:
        spelling, folder = self._database.spelling, self._database.spelling.folder
        return {**statements(f"{folder}/record_tables.sql", spelling), **statements(f"{folder}/schema.sql", spelling)}

    def _missing(self, execute: Execute) -> list[str]:
        """The tables and views that are to be made, in order. Raises StoreMismatch where others of their names stand."""
        present = self._present(execute)
        self._refuse_foreign(execute, present)
        return [name for name in self._tables if name not in present]

    def _present(self, execute: Execute) -> set[str]:
        return {row[0] for row in execute(self._relations)}

    def _versions(self, execute: Execute, present: AbstractSet[str]) -> set[int] | None:
        """The schemas whose releases can use the tables. None where there is no table of them, 0 where it is empty."""
        if "schema_version" not in present:
            return None
        return {int(row[0]) for row in execute(self._sql["versions"])} or {0}

    def _refuse_foreign(self, execute: Execute, present: AbstractSet[str]) -> None:
        """Raises StoreMismatch where the tables in `present` are not ours, or of another version."""
        versions = self._versions(execute, present)
        if versions is None and (taken := sorted(present & set(self._tables))):
            raise self._taken(taken[0])
        if versions is not None and SCHEMA_VERSION not in versions:
            version = max(versions)
            todo = "name a new database, or install the marketfetch that made it"
            if version > SCHEMA_VERSION:
                todo = "install the marketfetch that made it"
            elif self._steps_after(version):
                todo = "stop the workers and run `marketfetch check --upgrade`, which keeps every row"
                if version in upgrades.STILL_USABLE:
                    todo = "run `marketfetch check --upgrade`, which keeps every row; workers of that release may go on"
            raise StoreMismatch(
                f"{self._where} has tables of schema {version}, this marketfetch knows schema {SCHEMA_VERSION}: {todo}"
            )

    def _taken(self, name: str) -> StoreMismatch:
        return StoreMismatch(
            f"{self._where} already has a table or view named {name} that marketfetch did not make: "
            "give it a database of its own"
        )


def no_tables(where: str) -> NoTables:
    return NoTables(f"{where} has no marketfetch tables yet: `marketfetch fetch` and `marketfetch up` make them at their start")
