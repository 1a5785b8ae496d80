"""Parses Alpha Vantage's quotes, splits and dividends, JSON or CSV, into the records of marketfetch/schemas/record_kinds.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import DIVIDENDS, LISTINGS, MARKETS, QUOTES, SPLITS, RecordKind
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import NoData, Unavailable
from marketfetch.vendors.quick_records import QuickRecords, Rows
from marketfetch.vendors.record_reading import records_page
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS
from .errors import WHO

_NUMBER = re.compile(r"^\d+\. ")
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
    "ex dividend date": "ex_date",
    "declaration date": "declared",
    "record date": "recorded",
    "payment date": "paid",
    "amount": "amount",
}
_SPLIT_NAMES = {"effective date": "ex_date", "split factor": "new_shares"}
_LISTING_NAMES = {
    "symbol": "symbol",
    "status": "status",
    "name": "name",
    "exchange": "exchange",
    "assettype": "kind",
    "ipodate": "listed",
    "delistingdate": "delisted",
    # of a search
    "type": "kind",
    "region": "market",
    "currency": "currency",
}
_MARKET_NAMES = {
    "market type": "kind",
    "region": "market",
    "current status": "status",
    "primary exchanges": "exchanges",
    "local open": "opens",
    "local close": "closes",
    "notes": "notes",
}
_NAMES = {
    "snapshots": _QUOTE_NAMES,
    "splits": _SPLIT_NAMES,
    "dividends": _DIVIDEND_NAMES,
    "symbols": _LISTING_NAMES,
    "market_status": _MARKET_NAMES,
}
_QUICK = {
    kind.name: QuickRecords(kind, _NAMES[kind.name], mended={"status": str.lower} if kind is LISTINGS else {})
    for kind in (SPLITS, DIVIDENDS, LISTINGS)
}


def read_record_object(body: Mapping[str, object], *, request: Request) -> Page | None:
    """Parses records from a JSON object; returns None for an unknown shape. Raises NoData."""
    for name, value in body.items():
        # An entitlement parameter adds a suffix to the key: "Global Quote - DATA DELAYED BY 15 MINUTES".
        if name.startswith("Global Quote") and isinstance(value, dict):
            return _page([value] if value else [], request=request, kind=QUOTES)
    matches, markets = body.get("bestMatches"), body.get("markets")
    if matches == []:
        raise NoData(f"{WHO} has no symbol like {request.symbol}: check the spelling")
    if isinstance(matches, list):
        return _page(matches, request=request, kind=LISTINGS, status="found")
    if isinstance(markets, list):
        return _page(markets, request=request, kind=MARKETS)
    rows = body.get("data")
    if not isinstance(rows, list):
        return None
    keys = {key.replace("_", " ") for row in rows if isinstance(row, dict) for key in row}
    splits = "split factor" in keys or (not rows and request.dataset.upper() == "SPLITS")
    if rows and not keys & {"split factor", "ex dividend date"}:
        return None
    symbol = str(body.get("symbol") or "")
    if symbol and not request.is_unknown and symbol.casefold() != request.symbol.casefold():
        raise Unavailable(f"{WHO} returned {request.dataset} of another symbol than {request.symbol}: no row was kept")
    return _page(rows, request=request, kind=SPLITS if splits else DIVIDENDS, symbol=symbol)


def read_record_rows(header: list[str], rows: Sequence[list[str]], *, request: Request) -> Page:
    """Parses records from a CSV. Raises NoData."""
    kind = {"symbol": QUOTES, "effective_date": SPLITS}.get(header[0].lower(), DIVIDENDS)
    names = [name.lower() for name in header]
    if "ipodate" in names or "matchscore" in names:
        kind = LISTINGS
    return _page(rows, request=request, kind=kind, status="found" if "matchscore" in names else "", header=header)


def _page(
    rows: Sequence[object],
    *,
    request: Request,
    kind: RecordKind,
    symbol: str = "",
    status: str = "",
    header: Sequence[str] = (),
) -> Page:
    """The page of a list; `symbol` and `status` are those of rows that have none by themselves.

    `header`: the rows are lines of a CSV with these names, which would take three times the memory as objects.
    """
    check_rows(len(rows), most_rows=MOST_ROWS, who=WHO)
    known: dict[str, object] = {"status": status} if status else {}
    if kind not in (LISTINGS, MARKETS):
        known["symbol"] = (symbol if request.is_unknown else "") or request.symbol
    if kind is SPLITS:
        known["old_shares"] = 1  # the factor is new shares for each old one

    def of_part(start: int, stop: int) -> Rows | None:
        return _quick(kind, rows[start:stop], known, header)

    def mended(row: object) -> object:
        named = _as_object(row, header) if header else row
        return _listing(named) if kind is LISTINGS else named

    page = records_page(kind, rows, lambda row: _named(kind, row), known=known, quick=of_part, mended=mended)
    if not page.rows and not page.rejects:
        raise NoData(f"{WHO} has no {kind.name} for {request.symbol}")
    return page


def _quick(kind: RecordKind, rows: Sequence[Any], known: Mapping[str, object], header: Sequence[str]) -> Rows | None:
    """The records of rows that have the same fields, and only texts in them; None where any of them is unusual."""
    keys = header or list(rows[0] if isinstance(rows[0], dict) else ())
    names = _named(kind, dict.fromkeys(keys))
    if kind.name not in _QUICK or not keys or len(set(names.values())) < len(names) or len(set(keys)) < len(keys):
        return None
    if header:
        if set(map(len, rows)) != {len(header)}:
            return None
        return _QUICK[kind.name].of_columns(
            {names[key]: column for key, column in zip(keys, zip(*rows, strict=True), strict=True) if key in names}, known
        )
    same = set(keys)
    if any(not isinstance(row, dict) or row.keys() != same for row in rows):
        return None
    columns = {ours: [row[name] for row in rows] for name, ours in names.items()}
    if any(set(map(type, column)) != {str} for column in columns.values()):
        return None
    return _QUICK[kind.name].of_columns(columns, known)


def _as_object(row: object, header: Sequence[str]) -> object:
    """A line of a CSV with its names; without any where it is too short or too long, and fields may be in a wrong column."""
    return dict(zip(header, row, strict=True)) if isinstance(row, list) and len(row) == len(header) else {}


def _listing(row: object) -> object:
    """The row with our word for its status."""
    status = row.get("status") if isinstance(row, dict) else None
    return {**row, "status": status.lower()} if isinstance(row, dict) and isinstance(status, str) else row


def _named(kind: RecordKind, row: object) -> dict[str, str]:
    """Our name of each of the row's fields, whose names are numbered in some replies, and have underscores in others."""
    keys = row if isinstance(row, dict) else ()
    names = _NAMES[kind.name]
    return {key: names[name] for key in keys if (name := _plain(str(key))) in names}


def _plain(name: str) -> str:
    return (_NUMBER.sub("", name) if ". " in name else name).replace("_", " ").lower()
