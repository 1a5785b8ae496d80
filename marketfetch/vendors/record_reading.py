"""Validates the records of one response that are not bars; a bad one becomes a reject with the vendor's own field."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from marketfetch.schemas.rejects import RejectBook
from marketfetch.validation_words import in_words
from marketfetch.vendors.absence import is_absent


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
