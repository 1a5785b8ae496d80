"""Which columns name a series: a column of texts or ids that no mapping names may divide the rows of what looks like one.

https://docs.data.nasdaq.com/docs/tables-1 (`/metadata` has the `primary_key` of a datatable)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.absence import is_absent
from marketfetch.vendors.errors import BadRequest, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import parse_object
from marketfetch.vendors.times import parse_day

from .calls import METADATA
from .column_mapping import ColumnMapping, PriceColumns, plain
from .errors import WHO
from .options import NasdaqOptions
from .tables import mapping_by_columns, mapping_named, no_key, unmapped_key

#: The names of columns whose numbers are no measurements.
_ID: Final = re.compile(r"(?i:^|[_\s.\-])(?i:id|code|key)$|[a-z](Id|ID|Code|Key)$")
#: How many values tell whether a column has texts.
_LOOKED_AT: Final = 50
_LONGEST_NAME: Final = 200


def doubtful_columns(
    columns: Sequence[str], rows: Sequence[Sequence[object]], groups: Iterable[list[int]], mapping: ColumnMapping
) -> list[str]:
    """Returns the columns of texts or ids that the mapping does not name, and whose values differ within one series."""
    named = {plain(one) for one in (mapping.date, *mapping.key, *mapping.ignore)}
    for prices in mapping.prices().values():
        named |= {plain(one) for one in prices.model_dump(exclude_none=True).values()}
    whole = [row for row in rows if len(row) == len(columns)]
    unnamed = [
        at for at, column in enumerate(columns) if plain(column) not in named and _may_name(column, [row[at] for row in whole])
    ]
    if not unnamed:
        return []
    kept = list(groups)
    return [columns[at] for at in unnamed if any(len({str(rows[number][at]) for number in group}) > 1 for group in kept)]


def refusal_by_metadata(request: Request, reply: HttpReply, *, name: str, options: NasdaqOptions) -> BadRequest:
    """Returns the error with the setting to write: the key that the table's metadata name, or the columns that are no key.

    The rows are asked for once the setting says what the columns are: guessing anew would cost every request two calls.
    """
    table = parse_object(reply, who=WHO).get("datatable")
    key = table.get("primary_key") if isinstance(table, dict) else None
    listed = table.get("columns") if isinstance(table, dict) else None
    if not isinstance(listed, list):
        raise Unavailable(f"{WHO} sent metadata of an unknown shape for {name}", status=reply.status)
    columns = [str(one.get("name") if isinstance(one, dict) else one)[:_LONGEST_NAME] for one in listed]
    mapping = mapping_named(name, options.tables) or mapping_by_columns(name, columns, kind="table")
    suspected = (request.cursor or "").removeprefix(METADATA).split(",")
    if mapping is None or not isinstance(key, list) or not key:
        # Tables without a key, or without columns that are known here: the values themselves are what is known.
        return unmapped_key(name, mapping or ColumnMapping(raw=PriceColumns(close="COLUMN")), suspected, sure=False)
    named = {plain(one) for one in (mapping.date, *mapping.key, *mapping.ignore)}
    unnamed = [str(one)[:_LONGEST_NAME] for one in key if plain(str(one)) not in named]
    return unmapped_key(name, mapping, unnamed, sure=True) if unnamed else no_key(name, mapping, suspected)


def _may_name(column: str, values: Sequence[object]) -> bool:
    """True for a column of ids by its name, or of texts that are neither numbers nor dates."""
    if _ID.search(column):
        return True
    present = (value for value in values if not is_absent(value))
    some = [value for value, _ in zip(present, range(_LOOKED_AT), strict=False)]
    return any(isinstance(value, str) and not _is_number(value) and parse_day(value) is None for value in some)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
