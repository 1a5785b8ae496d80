"""Changes of settings at run time: every one is kept, and the latest of a name is in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change. `before` and `after` are JSON as the table's comment says, None for no value; `at_ms` is Unix ms."""

    version: int
    name: str
    changed_by: str
    at_ms: int
    undoes: int | None
    before: str | None
    after: str | None


class ChangedMeanwhile(Exception):
    """Another change of the same setting came first; `latest` is it."""

    def __init__(self, latest: ChangeRow) -> None:
        super().__init__(latest.name)
        self.latest = latest


def add_change(
    store: Store,
    name: str,
    after: str | None,
    *,
    changed_by: str,
    at_ms: int,
    based_on: int | None = None,
    undoes: int | None = None,
) -> ChangeRow:
    """Records a change and returns it.

    `based_on`: the version of the setting that the caller has seen, 0 where it had none; None: whatever it is now.
    Raises ChangedMeanwhile where the setting has another version by now, StoreError.
    """
    sql = _sql(store)

    def add(execute: Execute) -> ChangeRow:
        found = execute(sql["latest_of"], name)
        latest = _row(found[0]) if found else None
        if latest is not None and based_on is not None and latest.version != based_on:
            raise ChangedMeanwhile(latest)
        version = int(execute(sql["latest_version"])[0][0] or 0) + 1
        row = ChangeRow(version, name, changed_by, at_ms, undoes, latest.after if latest else None, after)
        execute(sql["add"], row.version, row.name, row.changed_by, row.at_ms, row.undoes, row.before, row.after)
        return row

    # One writer at a time: so a reader of version n has seen every change up to n.
    return store.database.change(add, alone=True)


def latest_changes(store: Store) -> list[ChangeRow]:
    """The latest change of each setting, by name; also those that took a value away. Raises StoreError."""
    return [_row(one) for one in store.database.read(_sql(store)["latest"])]


def change_numbered(store: Store, version: int) -> ChangeRow | None:
    """The change with this number. Raises StoreError."""
    found = store.database.read(_sql(store)["numbered"], version)
    return _row(found[0]) if found else None


def changes(store: Store, name: str = "", *, limit: int) -> list[ChangeRow]:
    """The latest changes, the newest first; only those of one setting, where one is named. Raises StoreError."""
    sql = _sql(store)
    found = store.database.read(sql["history_of"], name, limit) if name else store.database.read(sql["history"], limit)
    return [_row(one) for one in found]


def reseal(store: Store, anew: Callable[[str, str], str]) -> int:
    """Rewrites every value that `anew` (given name and value) changes, all in one transaction; returns how many rows changed.

    What `anew` raises undoes everything. Raises StoreError.
    """
    sql = _sql(store)

    def rewrite(execute: Execute) -> int:
        many = 0
        for version, name, *values in execute(sql["every"]):
            new = [None if one is None else anew(name, one) for one in values]
            if new != values:
                execute(sql["reseal"], *new, version)
                many += 1
        return many

    return store.database.change(rewrite, alone=True)


def _row(values: tuple[Any, ...]) -> ChangeRow:
    version, name, changed_by, at_ms, undoes, before, after = values
    return ChangeRow(int(version), name, changed_by, int(at_ms), None if undoes is None else int(undoes), before, after)


def _sql(store: Store) -> dict[str, str]:
    return dict(statements("sql/setting_changes.sql", store.database.spelling))
