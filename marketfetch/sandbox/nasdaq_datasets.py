"""`GET /api/v3/datasets/{DB}/{CODE}[/data|/metadata][.json|.csv]`. https://docs.data.nasdaq.com/docs/in-depth-usage

WIKI (ended 2018-03-27) and EOD hold stocks, MULTPL/SP500_PE_RATIO_MONTH is a recording, the database GONE is retired (410).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from marketfetch.sandbox import recorded
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.nasdaq_rows import NUMBERS, price_rows
from marketfetch.sandbox.nasdaq_wire import csv_page, error, json_page
from marketfetch.sandbox.reply import Query, Reply, one
from marketfetch.sandbox.sessions import FIRST

_ADJ: Final = ("Open", "High", "Low", "Close", "Volume")
COLUMNS: Final = {
    "WIKI": ["Date", *_ADJ, "Ex-Dividend", "Split Ratio", *(f"Adj. {name}" for name in _ADJ)],
    "EOD": ["Date", *_ADJ, "Dividend", "Split", *(f"Adj_{name}" for name in _ADJ)],
}
_COLLAPSES: Final = ("none", "daily", "weekly", "monthly", "quarterly", "annual")


def answer(database: str, code: str, part: str, form: str, query: Query, *, market: Market) -> Reply:
    """`part` is "" (metadata and data), "data" or "metadata"."""
    symbol = f"{database}/{code}"
    if database == "GONE":
        return error("QECx06", form=form, symbol=symbol)
    try:
        first, last = _day(query, "start_date", FIRST), _day(query, "end_date", market.today)
        limit = int(one(query, "limit") or one(query, "rows") or -1)
        index = int(one(query, "column_index") or -1)
    except ValueError as problem:
        return error("QESx04", form=form, symbol=symbol, name=str(problem))
    columns, rows, frequency = _series(database, code, market)
    if rows is None:
        return error("QECx02", form=form, symbol=symbol)
    oldest, newest = (rows[0][0], rows[-1][0]) if rows else (None, None)
    about = _about(database, code, columns, frequency, oldest, newest)
    if part == "metadata":
        return json_page({"dataset": about}, symbol=code)
    order, collapse = one(query, "order", "desc"), one(query, "collapse", "none")
    if order not in ("asc", "desc") or collapse not in _COLLAPSES or index >= len(columns):
        return error("QESx04", form=form, symbol=symbol, name="order, collapse or column_index")
    if one(query, "start_date") or one(query, "end_date"):
        rows = [row for row in rows if str(first) <= row[0] <= str(last)]
    rows = _collapsed(rows, collapse)
    # The newest `limit` rows, whichever way they are then ordered: "rows=5" is the latest five in the vendor's client too.
    rows = rows[max(len(rows) - limit, 0) :] if limit >= 0 else rows
    if order == "desc":
        rows = rows[::-1]
    if index >= 0:
        picked = [0] if index == 0 else [0, index]
        columns, rows = [columns[i] for i in picked], [[row[i] for i in picked] for row in rows]
    if form == "csv":
        return csv_page(columns, rows, symbol=code)
    data = {
        "limit": limit if limit >= 0 else None,
        "transform": None,
        "column_index": index if index >= 0 else None,
        "column_names": columns,
        "start_date": one(query, "start_date") or oldest,
        "end_date": one(query, "end_date") or newest,
        "frequency": frequency,
        "data": rows,
        "collapse": None if collapse == "none" else collapse,
        "order": one(query, "order") or None,
    }
    document = {"dataset_data": data} if part == "data" else {"dataset": about | data}
    return json_page(document, symbol=code)


def _series(database: str, code: str, market: Market) -> tuple[list[str], list[list[Any]] | None, str]:
    """Columns, all rows oldest first (None: no such dataset), frequency."""
    if (database, code) == ("MULTPL", "SP500_PE_RATIO_MONTH"):
        data = recorded.document("dataset_MULTPL_SP500_PE_excerpt.json")["dataset_data"]
        return data["column_names"], [list(row) for row in data["data"]], "monthly"
    if database not in COLUMNS:
        return [], None, "daily"
    rows = price_rows(market, code, first=FIRST, last=market.today, wiki=database == "WIKI")
    if rows is None:
        return [], None, "daily"
    return COLUMNS[database], [[day, *(numbers[name] for name in NUMBERS)] for day, numbers in rows], "daily"


def _about(
    database: str, code: str, columns: list[str], frequency: str, oldest: str | None, newest: str | None
) -> dict[str, Any]:
    return {
        "id": 9775409,
        "dataset_code": code,
        "database_code": database,
        "name": f"{code} prices",
        "description": "Simulated data.",
        "refreshed_at": f"{newest}T22:00:00.000Z",
        "newest_available_date": newest,
        "oldest_available_date": oldest,
        "column_names": columns,
        "frequency": frequency,
        "type": "Time Series",
        "premium": False,
        "database_id": 4922,
    }


def _collapsed(rows: list[list[Any]], collapse: str) -> list[list[Any]]:
    """The last row of each period, as the vendor does it: right for closes, wrong for opens, highs, lows and volumes."""
    if collapse in ("none", "daily"):
        return rows
    last = {_period(date.fromisoformat(row[0]), collapse): row for row in rows}
    return list(last.values())


def _period(day: date, collapse: str) -> date:
    if collapse == "weekly":
        return day - timedelta(days=day.weekday())
    months = {"monthly": 1, "quarterly": 3, "annual": 12}[collapse]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


def _day(query: Query, name: str, default: date) -> date:
    text = one(query, name)
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise ValueError(name) from None
