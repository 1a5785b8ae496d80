"""Validates the records of one response that are no bars; a bad one becomes a reject with the vendor's own field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from itertools import islice
from operator import itemgetter, ne
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from marketfetch.schemas.page import Page, Quirk
from marketfetch.schemas.record_kinds import RecordKind, Records, Value
from marketfetch.schemas.record_models import MODELS
from marketfetch.schemas.rejects import RejectBook
from marketfetch.validation_words import in_words
from marketfetch.vendors.absence import is_absent

Row = tuple[Value, ...]
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


#: Into how many parts the rows are cut that have a bad one among them.
_PARTS: Final = 8
#: How many rows are read together: few enough that their columns take little memory.
_ROWS: Final = 1_024


def as_it_is(row: object) -> object:
    return row


def records_page(
    kind: RecordKind,
    rows: Sequence[object],
    names: Callable[[object], Mapping[str, str]],
    *,
    known: Mapping[str, object] = _NOTHING,
    next_page: str | None = None,
    quick: Callable[[int, int], Sequence[Row] | None] | None = None,
    mended: Callable[[object], object] = as_it_is,
) -> Page:
    """The page of a response's `rows`: those that pass the checks of `kind`, one for each natural key, and the rejects.

    `names` gives, for a row, our name of each of the vendor's fields; `known` are values that a row may leave out.
    `quick` gives the records of the rows from a number to another one, None if one of them may be bad (see quick_records.py);
    where it gives none, `mended` makes of one of `rows` what `names` is about.
    """
    book = RejectBook()
    found: list[Row] = []
    # From the end, as the last one is taken first.
    parts = [(start, min(start + _ROWS, len(rows))) for start in range(0, len(rows), _ROWS)][::-1]
    while parts:
        start, stop = parts.pop()
        if quick and stop - start > 1:
            # Bad rows are looked for in ever smaller parts, so that the model reads few others.
            clean = quick(start, stop)
            step = -(-(stop - start) // _PARTS)
            parts += [(at, min(at + step, stop)) for at in range(start, stop, step)][::-1] if clean is None else []
            found += clean or []
            continue
        for number in range(start, stop):
            row = mended(rows[number])
            record = read_record(MODELS[kind.name], row, names(row), number=number, book=book, **known)
            found += [] if record is None else [_values(kind, record)]
    return page_of(kind, found, book, next_page=next_page)


def page_of(kind: RecordKind, found: Sequence[Row], book: RejectBook | None = None, *, next_page: str | None = None) -> Page:
    """The page of rows that are checked already: in the order of their key, each key once, whatever the response's order."""
    rejects = book.rejects() if book else ()
    once = itemgetter(*(place for place, column in enumerate(kind.columns) if column.name in kind.once))
    ordered = _in_order(found)
    # The key's columns come first in each kind, and those of `once` among them: rows that share them are neighbours.
    if ordered is not None and all(map(ne, map(once, ordered), map(once, islice(ordered, 1, None)))):
        return Page(records=Records(kind.name, tuple(ordered)), rejects=rejects, next=next_page)
    key_of = itemgetter(*range(len(kind.key)))
    by_key: dict[Any, Row] = {}
    for row in found:
        key = key_of(row)
        known = by_key.get(key)
        by_key[key] = row if known is None or known == row else _fuller(known, row)
    kept = tuple(by_key[key] for key in sorted(by_key))
    several = len(kept) - len({once(row) for row in kept})
    counts = {"row that repeats another": len(found) - len(kept), "another row of the same symbol and date": several}
    quirks = tuple(Quirk(name, rows) for name, rows in counts.items() if rows)
    return Page(records=Records(kind.name, kept), rejects=rejects, quirks=quirks, next=next_page)


def _in_order(rows: Sequence[Row]) -> list[Row] | None:
    """Rows by their columns; None where two that share the first ones differ in one that only one of them has."""
    try:
        return sorted(rows)
    except TypeError:
        return None


def read_record(
    kind: type[BaseModel], row: object, names: Mapping[str, str], *, number: int, book: RejectBook, **known: object
) -> BaseModel | None:
    """Returns row `number` of a response as a record, None where it is a reject.

    `names` gives our field of each of the vendor's; `known` are values that the row may leave out. An absent value (see
    absence.py) of a number or a date is left out, and a reject where it is required; a text may be such a word itself.
    """
    values, theirs = dict(known), {}
    for name, value in row.items() if isinstance(row, dict) else ():
        ours = names.get(name)
        if ours is None:
            continue
        theirs[ours] = (name, value)
        if value is None or (kind.model_fields[ours].annotation is not str and is_absent(value)):
            continue
        values[ours] = value
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "row"
        name, value = theirs.get(field, (field, "" if isinstance(row, dict) else row))
        symbol = values.get("symbol", "")
        reason = "required field is missing" if first["type"] == "missing" else in_words(first)
        book.add(number, name, "" if value is None else value, reason, symbol=symbol if isinstance(symbol, str) else "")
        return None


def _values(kind: RecordKind, record: BaseModel) -> Row:
    found: Iterable[Any] = (getattr(record, column.name) for column in kind.columns)
    return tuple(value.isoformat() if isinstance(value, date) else value for value in found)


def _fuller(one: Row, other: Row) -> Row:
    """Of two rows with one key the one that says more; of two that say as much always the same one."""
    return max(one, other, key=lambda row: (sum(value not in (None, "") for value in row), repr(row)))
