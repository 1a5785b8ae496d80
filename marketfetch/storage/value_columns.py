"""The columns of tables of values and of bars: which a table has had, and which a reply was the first to lack.

A vendor that renames a column sends the same rows under another name. Values are stored as they come, and a query for the
old name finds nothing in them; bars are stored without what the column held. So each change is kept, with its reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import Spelling, statements
from marketfetch.storage.store import Store
from marketfetch.storage.stored_rows import storable

if TYPE_CHECKING:
    from marketfetch.schemas.ledger import Batch
    from marketfetch.schemas.table_columns import TableColumns

_MOST_NAMED: Final = 5
#: The request of a column that marketfetch reads: it is no new one.
_NO_REQUEST: Final = 0
#: How long a process takes its own last note of a table for what is noted, and of how many tables.
_NOTED_S: Final = 600.0
_MOST_TABLES: Final = 10_000


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """`gone` are the columns that a table lacks since a call at `at_ms` (Unix ms), `new` those that the same reply brought."""

    provider: str
    table: str
    at_ms: int
    gone: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def day(self) -> date:
        return datetime.fromtimestamp(self.at_ms / 1000, UTC).date()

    @property
    def what(self) -> str:
        """What has changed, with the vendor's own names of the columns."""
        several = len(self.gone) > 1
        said = f"the column{'s' if several else ''} {_listed(self.gone)} {'are' if several else 'is'} gone since {self.day}"
        return said + (f", and {_listed(self.new)} {'are' if len(self.new) > 1 else 'is'} new" if self.new else "")

    def sentence(self) -> str:
        return f"{self.provider} {self.table}: {self.what}"


class NotedColumns:
    """The columns of bars that this process has noted lately, by table: nearly all replies have those, and cost no statement.

    For ten minutes, as another process may have noted others meanwhile.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._noted: dict[tuple[str, str], tuple[TableColumns, float]] = {}

    def others(self, batches: Iterable[tuple[int, Batch]]) -> list[tuple[int, Batch]]:
        """Those batches, each with the number of its request, whose columns are not those noted before; by their calls."""
        found: list[tuple[int, Batch]] = []
        latest: dict[tuple[str, str], TableColumns] = {}
        now_s = self._clock_s()
        for ledger_id, batch in sorted(batches, key=lambda one: one[1].ledger.called_at_ms):
            if batch.columns is None:
                continue
            key = batch.ledger.provider, batch.columns.table
            known, at_s = self._noted.get(key, (None, 0.0))
            known = latest.get(key, known if now_s - at_s < _NOTED_S else None)
            latest[key] = batch.columns
            if known != batch.columns:
                found.append((ledger_id, batch))
        return found

    def keep(self, noted: Iterable[Batch]) -> None:
        """Remembers what a committed transaction has noted."""
        if len(self._noted) > _MOST_TABLES:
            self._noted.clear()
        for batch in noted:
            if batch.columns is not None:
                self._noted[batch.ledger.provider, batch.columns.table] = batch.columns, self._clock_s()


def note_columns_of_bars(execute: Execute, spelling: Spelling, batches: Sequence[tuple[int, Batch]]) -> list[Batch]:
    """Notes the columns of batches, whose tables are locked; returns those that were not late, which a process remembers."""
    noted = []
    for ledger_id, batch in batches:
        if (found := batch.columns) is not None and note_columns(
            execute,
            spelling,
            batch.ledger.provider,
            storable(found.table),
            found.names,
            seen_ms=batch.ledger.called_at_ms,
            ledger_id=ledger_id,
            reads=found.reads,
            always=found.always,
        ):
            noted.append(batch)
    return noted


def note_columns(
    execute: Execute,
    spelling: Spelling,
    provider: str,
    table: str,
    columns: Sequence[str],
    *,
    seen_ms: int,
    ledger_id: int,
    reads: Sequence[str] = (),
    always: Sequence[str] = (),
) -> bool:
    """Notes the columns that a reply of a table has; `ledger_id` is the number of its request. The table's list is locked.

    `reads` and `always` are those of TableColumns.

    False for a reply to an older call than the latest one: it adds columns that are not known yet, and takes none away.
    """
    sql = statements("sql/value_columns.sql", spelling)
    known: dict[str, tuple[int, int | None]] = {
        name: (int(fetched), gone) for name, fetched, gone in execute(sql["known"], provider, table)
    }
    named = dict.fromkeys(map(storable, columns))
    latest_ms = max((fetched for fetched, _ in known.values()), default=0)
    is_late = seen_ms < latest_ms
    for name in named:
        if name not in known:
            # What is not read, and came late, is neither gone nor new.
            if is_late and reads and name not in reads:
                continue
            gone_ms = latest_ms if is_late else None
            execute(sql["add"], provider, table, name, seen_ms, seen_ms, gone_ms, _NO_REQUEST if name in reads else ledger_id)
        elif known[name][1] is not None and not is_late:
            execute(sql["lose"], None, None, provider, table, name)
    if is_late:
        return False
    for name in always:
        if name not in named and name not in known:
            execute(sql["add"], provider, table, name, seen_ms, seen_ms, None, _NO_REQUEST)
            execute(sql["lose"], seen_ms, ledger_id, provider, table, name)
    for name, (fetched_ms, gone_ms) in known.items():
        if name not in named and gone_ms is None and fetched_ms < seen_ms and (not reads or name in reads):
            execute(sql["lose"], seen_ms, ledger_id, provider, table, name)
    execute(sql["see"], seen_ms, provider, table)
    return True


def changed_columns(store: Store, *, job_id: str | None = None) -> list[ColumnChange]:
    """The changes of all tables, or those that the replies of a job have brought, by vendor and table. Raises StoreError."""
    sql = statements("sql/value_columns.sql", store.database.spelling)
    rows = store.database.read(sql["all_changes"]) if job_id is None else store.database.read(sql["changes_of_job"], job_id)
    found: dict[tuple[str, str, int], tuple[dict[str, None], dict[str, None]]] = {}
    for provider, table, at_ms, gone, new in rows:
        of_reply: Any = found.setdefault((provider, table, int(at_ms)), ({}, {}))
        of_reply[0][gone] = None
        if new is not None:
            of_reply[1][new] = None
    return [ColumnChange(*key, tuple(gone), tuple(new)) for key, (gone, new) in found.items()]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(one[:60]) for one in names[:_MOST_NAMED])
    return shown + (f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else "")
