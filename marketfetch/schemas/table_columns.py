"""The columns of a reply of bars by the vendor's own names, so that one which the vendor renames or drops does not go unseen.

A price that is missing rejects its row. A column that a bar may lack, such as the volume, would only be empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Rows of a reply that leave out what has no value: as many without a field are no chance.
_FEWEST_ROWS: Final = 20
#: Rows whose fields are looked at, and fields that are named.
_MOST_ROWS: Final = 1_000
_MOST_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns `names` of a reply of `table`, the vendor's name of what its replies have in common.

    `reads`: the columns that marketfetch reads, whose absence is noted; empty: that of any column which an earlier reply had.
    `always`: those of them that each reply has by the vendor's documentation: one is missed although no earlier reply had it.
    """

    table: str
    names: tuple[str, ...]
    reads: tuple[str, ...] = ()
    always: tuple[str, ...] = ()


def columns_of_rows(rows: Sequence[Any], like: TableColumns, *, others: Iterable[str] = ()) -> TableColumns | None:
    """The columns of rows that are JSON objects: those of `like`, which says what is read, with the names that are in `rows`.

    `others` are known fields that are not read. None where nothing proves that a missing field is more than a missing value:
    a few rows lack it, and bring no field that is unknown.
    """
    found: dict[str, None] = {}
    for row in rows[:_MOST_ROWS]:
        if isinstance(row, dict):
            found |= dict.fromkeys(row)
    names = tuple(one for one in like.reads if one in found)
    unknown = tuple(one for one in found if one not in like.reads and one not in set(others))[:_MOST_NAMED]
    if not unknown and len(rows) < _FEWEST_ROWS and names != like.reads:
        return None
    return TableColumns(like.table, (*names, *unknown), like.reads, like.always)
