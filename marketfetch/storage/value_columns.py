"""The columns of tables of values: which a table has had, and which a reply was the first to lack.

A vendor that renames a column sends the same rows under another name. They are stored as they come, and a query for the old
name finds nothing in them: so each change is kept, with the reply that brought it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from marketfetch.storage.database_protocol import Execute
from marketfetch.storage.statements import Spelling, statements
from marketfetch.storage.store import Store
from marketfetch.storage.stored_rows import storable

_MOST_NAMED: Final = 5


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


def note_columns(
    execute: Execute, spelling: Spelling, provider: str, table: str, columns: Sequence[str], *, seen_ms: int, ledger_id: int
) -> None:
    """Notes the columns that a reply of a table has; `ledger_id` is the number of its request. The table's list is locked.

    A reply to an older call than the latest one adds columns that are not known yet, and takes none away.
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
            execute(sql["add"], provider, table, name, seen_ms, seen_ms, latest_ms if is_late else None, ledger_id)
        elif known[name][1] is not None and not is_late:
            execute(sql["lose"], None, None, provider, table, name)
    if is_late:
        return
    for name, (fetched_ms, gone_ms) in known.items():
        if name not in named and gone_ms is None and fetched_ms < seen_ms:
            execute(sql["lose"], seen_ms, ledger_id, provider, table, name)
    execute(sql["see"], seen_ms, provider, table)


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
