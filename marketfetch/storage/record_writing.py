"""Writes records into the table of their kind, and notes which rows a whole list no longer has.

A list is whole when all pages of its request are stored. Rows that it lacks, and that no later reply had, get its time as their
`gone_at`. Two kinds of list judge no row: one with rejects, as a row may be missing because it was rejected, and an empty one
that does not follow another empty one, as vendors send empty lists by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, Final, Protocol

from marketfetch.schemas.ledger import Batch
from marketfetch.schemas.record_kinds import KINDS, WHOLE_MARKET, RecordKind, Value
from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import Spelling, statements
from marketfetch.storage.stored_rows import storable
from marketfetch.storage.value_columns import note_columns

#: The name of the lists that are the columns of tables.
_COLUMNS: Final = "value_columns"
_OVER: Final = ("stored", "empty")


class Puts(Protocol):
    """One database's way to write many rows with a `put` of records.sql."""

    def __call__(self, kind: RecordKind, common: Sequence[Any], rows: Sequence[Sequence[Value]]) -> None: ...


@dataclass(frozen=True, slots=True, order=True)
class ListName:
    """Whose list it is: the records of a kind of one symbol of a vendor."""

    provider: str
    dataset: str
    symbol: str

    @classmethod
    def of(cls, batch: Batch) -> ListName:
        assert batch.records is not None
        return cls(batch.ledger.provider, batch.records.dataset or batch.records.kind, storable(batch.ledger.symbol))


@dataclass(frozen=True, slots=True)
class _Standing:
    """The latest whole list of a symbol: when it was called for, its rows, and the latest call that judged rows. 0: none."""

    fetched_ms: int = 0
    rows: int = -1
    judged_ms: int = 0


def lists_of(batches: Iterable[Batch], noted: Iterable[Batch] = ()) -> list[ListName]:
    """The lists that these batches are of, in the order in which writers lock them; of `noted` the columns are noted."""
    found = [batch for batch in batches if batch.records is not None]
    tables = {ListName(one.ledger.provider, _COLUMNS, table) for one in found if (table := _table_of(one))}
    of_bars = {ListName(one.ledger.provider, _COLUMNS, storable(one.columns.table)) for one in noted if one.columns}
    return sorted({*map(ListName.of, found), *tables, *of_bars})


def _table_of(batch: Batch) -> str:
    """The table whose columns a batch of values tells, "" where it tells none."""
    found = batch.records
    return storable(str(found.rows[0][0])) if found and found.columns and found.rows else ""


def write_records(execute: Execute, put: Puts, spelling: Spelling, batches: Sequence[tuple[int, Batch]]) -> None:
    """Writes the records of batches, each with the number of its ledger row, which is written. Their lists are locked."""
    sql = statements("sql/records.sql", spelling)
    for ledger_id, batch in batches:
        if batch.records is None or not KINDS[batch.records.kind].stored:
            continue
        kind, name, seen_ms = KINDS[batch.records.kind], ListName.of(batch), batch.ledger.called_at_ms
        standing = _standing(execute, sql["find_list"], name)
        if batch.records.rows:
            rows = [[storable(one) if isinstance(one, str) else one for one in row] for row in batch.records.rows]
            for later_ms, some in _by_later_list(execute, sql["judged_after"], kind, name, seen_ms, rows):
                put(kind, (name.provider, seen_ms, seen_ms, later_ms, ledger_id), some)
        if table := _table_of(batch):
            columns = batch.records.columns
            note_columns(execute, spelling, name.provider, table, columns, seen_ms=seen_ms, ledger_id=ledger_id)
        # A search is no list: what it lacks may be listed all the same.
        if kind.listed and name.dataset not in kind.searches:
            _end_list(execute, sql, kind, name, standing, execute(sql["pages"], batch.ledger.root), days=batch.records.days)


def filled(sql: str, kind: RecordKind, *, picked: str, source: str, value: str) -> str:
    """The statement `put` for a kind; `value` is the statement of that name."""
    names = [one.name for one in kind.columns]
    values = "\n  ".join(Template(value).substitute(column=one) for one in names if one not in kind.key)
    return Template(sql).substitute(
        table=kind.name, columns=", ".join(names), key=", ".join(kind.key), picked=picked, source=source, values=values
    )


def _standing(execute: Execute, find: str, name: ListName) -> _Standing:
    found = execute(find, name.provider, name.dataset, name.symbol)
    return _Standing(found[0][0], found[0][1], found[0][2] or 0) if found else _Standing()


def _by_later_list(
    execute: Execute, sql: str, kind: RecordKind, name: ListName, seen_ms: int, rows: Sequence[list[Any]]
) -> list[tuple[int | None, Sequence[list[Any]]]]:
    """The rows by the time of the latest judged list after their call: of their own symbol, or of all symbols; None without."""
    if not kind.listed:
        return [(None, rows)]
    later = {symbol: int(ms) for symbol, ms in execute(sql, name.provider, name.dataset, seen_ms)}
    of_all = later.get(WHOLE_MARKET, 0)
    if kind.scope != "symbol" or name.symbol != WHOLE_MARKET:
        return [(max(later.get(name.symbol, 0), of_all) or None, rows)]
    found: dict[int | None, list[list[Any]]] = {}
    place = [one.name for one in kind.columns].index(kind.scope)
    for row in rows:
        found.setdefault(max(later.get(row[place], 0), of_all) or None, []).append(row)
    return list(found.items())


def _end_list(
    execute: Execute,
    sql: Any,
    kind: RecordKind,
    name: ListName,
    standing: _Standing,
    pages: Sequence[tuple[Any, ...]],
    *,
    days: tuple[str, str] | None,
) -> None:
    """Notes that the list is whole, if it is, and which rows are gone."""
    whole = [page[0] for page in pages] == list(range(len(pages))) and pages[-1][5] is None
    if not whole or any(page[1] not in _OVER for page in pages):
        return
    called_ms, rows, rejects = pages[0][4] or 0, sum(page[2] for page in pages), sum(page[3] for page in pages)
    # An empty range is no list that is stored: how would a second one be known?
    twice_empty = days is None and standing.rows == 0 and standing.fetched_ms < called_ms
    judges = kind.judges and not rejects and (rows > 0 or twice_empty)
    if judges:
        every = kind.scope == "symbol" and name.symbol == WHOLE_MARKET
        which = f"gone{'' if every else '_of'}{'_between' if days else ''}"
        gone = Template(sql[which]).substitute(table=kind.name, scope=kind.scope, day=kind.dated)
        scope = () if every else (kind.parts.get(name.dataset, name.symbol),)
        execute(gone, called_ms, name.provider, called_ms, called_ms, *scope, *(days or ()))
    if days:
        return  # coverage says what of a range is known
    judged_ms = max(standing.judged_ms, called_ms if judges else 0)
    latest = (called_ms, rows) if called_ms >= standing.fetched_ms else (standing.fetched_ms, standing.rows)
    execute(sql["put_list"], name.provider, name.dataset, name.symbol, *latest, judged_ms or None)
