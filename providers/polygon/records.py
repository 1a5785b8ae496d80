"""Parses Polygon's splits, dividends and tickers into the records of marketfetch/schemas/record_kinds.py.

https://massive.com/docs/rest/stocks/corporate-actions/splits, .../dividends, .../tickers/all-tickers
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import DIVIDENDS, HOLIDAYS, LISTINGS, SPLITS, RecordKind
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.vendors.errors import NoData, SuspectEmpty, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.record_reading import records_page
from marketfetch.vendors.reply_parsing import not_json, parse_object
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS
from .errors import WHO, error_in

_SPLIT: Final = {
    "ticker": "symbol",
    "execution_date": "ex_date",
    "split_to": "new_shares",
    "split_from": "old_shares",
    "id": "vendor_id",
}
_DIVIDEND: Final = {
    "ticker": "symbol",
    "ex_dividend_date": "ex_date",
    "cash_amount": "amount",
    "currency": "currency",
    "dividend_type": "kind",
    "frequency": "frequency",
    "declaration_date": "declared",
    "record_date": "recorded",
    "pay_date": "paid",
    "id": "vendor_id",
}
_TICKER: Final = {
    "ticker": "symbol",
    "active": "status",
    "name": "name",
    "primary_exchange": "exchange",
    "type": "kind",
    "market": "market",
    "currency_name": "currency",
    "delisted_utc": "delisted",
    "composite_figi": "vendor_id",
}
_HOLIDAY: Final = {
    "exchange": "exchange",
    "date": "day",
    "status": "status",
    "name": "name",
    "open": "opens",
    "close": "closes",
}
_LISTED: Final = (LISTINGS, _TICKER)
RECORDS: Final = MappingProxyType[str, tuple[RecordKind, dict[str, str]]](
    {
        "splits": (SPLITS, _SPLIT),
        "dividends": (DIVIDENDS, _DIVIDEND),
        "symbols": _LISTED,
        "delisted": _LISTED,
        "tickers": _LISTED,
        "holidays": (HOLIDAYS, _HOLIDAY),
    }
)


def saved_dataset(reply: HttpReply) -> str:
    """Detects the dataset of a saved response by a field that only one dataset has; "bars" if no such field is present."""
    fields = {
        b'"todaysChange"': "snapshots",
        b'"execution_date"': "splits",
        b'"ex_dividend_date"': "dividends",
        b'"primary_exchange"': "symbols",
    }
    return next((dataset for field, dataset in fields.items() if field in reply.body[:4_000]), "bars")


def read_records(request: Request, reply: HttpReply, *, next_of: Callable[[object], str | None]) -> Page:
    """Reads a page of the request's dataset. Raises NoData, SuspectEmpty, Unavailable and the errors of `error_in`."""
    kind, names = RECORDS[request.dataset.lower()]
    if kind is HOLIDAYS and reply.body.lstrip()[:1] == b"[":
        return _read_holidays(reply)
    body = parse_object(reply, who=WHO)
    reason = str(body.get("error") or body.get("message") or "")
    error = error_in(str(body.get("status", "")), reason, reply, symbol=request.symbol)
    if error is not None:
        raise error
    rows = body.get("results", [])
    if rows is None:
        raise SuspectEmpty(f"{WHO} returned results:null for {request.symbol}", status=reply.status)
    if not isinstance(rows, list):
        raise Unavailable(f"{WHO} returned {request.dataset} of an unknown shape for {request.symbol}", status=reply.status)
    check_rows(len(rows), most_rows=MOST_ROWS, who=WHO)
    count = body.get("count")
    if isinstance(count, int) and count != len(rows):
        raise Unavailable(
            f"{WHO} returned {len(rows)} of {count} {request.dataset} for {request.symbol}: the response is truncated"
        )
    following = next_of(body.get("next_url"))
    if not rows and not following:
        raise NoData(f"{WHO} has no {request.dataset} for {request.symbol}", status=reply.status)
    if not request.is_unknown and request.symbol != WHOLE_MARKET and _names_another(rows, request.symbol):
        raise Unavailable(f"{WHO} returned {request.dataset} of another ticker than {request.symbol}: no row was kept")
    if kind is LISTINGS:
        return records_page(kind, list(map(_listing, rows)), lambda _: names, next_page=following)
    return records_page(kind, rows, lambda _: names, next_page=following)


def _read_holidays(reply: HttpReply) -> Page:
    """Reads the one list that has no object around it. Raises NoData, Unavailable."""
    try:
        rows = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise not_json(reply, who=WHO) from None
    if not rows:
        raise NoData(f"{WHO} knows of no holiday that lies ahead", status=reply.status)
    check_rows(len(rows), most_rows=MOST_ROWS, who=WHO)
    return records_page(HOLIDAYS, rows, lambda _: _HOLIDAY)


def _listing(row: object) -> object:
    """A ticker with a word for `active`, and the day of `delisted_utc`, which is a midnight (2012-10-02T00:00:00Z)."""
    if not isinstance(row, dict):
        return row
    words = {True: "active", False: "delisted"}
    active, delisted = row.get("active"), row.get("delisted_utc")
    day = delisted[:10] if isinstance(delisted, str) and delisted[10:11] == "T" else delisted
    return {**row, "active": words.get(active, active) if isinstance(active, bool) else active, "delisted_utc": day}


def _names_another(rows: list[object], symbol: str) -> bool:
    """True where a row is of another ticker than the one that was asked for: tickers are case-sensitive, as BACpL shows."""
    return any(isinstance(row, dict) and str(row.get("ticker") or symbol) != symbol for row in rows)
