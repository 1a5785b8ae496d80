"""Which columns name a series: a column of texts or ids that no mapping names may divide the rows of what looks like one.

https://docs.data.nasdaq.com/docs/tables-1 (`/metadata` has the `primary_key` of a datatable)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from marketfetch.schemas.request import Request
from marketfetch.vendors.absence import is_absent
from marketfetch.vendors.errors import BadRequest, Fatal, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import parse_object
from marketfetch.vendors.times import parse_day

from .calls import METADATA
from .column_mapping import ColumnMapping, PriceColumns, plain
from .errors import WHO, check_status
from .options import NasdaqOptions
from .tables import mapping_by_columns, mapping_named, no_key, unmapped_key

#: The names of columns whose numbers and dates are no measurements.
_ID: Final = re.compile(
    r"(?i:^|[_\s.\-])(?i:id|code|key|zip|series|isin|cusip|sedol|cik|gvkey|permaticker|permno|strike|tenor|maturity|expiry|"
    r"expiration|delivery|vintage|depth|contract|region|country|exchange|currency|dimension|frequency|unit)$|"
    r"[a-z](Id|ID|Code|Key)$"
)
#: Rows of one date beyond this share are no slips of the vendor, but rows of several series.
_FEW: Final = 0.1
#: How many values of each series tell whether a column has texts.
_LOOKED_AT: Final = 50
_LONGEST_NAME: Final = 200
#: How many doubtful columns a refusal names.
_MOST_NAMED: Final = 10
_UNKNOWN: Final = ColumnMapping(raw=PriceColumns(close="COLUMN"))


@dataclass(frozen=True, slots=True)
class Columns:
    """A table's columns by `names`; `texts` are the positions of those that the table declares as texts."""

    names: Sequence[str]
    texts: frozenset[int] = frozenset()


def doubtful_columns(
    table: Columns, rows: Sequence[Sequence[object]], groups: Iterable[Sequence[int]], mapping: ColumnMapping, *, whole: bool
) -> list[str]:
    """Returns the columns that the mapping does not name, and that may divide the rows of one series.

    These are columns of texts or ids whose values differ within a series, and, where many rows have one date, any column that
    differs between them. Unless `rows` are the `whole` table, a column of texts or ids is doubtful with one value too: the next
    page may have another.
    """
    named = {plain(one) for one in (mapping.date, *mapping.key, *mapping.ignore)}
    for prices in mapping.prices().values():
        named |= {plain(one) for one in prices.model_dump(exclude_none=True).values()}
    unnamed = [at for at, name in enumerate(table.names) if plain(name) not in named]
    if not unnamed:
        return []
    kept = list(groups)
    date_at = next((at for at, name in enumerate(table.names) if plain(name) == plain(mapping.date)), 0)
    found = _of_one_date(rows, kept, unnamed, date_at)
    good = [row for group in kept for row in map(rows.__getitem__, group[:_LOOKED_AT])]
    for at in unnamed:
        if at in found or not _may_name(table.names[at], [row[at] for row in good], declared=at in table.texts):
            continue
        values = [{str(rows[number][at]) for number in group if not is_absent(rows[number][at])} for group in kept]
        if any(len(some) > (1 if whole else 0) for some in values):
            found.add(at)
    return [table.names[at] for at in sorted(found)]


def _of_one_date(
    rows: Sequence[Sequence[object]], groups: Sequence[Sequence[int]], unnamed: Sequence[int], date_at: int
) -> set[int]:
    """Returns the columns in which rows of one series and one date differ, if there are many such rows."""
    differ: set[int] = set()
    several = 0
    for group in groups:
        dates = [rows[number][date_at] for number in group]
        if set(map(type, dates)) == {str} and len(set(dates)) == len(dates):
            continue
        first: dict[str, Sequence[object]] = {}
        for number in group:
            row = rows[number]
            other = first.setdefault(str(row[date_at]), row)
            if other is not row and other != row:
                several += 1
                differ |= {at for at in unnamed if row[at] != other[at]}
    return differ if several > _FEW * sum(map(len, groups)) else set()


def asks_metadata(doubtful: Sequence[str]) -> str:
    """Returns the cursor of the call for the metadata. It carries the first doubtful columns, as ASCII."""
    return METADATA + ",".join(quote(one, safe="") for one in doubtful[:_MOST_NAMED])


def refusal_by_metadata(request: Request, reply: HttpReply, *, name: str, options: NasdaqOptions) -> BadRequest:
    """Returns the error with the setting to write: the key that the table's metadata name, or the columns that are no key.

    The rows are asked for once the setting says what the columns are: guessing anew would cost every request two calls.
    """
    suspected = [unquote(one) for one in (request.cursor or "").removeprefix(METADATA).split(",")]
    try:
        check_status(reply, symbol=request.symbol)
    except Fatal:
        # The rows were served; what the vendor says of the metadata is no verdict on them.
        return unmapped_key(name, mapping_named(name, options.tables) or _UNKNOWN, suspected, sure=False)
    table = parse_object(reply, who=WHO).get("datatable")
    key = table.get("primary_key") if isinstance(table, dict) else None
    listed = table.get("columns") if isinstance(table, dict) else None
    if not isinstance(listed, list):
        raise Unavailable(f"{WHO} sent metadata of an unknown shape for {name}", status=reply.status)
    columns = [str(one.get("name") if isinstance(one, dict) else one)[:_LONGEST_NAME] for one in listed]
    mapping = mapping_named(name, options.tables) or mapping_by_columns(name, columns, kind="table")
    if mapping is None or not isinstance(key, list) or not key:
        # Tables without a key, or without columns that are known here: the values themselves are what is known.
        return unmapped_key(name, mapping or _UNKNOWN, suspected, sure=False)
    named = {plain(one) for one in (mapping.date, *mapping.key, *mapping.ignore)}
    unnamed = [str(one)[:_LONGEST_NAME] for one in key if plain(str(one)) not in named]
    return unmapped_key(name, mapping, unnamed, sure=True) if unnamed else no_key(name, mapping, suspected)


def _may_name(column: str, values: Sequence[object], *, declared: bool) -> bool:
    """True for a column of ids by its name, of texts that are neither numbers nor dates, and of digits `declared` as texts."""
    if _ID.search(column):
        return True
    texts = [value for value in values if isinstance(value, str) and not is_absent(value)]
    return any((declared or not _is_number(text)) and parse_day(text) is None for text in texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
