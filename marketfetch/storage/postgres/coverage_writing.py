"""Writes into Postgres what batches cover, in the transaction of their rows.

A writer locks the series that it changes until it commits: two pages of one request that are stored at once see each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Any, Final
from zlib import crc32

from marketfetch.schemas.coverage import Covered, merged
from marketfetch.schemas.ledger import Batch
from marketfetch.storage.action_knowledge import ADJUSTED_FOR, turns_of
from marketfetch.storage.coverage_rows import Series, changes, covered_now, covered_of, row_of, spans
from marketfetch.storage.postgres.database import SPELLING, Db, columns_of, executing, fetch, fetch_together
from marketfetch.storage.statements import statements

_SQL: Final = statements("postgres/coverage_writing.sql", SPELLING)
_COVER_ALONE: Final = Template(_SQL["cover_alone"])
#: The advisory locks of coverage: this number and the next ones. Another program in the same database may use others.
_FIRST_LOCK: Final = 7_331_000
_PARTS: Final = 64


def cover_batches(db: Db, batches: Sequence[Batch]) -> None:
    """Writes what the batches cover, whose ledger rows are written. Last of all, since it makes other writers wait."""
    named = [one for batch in batches for one in batch.covered]
    if not named:
        return
    if len(named) == 1 and all(not one.ledger.page and one.ledger.next_cursor is None for one in batches):
        for one in covered_now(batches, lambda _: ()):
            _write_one(db, one)
        return
    _lock(db, named)
    _write(db, covered_now(batches, lambda root: fetch(db, _SQL["pages"], root)))


def write_coverage(db: Db, covered: Sequence[Covered]) -> None:
    """Merges these intervals into what is covered."""
    _lock(db, covered)
    _write(db, covered)


def _lock(db: Db, covered: Sequence[Covered]) -> None:
    fetch(db, _SQL["lock"], sorted({_lock_of(one.series) for one in covered}))


def _lock_of(series: Series) -> int:
    return _FIRST_LOCK + crc32(repr(series).encode()) % _PARTS


def _write(db: Db, covered: Sequence[Covered]) -> None:
    wanted = spans(covered)
    if not wanted:
        return
    standing: dict[Series, list[Covered]] = {}
    asked = columns_of([(*one.series, one.first_day, one.last_day) for one in wanted])
    found = fetch(db, _SQL["coverage"], *asked)
    for row in map(covered_of, found):
        standing.setdefault(row.series, []).append(row)
    gone, put = changes(wanted, standing, _turns(db, covered, found))
    if gone:
        fetch(db, _SQL["uncover"], *columns_of([(*series, first) for series, first in gone]))
    if put:
        fetch(db, _SQL["cover"], *columns_of([row_of(one) for one in put]))


def _write_one(db: Db, covered: Covered) -> None:
    """Locks and writes one interval: in one message to the server, in two where a row stands that touches it."""
    (span,) = spans([covered])
    alone = [row_of(one) for one in merged((), covered)]
    actions = _SQL["has_actions"] if covered.adjustment in ADJUSTED_FOR else "false"
    write = _COVER_ALONE.substitute(rows=", ".join([_SQL["row"]] * len(alone)), actions=actions)
    near = (*span.series, span.last_day, span.first_day)
    lock = (_SQL["lock_part"], (_lock_of(span.series),))
    found = fetch_together(db, [lock, (write, (*near, *(value for row in alone for value in row)))])
    if not found:
        return
    standing = {span.series: [covered_of(row) for row in found]}
    gone, put = changes([span], standing, _turns(db, [covered], found))
    statements = [(_SQL["uncover_one"], (*series, first)) for series, first in gone]
    statements += [(_SQL["cover_one"], row_of(one)) for one in put]
    if statements:
        fetch_together(db, statements)


def _turns(db: Db, covered: Sequence[Covered], rows: Sequence[tuple[Any, ...]]) -> dict[Series, list[int]]:
    """`turns_of`, unless the last column of the standing rows says that no action is stored."""
    if rows and not rows[0][-1]:
        return {}
    return turns_of(covered, map(covered_of, rows), executing(db), SPELLING, list)
