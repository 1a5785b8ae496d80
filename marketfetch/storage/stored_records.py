"""Records read back: splits, dividends, snapshots and all other kinds, by their natural key, as they are or were known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from string import Template
from typing import Any, Final

from marketfetch.schemas.record_kinds import RecordKind
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store

#: Behind the columns of the kind, in Unix ms; `gone_at` is None for what the vendor still has.
TIMES: Final = ("first_seen", "fetched_at", "gone_at")
#: Rows of one statement: no reader holds more of them at once.
_ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """Which rows are asked for; None leaves it open. `first`, `last`: of the kind's own day, both inclusive.

    `part` is the value of the column `scope` of a kind with parts. `known_ms` (Unix ms): what was known then; None: what is
    known now. `gone`: also what vendors have no more.
    """

    kind: RecordKind
    provider: str | None = None
    symbols: tuple[str, ...] | None = None
    first: date | None = None
    last: date | None = None
    part: str | None = None
    known_ms: int | None = None
    gone: bool = False


def stored_records(store: Store, asked: RecordQuestion) -> Iterator[list[tuple[Any, ...]]]:
    """Yields the rows in parts: provider, the columns of the kind, then TIMES. Days are ISO 8601. Raises StoreError."""
    sql, kind = statements("sql/stored_records.sql", store.database.spelling), asked.kind
    where, values = _conditions(store, sql, asked)
    names = [f"CAST({one.name} AS TEXT)" if one.type == "day" else one.name for one in kind.columns]
    key = ", ".join(("provider", *kind.key))
    found: list[tuple[Any, ...]] = []
    while True:
        after, behind = list(where), list(values)
        if found:
            after.append(Template(sql["after"]).substitute(key=key, marks=", ".join("?" * (len(kind.key) + 1))))
            behind += found[-1][: len(kind.key) + 1]
        text = Template(sql["rows"]).substitute(
            columns=", ".join(names), table=kind.name, where=" AND ".join(after) or "true", key=key
        )
        found = store.database.read(text, *behind, _ROWS_AT_ONCE)
        yield found
        if len(found) < _ROWS_AT_ONCE:
            return


def fetched_lists(store: Store, dataset: str, symbols: Sequence[str]) -> list[tuple[str, str, int]]:
    """The lists of these symbols that were fetched, also empty ones: provider, symbol, when (Unix ms). Raises StoreError."""
    sql = statements("sql/stored_records.sql", store.database.spelling)
    return store.database.read(sql["lists"], dataset, store.database.listing([*symbols, "*"]))


def records_of_job(store: Store, kind: RecordKind, job_id: str) -> list[tuple[Any, ...]]:
    """The rows whose latest reply is one of a job's, as in `stored_records`. Raises StoreError."""
    sql = statements("sql/stored_records.sql", store.database.spelling)
    names = [f"CAST({one.name} AS TEXT)" if one.type == "day" else one.name for one in kind.columns]
    text = Template(sql["of_job"]).substitute(columns=", ".join(names), table=kind.name, key=", ".join(("provider", *kind.key)))
    return store.database.read(text, job_id)


def _conditions(store: Store, sql: Any, asked: RecordQuestion) -> tuple[list[str], list[Any]]:
    kind = asked.kind
    where: list[str] = []
    values: list[Any] = []

    def add(name: str, *of: object, **names: str) -> None:
        where.append(Template(sql[name]).substitute(names))
        values.extend(of)

    if asked.provider is not None:
        add("of_provider", asked.provider)
    if asked.symbols is not None:
        add("of_symbols", store.database.listing(sorted(asked.symbols)))
    if asked.part is not None:
        add("of_part", asked.part, scope=kind.scope)
    if asked.first is not None:
        add("from_day", asked.first.isoformat(), day=kind.dated)
    if asked.last is not None:
        add("to_day", asked.last.isoformat(), day=kind.dated)
    if asked.known_ms is not None:
        add("known", asked.known_ms, asked.known_ms)
    elif not asked.gone:
        add("present")
    return where, values
