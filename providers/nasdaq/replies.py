"""Decodes Nasdaq Data Link's responses: a datatable's rows in any order, or a dataset's by date; JSON or CSV.

https://docs.data.nasdaq.com/docs/tables-1, https://docs.data.nasdaq.com/docs/time-series
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from marketfetch.schemas.bars import PRICE_COLUMNS, BarSeries
from marketfetch.schemas.page import Page, Quirk
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.table_columns import TableColumns
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.columns import asked_range, parse
from marketfetch.vendors.date_columns import starts_of_days
from marketfetch.vendors.errors import BadRequest, NoData, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.page_building import PageBuilder
from marketfetch.vendors.reply_parsing import looks_like_json, parse_csv, parse_object, quoted
from marketfetch.vendors.reply_size import check_rows

from .calls import METADATA, dataset_name
from .column_mapping import ColumnMapping, PriceColumns, plain
from .datasets import LONGEST_REPLY
from .errors import WHO, check_status
from .options import NasdaqOptions
from .series_keys import Columns, asks_metadata, doubtful_columns, refusal_by_metadata
from .table_values import read_values
from .tables import mapping_by_columns, mapping_named, missing, timespan_of, unmapped, unmapped_key
from .value_wishes import VALUES

_VAGUE: Final = ("bars", "datasets", "dataset", "datatables", "datatable")
_LONGEST_NAME: Final = 200
#: The types of columns of texts. https://docs.data.nasdaq.com/docs/tables-1
_TEXTS: Final = ("string", "text", "varchar", "char")
#: The widest tables have a few hundred.
_MOST_COLUMNS: Final = 5_000
_FIELDS: Final = (*PRICE_COLUMNS, "volume", "vwap")


@dataclass(frozen=True, slots=True)
class _Table:
    """A response's columns and rows in its own order; `next` is the next page's cursor, `frequency` a dataset's field."""

    kind: Literal["dataset", "table"]
    columns: list[str]
    rows: Sequence[Sequence[object]]
    next: str | None = None
    frequency: object = None
    texts: frozenset[int] = frozenset()


def read_reply(request: Request, reply: HttpReply, options: NasdaqOptions) -> Page:
    """Reads a dataset, or a page of a datatable. Each symbol and adjustment in it becomes a series. Raises the error tree."""
    if request.dataset.lower() == VALUES:
        return read_values(request, reply, options)
    name = _name(request, options)
    if request.cursor is not None and request.cursor.startswith(METADATA):
        raise refusal_by_metadata(request, reply, name=name, options=options)
    check_status(reply, symbol=request.symbol)
    table = _json_table(reply, request) if looks_like_json(reply) else _csv_table(reply, request)
    check_rows(len(table.rows), most_rows=LONGEST_REPLY, who=WHO)
    if len(table.columns) > _MOST_COLUMNS:
        raise Unavailable(f"{WHO} sent a table of {len(table.columns):,} columns: none has more than {_MOST_COLUMNS:,}")
    if not table.rows:
        if table.next:
            return Page(next=table.next)
        raise NoData(f"{WHO} has no rows for {request.symbol} in this range", status=reply.status)
    stated = mapping_named(name, options.tables) if name else None
    mapping = stated or mapping_by_columns(name, table.columns, kind=table.kind)
    if mapping is None:
        raise unmapped(name or request.symbol, table.columns)
    timespan = _timespan(request, table, mapping, known=name)
    groups, unreadable, quirks = _by_symbol(request, table, mapping, name=name or request.symbol)
    columns = Columns(table.columns, table.texts)
    whole = stated is not None or not table.next
    if doubtful := doubtful_columns(columns, table.rows, groups.values(), mapping, whole=whole):
        if table.kind == "table" and request.start is not None and not request.page:
            # The vendor knows which columns are the key: the same request asks it before it is over.
            return Page(check=asks_metadata(doubtful))
        raise unmapped_key(name, mapping, doubtful, sure=False)
    page = PageBuilder(unreadable)
    page.count(quirks)
    _add_series(page, request, table, mapping, groups, name=name or request.symbol, timespan=timespan)
    # A mapping that is stated names its columns, and refuses a table without one of them. Of any other an earlier reply tells.
    noted = None if stated or not name else TableColumns(_as_values(table, name), tuple(table.columns))
    return replace(page.page(following=table.next), columns=noted)


def _as_values(table: _Table, name: str) -> str:
    """The table's name as its values have it, so that both know the same columns."""
    return f"datasets/{name}" if table.kind == "dataset" else name


def _name(request: Request, options: NasdaqOptions) -> str:
    """Returns the name "VENDOR/TABLE" or "DB/CODE"; "" for a saved response whose name is unknown."""
    dataset = dataset_name(request, options)
    if dataset is not None:
        return dataset
    if request.dataset.lower() not in _VAGUE:
        return request.dataset
    return "WIKI/PRICES" if request.dataset.lower() == "bars" and request.start is not None else ""


def _json_table(reply: HttpReply, request: Request) -> _Table:
    body = parse_object(reply, who=WHO)
    odd = Unavailable(f"{WHO} returned JSON of an unknown shape for {request.symbol}", status=reply.status)
    table = body.get("datatable")
    if isinstance(table, dict):
        columns, rows, meta = table.get("columns"), table.get("data"), body.get("meta")
        if not isinstance(columns, list) or not isinstance(rows, list) or not isinstance(meta, dict):
            raise odd
        names = [str(column.get("name") if isinstance(column, dict) else column)[:_LONGEST_NAME] for column in columns]
        cursor = meta.get("next_cursor_id")
        types = [str(column.get("type") if isinstance(column, dict) else "").lower() for column in columns]
        texts = frozenset(at for at, kind in enumerate(types) if kind.startswith(_TEXTS))
        return _Table("table", names, _as_rows(rows), next=str(cursor) if cursor else None, texts=texts)
    data = body.get("dataset_data") or body.get("dataset")
    if not isinstance(data, dict) or not isinstance(data.get("column_names"), list):
        raise odd
    rows = data.get("data")
    if not isinstance(rows, list):
        raise odd  # Metadata without rows is not an empty dataset.
    names = [str(name)[:_LONGEST_NAME] for name in data["column_names"]]
    return _Table("dataset", names, _as_rows(rows), frequency=data.get("frequency"))


def _csv_table(reply: HttpReply, request: Request) -> _Table:
    columns, rows = parse_csv(reply, who=WHO)
    if not any("date" in plain(name) or plain(name) in ("month", "quarter", "year") for name in columns):
        raise Unavailable(f"{WHO} returned neither JSON nor a CSV table with dates for {request.symbol}")
    kind: Literal["dataset", "table"] = "table" if {"ticker", "symbol"} & {plain(name) for name in columns} else "dataset"
    cursor = reply.headers.get("cursor_id", "").strip()
    return _Table(kind, columns, list(rows), next=cursor if cursor and cursor != "null" else None)


def _as_rows(rows: list[object]) -> list[Sequence[object]]:
    return [row if isinstance(row, list) else [] for row in rows]


def _timespan(request: Request, table: _Table, mapping: ColumnMapping, *, known: str) -> Timespan:
    """Returns the dataset's timespan, else the mapping's, else the request's. Raises BadRequest if it is not the request's."""
    said = timespan_of(table.frequency)
    if table.frequency and said is None:
        raise BadRequest(
            f"{WHO}: {known or request.symbol} is {table.frequency}, but bars are of 1d, 1w or 1mo: choose another dataset",
            status=200,
        )
    timespan = said or (mapping.timespan if mapping.timespan != "1d" else request.timespan)
    if request.start is not None and timespan != request.timespan:
        raise BadRequest(
            f"{WHO}: {known or request.symbol} has bars of {timespan}, not {request.timespan}: ask for {timespan}", status=200
        )
    return timespan


def _add_series(
    page: PageBuilder,
    request: Request,
    table: _Table,
    mapping: ColumnMapping,
    groups: Mapping[str, Sequence[int]],
    *,
    name: str,
    timespan: Timespan,
) -> None:
    """Adds a series for each symbol and each adjustment of the table. Raises BadRequest for a column that is not there."""
    column = _columns_of(table, name)
    date_at = column(mapping.date)
    for symbol in sorted(groups):
        everything = len(groups[symbol]) == len(table.rows)
        rows = table.rows if everything else [table.rows[number] for number in groups[symbol]]
        dates = [row[date_at] for row in rows]
        starts, moments = starts_of_days(dates, timespan, mapping.zone)
        for adjustment, prices in mapping.prices().items():
            kind = mapping.kind_of(adjustment)
            fields, names = _fields(prices, rows, column, bare=len(table.columns) == 1)
            parsed = parse(
                starts,
                dates,
                fields,
                rows=groups[symbol],
                moments=moments,
                symbol=symbol,
            )
            checked = parsed.checked(
                asked=asked_range(request, timespan, mapping.zone),
                # A settlement and a value stand by themselves; a traded bar has every price that its table has.
                required=_prices_in(fields) if kind in ("traded", "adjusted") else ("close",),
                kind=kind,
                symbol=symbol,
                names={"ts": table.columns[date_at], **names},
            )
            page.add(BarSeries("nasdaq", symbol, timespan, adjustment, checked.bars), checked, kind=kind)


def _prices_in(fields: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(field for field in PRICE_COLUMNS if field in fields)


def _columns_of(table: _Table, name: str) -> Callable[[str], int]:
    """Returns a function from a column's name to its position, which raises BadRequest where there is no such column."""
    positions = {plain(column): i for i, column in reversed(list(enumerate(table.columns)))}

    def column(title: str) -> int:
        if plain(title) not in positions:
            raise missing(name, title, table.columns)
        return positions[plain(title)]

    return column


def _by_symbol(
    request: Request, table: _Table, mapping: ColumnMapping, *, name: str
) -> tuple[dict[str, Sequence[int]], Rejects, tuple[Quirk, ...]]:
    """Groups row numbers by symbol, in the response's order. The vendor promises no order, so the checks sort them by date."""
    column = _columns_of(table, name)
    key = [column(title) for title in mapping.key]
    if _of_one_series(table, key):
        groups, rejects, quirks = _grouped(request, replace(table, rows=table.rows[:1]), mapping, key, name=name)
        if groups:
            return dict.fromkeys(groups, range(len(table.rows))), rejects, quirks
    groups, rejects, quirks = _grouped(request, table, mapping, key, name=name)
    return {**groups}, rejects, quirks


def _of_one_series(table: _Table, key: Sequence[int]) -> bool:
    """True where all rows have all cells, and one text as their key."""
    if set(map(len, table.rows)) != {len(table.columns)}:
        return False
    texts = [table.rows[0][at] for at in key]
    return all(type(text) is str and all(row[at] == text for row in table.rows) for at, text in zip(key, texts, strict=True))


def _grouped(
    request: Request, table: _Table, mapping: ColumnMapping, key: Sequence[int], *, name: str
) -> tuple[dict[str, list[int]], Rejects, tuple[Quirk, ...]]:
    asked = {symbol.casefold(): symbol for symbol in request.symbol.split(",")}
    groups: dict[str, list[int]] = {}
    #: The groups of keys of one text, which are looked at once.
    of_text: dict[str, list[int]] = {}
    only = key[0] if len(key) == 1 else None
    unasked, other = 0, ""
    # A saved dataset has its own name, if the caller gave one.
    alone = request.symbol if request.start is not None else name
    book = RejectBook()
    for number, row in enumerate(table.rows):
        if len(row) != len(table.columns):
            book.add(number, "row", len(row), f"the row has not the {len(table.columns)} fields of its table")
            continue
        text = None if only is None else row[only]
        if type(text) is str and text in of_text:
            of_text[text].append(number)
            continue
        parts = [_key_text(row[at]) for at in key]
        symbol = "+".join(parts) if key else alone
        if key and request.start is not None and all(parts):
            if symbol.casefold() not in asked:
                unasked += 1
                other = other or symbol
                continue
            symbol = asked[symbol.casefold()]
        if not all(parts) or not symbol:
            book.add(number, mapping.key[0] if key else "symbol", symbol, "required field is missing")
            continue
        group = groups.setdefault(symbol, [])
        group.append(number)
        if type(text) is str:
            of_text[text] = group
    if other and not groups and not book.rejects():
        raise BadRequest(
            f"{WHO}: no row of {name} is of {request.symbol}; the first one is of {quoted(other)}. Write the symbol as the "
            f"table has it, or correct the mapping of its key",
            status=200,
        )
    return groups, book.rejects(), (Quirk("row of a symbol that was not asked for", unasked),) if unasked else ()


def _key_text(value: object) -> str:
    """A value of a key as text: without blanks around it, and a whole number without a fraction, as a filter has it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def _fields(
    prices: PriceColumns, rows: Sequence[Sequence[object]], column: Callable[[str], int], *, bare: bool
) -> tuple[dict[str, list[object]], dict[str, str]]:
    """Returns the values of each mapped field, and its column's name. `bare`: there are only dates, so no row has a close."""
    found: dict[str, list[object]] = {}
    names: dict[str, str] = {}
    for field in _FIELDS:
        title = getattr(prices, field)
        if title is not None:
            at = None if bare else column(title)
            found[field] = [None if at is None else row[at] for row in rows]
            names[field] = title
    return found, names
