"""Decodes datatables and time series as they are: each row one record, its cells typed by the vendor's own columns.

A datatable has no order, and its key is in its metadata: the first page of a request is the metadata, which name the first page
of rows. https://docs.data.nasdaq.com/docs/tables-1, https://docs.data.nasdaq.com/docs/time-series
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import VALUE_ROWS
from marketfetch.schemas.rejects import RejectBook
from marketfetch.schemas.request import Request
from marketfetch.vendors.absence import is_absent
from marketfetch.vendors.date_columns import are_days
from marketfetch.vendors.errors import BadRequest, NoData, PlanError, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.quick_records import decoded
from marketfetch.vendors.raw_rows import RawRows
from marketfetch.vendors.record_reading import page_of
from marketfetch.vendors.reply_parsing import parse_object
from marketfetch.vendors.reply_size import check_rows
from marketfetch.vendors.times import parse_day

from .datasets import LONGEST_REPLY
from .errors import WHO, check_status
from .options import NasdaqOptions
from .row_texts import as_json, row_texts
from .value_wishes import key_and_cursor, rows_cursor, value_wish

CellType = Literal["day", "time", "number", "whole", "text", "any"]
Cell = str | float | int | bool | None

_LONGEST_NAME: Final = 200
#: The widest tables have a few hundred.
_MOST_COLUMNS: Final = 5_000
_LONGEST_LIST: Final = 400
#: What an index of either database holds.
_LONGEST_KEY: Final = 2_000
_ALL: Final = ("*",)
#: Rows that are read together, and one by one where one of them is unusual: few, as their columns are one more copy in memory.
_PART: Final = 128
#: How the vendor's types begin, in lower case. https://docs.data.nasdaq.com/docs/tables-1
_TYPES: Final[tuple[tuple[str, CellType], ...]] = (
    ("datetime", "time"),
    ("timestamp", "time"),
    ("date", "day"),
    *((one, "number") for one in ("bigdecimal", "double", "float", "decimal", "numeric")),
    *((one, "whole") for one in ("integer", "int", "bigint", "long")),
    *((one, "text") for one in ("string", "text", "varchar", "char")),
)


@dataclass(frozen=True, slots=True)
class _Columns:
    names: tuple[str, ...]
    types: tuple[CellType, ...]
    key: tuple[int, ...]

    @property
    def day(self) -> int | None:
        """The column of the row's date: of the key, or the first one that there is."""
        days = [place for place, kind in enumerate(self.types) if kind == "day"]
        return next((place for place in self.key if place in days), days[0] if days else None)


def read_values(request: Request, reply: HttpReply, options: NasdaqOptions) -> Page:
    """Reads metadata, a page of a datatable, or a time series. Raises the error tree."""
    check_status(reply, symbol=request.symbol)
    body = _page_of_rows(reply) or parse_object(reply, who=WHO)
    data = body.get("dataset_data") or body.get("dataset")
    if isinstance(data, dict):
        return _series_page(request, reply, data)
    table = body.get("datatable")
    listed = table.get("columns") if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(listed, list) or not listed or len(listed) > _MOST_COLUMNS:
        raise _odd(request, reply)
    names = tuple(str(one.get("name") if isinstance(one, dict) else one)[:_LONGEST_NAME] for one in listed)
    types = tuple(_type(one.get("type") if isinstance(one, dict) else None) for one in listed)
    if "data" not in table and "primary_key" in table:
        return Page(next=rows_cursor(_key_of(_name(request), names, table.get("primary_key"), options)))
    rows, meta = table.get("data"), body.get("meta")
    if not isinstance(rows, list | RawRows) or not isinstance(meta, dict):
        raise _odd(request, reply)
    key = key_and_cursor(request.cursor or "")[0] or options.value_keys.get(_name(request)) or _ALL
    columns = _Columns(names, types, _places(request, names, key))
    cursor = meta.get("next_cursor_id")
    following = rows_cursor(key, str(cursor)) if cursor else None
    return _page(request, reply, rows, columns, following=following)


class _Rows(msgspec.Struct):
    data: list[msgspec.Raw]
    columns: list[Any]


class _Body(msgspec.Struct):
    """A page of a datatable; any other reply is decoded as a whole."""

    datatable: _Rows
    meta: dict[str, Any]


_PAGE_OF_ROWS: Final = msgspec.json.Decoder(_Body)


def _page_of_rows(reply: HttpReply) -> dict[str, object] | None:
    """The body of a page of a datatable, whose rows are decoded later; None for any other."""
    found = decoded(_PAGE_OF_ROWS, reply.body)
    if found is None or not reply.body.isascii():
        return None
    rows = RawRows(found.datatable.data, who=WHO)
    return {"datatable": {"data": rows, "columns": found.datatable.columns}, "meta": found.meta}


def _series_page(request: Request, reply: HttpReply, data: dict[str, Any]) -> Page:
    """A time series: the first column is the date, which is its key, and the others are numbers."""
    names, rows = data.get("column_names"), data.get("data")
    if not isinstance(names, list) or not isinstance(rows, list) or not names or len(names) > _MOST_COLUMNS:
        raise _odd(request, reply)
    numbers: list[CellType] = ["number"] * (len(names) - 1)
    types: tuple[CellType, ...] = ("day", *numbers)
    columns = _Columns(tuple(str(name)[:_LONGEST_NAME] for name in names), types, (0,))
    return _page(request, reply, rows, columns, following=None)


def _page(request: Request, reply: HttpReply, rows: Sequence[object], columns: _Columns, *, following: str | None) -> Page:
    check_rows(len(rows), most_rows=LONGEST_REPLY, who=WHO)
    if not rows and not following:
        raise NoData(f"{WHO} has no rows for {request.symbol}: check the filters, it may begin later", status=reply.status)
    book, name, found, place_of_day = RejectBook(), _name(request), [], columns.day
    key_names = tuple(columns.names[place] for place in columns.key)
    every_column = columns.key == tuple(range(len(columns.names)))
    for numbers, cells in _parts(rows, columns, book):
        texts = row_texts(columns.names, cells)
        keys = texts if every_column else row_texts(key_names, [[row[place] for place in columns.key] for row in cells])
        for number, row, whole, key in zip(numbers, cells, texts, keys, strict=True):
            if len(key) > _LONGEST_KEY // 4 and len(key.encode()) > _LONGEST_KEY:
                book.add(number, key_names[0], key, f"the row's key has more than {_LONGEST_KEY:,} bytes")
                continue
            day = None if place_of_day is None else row[place_of_day]
            found.append((name, key, None if day is None else str(day), whole))
    page = page_of(VALUE_ROWS, found, book, next_page=following)
    # A time series of which one column was asked for tells nothing of the others.
    if "column_index=" in request.symbol:
        return page
    return replace(page, records=replace(page.records, columns=columns.names))


def _parts(
    rows: Sequence[object], columns: _Columns, book: RejectBook
) -> Iterator[tuple[Sequence[int], Sequence[Sequence[Cell]]]]:
    """The numbers and the typed cells of good rows: of parts without an unusual one by column, of the others row by row."""
    for start in range(0, len(rows), _PART):
        part = rows[start : start + _PART]
        clean = clean_cells(part, columns)
        if clean is not None:
            yield range(start, start + len(clean)), clean
            continue
        one_by_one = {number: _cells(row, columns, number=number, book=book) for number, row in enumerate(part, start)}
        good = {number: cells for number, cells in one_by_one.items() if cells is not None}
        yield list(good), list(good.values())


def clean_cells(rows: Sequence[object], columns: _Columns) -> list[tuple[Cell, ...]] | None:
    """What `_cells` makes of each of these rows; None where one of them may be a reject."""
    wide = len(columns.names)
    if not rows or any(not isinstance(row, list) or len(row) != wide for row in rows):
        return None
    try:
        cells = [_column(*one) for one in zip(columns.types, zip(*rows, strict=True), strict=True)]
    except (ValueError, OverflowError, TypeError):
        return None
    if len(columns.key) < wide and any(None in cells[place] for place in columns.key):
        return None
    return list(zip(*cells, strict=True))


def _column(kind: CellType, column: Sequence[Any]) -> Sequence[Cell]:
    """The cells of a column, which are the values themselves in most. Raises ValueError, OverflowError, TypeError."""
    types = set(map(type, column)) - {type(None)}
    there = [one for one in column if one is not None] if None in column else column
    if kind == "day" and are_days(column):
        return column
    if kind == "day" and types <= {str}:
        days = {one: _day(one) for one in set(column)}
        return [days[one] for one in column]
    if types <= ({int} if kind == "whole" else {int, float}) and kind in ("number", "whole") and all(map(math.isfinite, there)):
        return column
    if kind == "text" and types <= {str}:
        signs = "".join(there)
        if "\x00" not in signs and signs.encode():
            return column
    return [None if one is None else _READERS[kind](one) for one in column]


def _cells(row: object, columns: _Columns, *, number: int, book: RejectBook) -> list[Cell] | None:
    """The typed cells of a row; None where it is a reject."""
    if not isinstance(row, list) or len(row) != len(columns.names):
        book.add(number, "row", row, f"the row has not the {len(columns.names)} cells of the table's columns")
        return None
    found: list[Cell] = []
    for name, kind, value in zip(columns.names, columns.types, row, strict=True):
        try:
            found.append(None if value is None else _READERS[kind](value))
        except (ValueError, OverflowError, TypeError):
            book.add(number, name, value, f"is no {_WORDS[kind]}, which the table says that it is")
            return None
    for place in columns.key:
        if found[place] is None and len(columns.key) < len(columns.names):
            book.add(number, columns.names[place], "", "a column of the table's key has no value")
            return None
    return found


def _number(value: object) -> float | int | None:
    if is_absent(value):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float) or (isinstance(value, str) and "_" in value):
        raise ValueError
    number = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _whole(value: object) -> int | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise ValueError
    return None if number is None else int(number)


def _day(value: object) -> str | None:
    if is_absent(value):
        return None
    day = parse_day(value)
    if day is None:
        raise ValueError
    return day.isoformat()


def _time(value: object) -> str | None:
    if is_absent(value):
        return None
    if not isinstance(value, str):
        raise TypeError
    return datetime.fromisoformat(value.strip()).isoformat()


def _text(value: object) -> str:
    if isinstance(value, dict | list):
        raise TypeError
    text = value if isinstance(value, str) else str(value)
    # What no database holds, also not inside a JSON text, is written as an escape.
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def _any(value: object) -> Cell:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | bool) else _text(value if isinstance(value, str) else as_json(value))


_READERS: Final[dict[CellType, Callable[[object], Cell]]] = {
    "day": _day, "time": _time, "number": _number, "whole": _whole, "text": _text, "any": _any,
}  # fmt: skip
_WORDS: Final = MappingProxyType(
    {"day": "date", "time": "date with a time", "number": "number", "whole": "whole number", "text": "text", "any": "value"}
)


def _type(name: object) -> CellType:
    word = str(name or "").strip().lower()
    return next((kind for beginning, kind in _TYPES if word.startswith(beginning)), "any")


def _key_of(name: str, columns: tuple[str, ...], stated: object, options: NasdaqOptions) -> tuple[str, ...]:
    """The key of a table: of the settings, or of its metadata. Raises BadRequest for a table without one."""
    said = tuple(str(one)[:_LONGEST_NAME] for one in stated if one) if isinstance(stated, list) else ()
    key = options.value_keys.get(name) or said
    if not key:
        raise BadRequest(
            f"{WHO}: {name} states no primary key, so no row of it can be known again. Name its key in marketfetch.toml: "
            f'[providers.nasdaq.value_keys] with "{name}" = ["{columns[0]}"] (["*"]: a row is its own key); its columns are '
            f"{_listed(columns)}",
            status=200,
        )
    return key


def _places(request: Request, names: tuple[str, ...], key: tuple[str, ...]) -> tuple[int, ...]:
    """The places of the key's columns. Raises BadRequest for one that the table has no more."""
    if key == _ALL:
        return tuple(range(len(names)))
    if lost := [one for one in key if one not in names]:
        raise BadRequest(
            f"{WHO}: {_name(request)} has no column {lost[0]!r}, which is of its key: the vendor has renamed it, or "
            f"value_keys in [providers.nasdaq] is wrong. Its columns are {_listed(names)}",
            status=200,
        )
    return tuple(names.index(one) for one in key)


def _name(request: Request) -> str:
    try:
        wish = value_wish(request.symbol)
    except PlanError:
        return request.symbol  # of a saved reply, whose request is unknown
    return f"datasets/{wish.name}" if wish.is_series else wish.name


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns)[:_LONGEST_LIST]


def _odd(request: Request, reply: HttpReply) -> Unavailable:
    return Unavailable(f"{WHO} returned JSON of an unknown shape for {request.symbol}", status=reply.status)
