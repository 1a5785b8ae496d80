"""Parses Alpha Vantage's quotes, splits and dividends, JSON or CSV, into the records of marketfetch/schemas/non_bar_rows.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from marketfetch.schemas.non_bar_rows import Dividend, Quote, Split
from marketfetch.schemas.page import Page
from marketfetch.schemas.rejects import RejectBook
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import NoData
from marketfetch.vendors.record_reading import read_record
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS
from .errors import WHO

_QUOTE_NAMES = {
    "symbol": "symbol",
    "open": "open",
    "high": "high",
    "low": "low",
    "price": "price",
    "volume": "volume",
    "latest trading day": "day",
    "latestday": "day",
    "previous close": "previous_close",
    "previousclose": "previous_close",
}
_DIVIDEND_NAMES = {
    "ex dividend date": "ex_day",
    "declaration date": "declared",
    "record date": "recorded",
    "payment date": "paid",
    "amount": "amount",
}
_SPLIT_NAMES = {"effective date": "day", "split factor": "new"}


def read_record_object(body: Mapping[str, object], *, request: Request) -> Page | None:
    """Parses records from a JSON object; returns None for an unknown shape. Raises NoData."""
    for name, value in body.items():
        # An entitlement parameter adds a suffix to the key: "Global Quote - DATA DELAYED BY 15 MINUTES".
        if name.startswith("Global Quote") and isinstance(value, dict):
            return _page([value] if value else [], request=request, kind=Quote)
    if body.get("bestMatches") == []:
        raise NoData(f"{WHO} has no symbol like {request.symbol}: check the spelling")
    rows = body.get("data")
    if not isinstance(rows, list):
        return None
    keys = {key.replace("_", " ") for row in rows if isinstance(row, dict) for key in row}
    splits = "split factor" in keys or (not rows and request.dataset.upper() == "SPLITS")
    if rows and not keys & {"split factor", "ex dividend date"}:
        return None
    return _page(rows, request=request, kind=Split if splits else Dividend, symbol=str(body.get("symbol") or ""))


def read_record_rows(header: list[str], rows: list[list[str]], *, request: Request) -> Page:
    """Parses records from a CSV. Raises NoData."""
    kinds: dict[str, type[BaseModel]] = {"symbol": Quote, "effective_date": Split}
    kind = kinds.get(header[0].lower(), Dividend)
    return _page([dict(zip(header, row, strict=False)) for row in rows], request=request, kind=kind)


def _page(rows: Sequence[object], *, request: Request, kind: type[BaseModel], symbol: str = "") -> Page:
    names = {Quote: _QUOTE_NAMES, Split: _SPLIT_NAMES, Dividend: _DIVIDEND_NAMES}[kind]
    records: list[BaseModel] = []
    book = RejectBook()
    check_rows(len(rows), most_rows=MOST_ROWS, who=WHO)
    known = {"old": 1} if kind is Split else {}
    for number, row in enumerate(rows):
        keys = row if isinstance(row, dict) else ()
        plain = {key: re.sub(r"^\d+\. ", "", str(key)).replace("_", " ").lower() for key in keys}
        named = {key: names[name] for key, name in plain.items() if name in names}
        record = read_record(kind, row, named, number=number, book=book, symbol=symbol or request.symbol, **known)
        if record is not None:
            records.append(record)
    rejects = book.rejects()
    if not records and not rejects:
        raise NoData(f"{WHO} has no {kind.__name__.lower()}s for {request.symbol}")
    return Page(records=tuple(records), rejects=rejects)
