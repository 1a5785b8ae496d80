"""What a wish for values names: a datatable with filters on its columns, or a time series, as one word that people can write.

    ZACKS/FC?ticker=AAPL&per_end_date.gte=2020-01-01
    datasets/FRED/GDP?start_date=2020-01-01

https://docs.data.nasdaq.com/docs/in-depth-usage-1 (filters), https://docs.data.nasdaq.com/docs/in-depth-usage (time series)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace

from .options import NasdaqOptions

VALUES: Final = "values"
#: A time series begins with it, as in the vendor's URLs.
SERIES: Final = "datasets/"
#: Our own cursor: the key of the table, then the vendor's cursor of the page.
ROWS: Final = "rows:"
#: The most rows of a page. https://docs.data.nasdaq.com/docs/in-depth-usage-1
_MOST_ROWS: Final = 10_000
_OPERATORS: Final = ("gt", "gte", "lt", "lte")
#: Parameters of every call that are no columns, as letters alone. https://docs.data.nasdaq.com/docs/getting-started
_RESERVED: Final = ("apikey", "apitoken", "authtoken", "accesstoken", "qopts")
_OF_SERIES: Final = ("start_date", "end_date", "collapse", "transform", "limit", "column_index")


@dataclass(frozen=True, slots=True)
class ValueWish:
    """`name` is VENDOR/TABLE, or DATABASE/CODE of a time series."""

    name: str
    filters: tuple[tuple[str, str], ...]
    is_series: bool


def value_wish(symbol: str) -> ValueWish:
    """Reads a symbol. Raises PlanError with how it is written."""
    path, _, query = symbol.partition("?")
    is_series = path.lower().startswith(SERIES)
    name = path[len(SERIES) :] if is_series else path
    if name.count("/") != 1 or not all(name.split("/")):
        raise PlanError(
            f"{symbol!r} names no table: write VENDOR/TABLE with filters, such as "
            f"'ZACKS/FC?ticker=AAPL&per_end_date.gte=2020-01-01', or a time series as '{SERIES}DATABASE/CODE'"
        )
    filters = tuple(parse_qsl(query, keep_blank_values=True))
    for part in query.split("&") if query else ():
        column, equals, _ = part.partition("=")
        if not column or not equals:
            raise PlanError(f"{symbol!r} has the filter {part!r}: write column=value, or column.gte=value (gt, gte, lt, lte)")
    for column, _ in filters:
        if is_series and column not in _OF_SERIES:
            raise PlanError(f"{symbol!r}: a time series has no filter {column!r}, only {', '.join(_OF_SERIES)}")
        _, dot, operator = column.partition(".")
        if not is_series and _is_reserved(column):
            raise PlanError(
                f"A symbol has a filter on {column[:40]!r}, which is no column: the key of a call comes from the settings alone"
            )
        if not is_series and dot and operator not in _OPERATORS:
            raise PlanError(f"{symbol!r} has the filter {column!r}: write column=value, or column.gte=value (gt, gte, lt, lte)")
    return ValueWish(name, filters, is_series)


def _is_reserved(column: str) -> bool:
    """True for a parameter of the vendor's call, in any case, encoding and brackets: `API_KEY`, `api%255Fkey`, `api_key[]`."""
    while (decoded := unquote(column)) != column:
        column = decoded
    return re.sub(r"[^a-z0-9]", "", column.casefold()).startswith(_RESERVED)


def build_value_request(request: Request, options: NasdaqOptions, key: KeyPlace) -> HttpRequest:
    """Builds the call for a time series, for a table's metadata (the first page), or for a page of its rows."""
    wish, accept = value_wish(request.symbol), {"Accept": "application/json"}
    if wish.is_series:
        return HttpRequest(f"/datasets/{quote(wish.name)}/data.json", (("order", "asc"), *wish.filters), key, headers=accept)
    if request.cursor is None:
        return HttpRequest(f"/datatables/{quote(wish.name)}/metadata.json", (), key, headers=accept)
    _, cursor = key_and_cursor(request.cursor)
    params = [*wish.filters, ("qopts.per_page", str(min(options.page_limit or _MOST_ROWS, _MOST_ROWS)))]
    if cursor:
        params.append(("qopts.cursor_id", cursor))
    return HttpRequest(f"/datatables/{quote(wish.name)}.json", tuple(params), key, headers=accept)


def rows_cursor(key: tuple[str, ...], cursor: str = "") -> str:
    """Names a page of rows; the key travels with it, so that only the first page asks for the metadata."""
    return f"{ROWS}{','.join(quote(column, safe='') for column in key)}:{cursor}"


def key_and_cursor(cursor: str) -> tuple[tuple[str, ...], str]:
    """The inverse of `rows_cursor`. A cursor of the vendor's alone has no key."""
    if not cursor.startswith(ROWS):
        return (), cursor
    named, _, rest = cursor.removeprefix(ROWS).partition(":")
    return tuple(unquote(column) for column in named.split(",") if column), rest
