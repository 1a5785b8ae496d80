"""`GET /api/v3/datatables/{VENDOR}/{TABLE}[.json|.csv]` and `/metadata`. https://docs.data.nasdaq.com/docs/tables-1

Rows are unsorted by contract: here by ticker, then newest first. A cursor names the offset at which the next page begins.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from marketfetch.sandbox import recorded
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.nasdaq_rows import price_rows
from marketfetch.sandbox.nasdaq_wire import csv_page, error, json_page
from marketfetch.sandbox.reply import Query, Reply, one
from marketfetch.sandbox.sessions import FIRST
from marketfetch.sandbox.symbols import UNIVERSE

LARGEST_PAGE: Final = 10_000
_OPERATORS: Final = ("gt", "gte", "lt", "lte")
_NUMBER: Final = "BigDecimal(34,12)"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns as (vendor's name, type, our number or None for ticker and date); `filters` are the filterable ones."""

    columns: tuple[tuple[str, str, str | None], ...]
    key: tuple[str, ...] = ("ticker", "date")
    filters: tuple[str, ...] = ("ticker", "date")
    wiki: bool = False


_HEAD: Final = (("ticker", "String", None), ("date", "Date", None))
_RAW: Final = tuple((name, _NUMBER, name) for name in ("open", "high", "low", "close", "volume"))
_ADJUSTED: Final = tuple((f"adj_{name}", _NUMBER, f"adj_{name}") for name in ("open", "high", "low", "close", "volume"))
TABLES: Final = {
    "WIKI/PRICES": Table(
        (*_HEAD, *_RAW, ("ex-dividend", _NUMBER, "dividend"), ("split_ratio", "double", "split"), *_ADJUSTED), wiki=True
    ),
    "QUOTEMEDIA/PRICES": Table((*_HEAD, *_RAW, ("dividend", _NUMBER, "dividend"), ("split", _NUMBER, "split"), *_ADJUSTED)),
    "SHARADAR/SEP": Table(
        (
            *_HEAD,
            *((name, "double", f"adj_{name}") for name in ("open", "high", "low", "close", "volume")),
            ("closeadj", "double", "adj_close"),
            ("closeunadj", "double", "close"),
            ("lastupdated", "Date", None),
        )
    ),
}


def answer(code: str, part: str, form: str, query: Query, *, market: Market) -> Reply:
    """One page of a table. `part` is "" or "metadata"."""
    if code.startswith("GONE/"):
        return error("QECx06", form=form, symbol=code)
    if code == "NDAQ/RTAT10" and not part:
        return _recorded_page(form)
    table = TABLES.get(code)
    if table is None:
        return error("QECx02", form=form, symbol=code)
    if part == "metadata":
        return json_page({"datatable": _about(code, table)}, symbol=code)
    names = [name for name, _, _ in table.columns]
    wanted = [name for text in _values(query, "qopts.columns") for name in text.split(",")] or names
    if strange := [name for name in wanted if name not in names]:
        return error("QESx04", form=form, symbol=code, name=strange[0])
    conditions: list[tuple[str, str, list[str]]] = []
    for raw in query:
        name, _, operator = raw.removesuffix("[]").partition(".")
        if name in ("qopts", "api_key"):
            continue
        if name not in table.filters:
            return error("QESx08", form=form, symbol=code, name=name)
        if operator and operator not in _OPERATORS:
            return error("QESx07", form=form, symbol=code, name=operator)
        conditions.append((name, operator, [one_of for text in query[raw] for one_of in text.split(",")]))
    try:
        size = min(int(one(query, "qopts.per_page") or LARGEST_PAGE), LARGEST_PAGE)
        offset = _offset(one(query, "qopts.cursor_id"))
        rows = _rows(table, conditions, market)
    except ValueError as problem:
        if str(problem) == "cursor":
            return error("QESx06", form=form, symbol=code)
        return error("QESx04", form=form, symbol=code, name=str(problem))
    asked = next((",".join(values) for name, operator, values in conditions if name == "ticker" and not operator), code)
    page = rows[offset : offset + size]
    cursor = _cursor(offset + size) if offset + size < len(rows) else None
    headers = (("cursor_id", cursor),) if cursor else ()
    at = [names.index(name) for name in wanted]
    data = [[row[i] for i in at] for row in page]
    if form == "csv":
        return csv_page(wanted, data, symbol=asked, headers=headers)
    columns = [{"name": name, "type": kind} for name, kind, _ in table.columns]
    document = {
        "datatable": {"data": data, "columns": [columns[i] for i in at]},
        "meta": {"next_cursor_id": cursor},
    }
    return json_page(document, symbol=asked, headers=headers)


def _rows(table: Table, conditions: list[tuple[str, str, list[str]]], market: Market) -> list[list[Any]]:
    """The rows that meet every condition, by ticker and newest first."""
    tickers: list[str] = [one.replace("BRK.A", "BRK_A") for one in UNIVERSE]  # as WIKI/PRICES has it
    days: set[str] | None = None
    first, last = str(FIRST), str(market.today)
    for name, operator, values in conditions:
        if name == "date":
            values = [str(_day(value)) for value in values]
        if not operator:
            if name == "date":
                days = set(values) if days is None else days & set(values)
            else:
                tickers = list(dict.fromkeys(values))
        elif name == "ticker":
            tickers = [one_of for one_of in tickers if _meets(one_of, operator, values[-1])]
        else:
            floor, ceiling = _bounds(operator, values[-1])
            first, last = max(first, floor), min(last, ceiling)
    if days is not None:
        first, last = max([first, min(days)]), min([last, max(days)])
    if first > last:
        return []
    found: list[list[Any]] = []
    for ticker in sorted(tickers):
        rows = price_rows(market, ticker, first=date.fromisoformat(first), last=date.fromisoformat(last), wiki=table.wiki)
        for day, numbers in reversed(rows or []):
            if days is None or day in days:
                own = {"ticker": ticker, "date": day, "lastupdated": day}
                found.append([own[name] if ours is None else numbers[ours] for name, _, ours in table.columns])
    return found


def _bounds(operator: str, value: str) -> tuple[str, str]:
    """The first and last date that satisfy the operator; dates are days, so "after" is the next one."""
    day = date.fromisoformat(value)
    lowest, highest = str(FIRST), "9999-12-31"
    return {
        "gte": (value, highest),
        "gt": (str(date.fromordinal(day.toordinal() + 1)), highest),
        "lte": (lowest, value),
        "lt": (lowest, str(date.fromordinal(day.toordinal() - 1))),
    }[operator]


def _meets(value: str, operator: str, bound: str) -> bool:
    return {"gt": value > bound, "gte": value >= bound, "lt": value < bound, "lte": value <= bound}[operator]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("date") from None


def _values(query: Query, name: str) -> list[str]:
    return [*query.get(name, []), *query.get(f"{name}[]", [])]


def _cursor(offset: int) -> str:
    return base64.b64encode(f"v1_{offset}_sandbox".encode()).decode()


def _offset(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        version, offset, _ = base64.b64decode(cursor, validate=True).decode().split("_")
        if version != "v1" or int(offset) < 0:
            raise ValueError(cursor)
        return int(offset)
    except ValueError:
        raise ValueError("cursor") from None


def _about(code: str, table: Table) -> dict[str, Any]:
    vendor, _, name = code.partition("/")
    return {
        "vendor_code": vendor,
        "datatable_code": name,
        "name": f"{name} (simulated)",
        "description": None,
        "columns": [{"name": column, "type": kind} for column, kind, _ in table.columns],
        "filters": list(table.filters),
        "primary_key": list(table.key),
        "premium": False,
        "status": {"refreshed_at": "2026-01-01T00:00:00.000Z", "status": "ON TIME", "update_frequency": "DAILY"},
    }


def _recorded_page(form: str) -> Reply:
    """The recorded excerpt is the last page here, because what followed it was not recorded."""
    document = recorded.document("datatable_NDAQ_RTAT10_excerpt.json")
    table = document["datatable"]
    if form == "csv":
        return csv_page([column["name"] for column in table["columns"]], table["data"], symbol="NDAQ/RTAT10")
    return json_page({"datatable": table, "meta": {"next_cursor_id": None}}, symbol="NDAQ/RTAT10")
