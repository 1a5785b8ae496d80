"""Parses Polygon's splits, dividends and tickers into the records of marketfetch/schemas/record_kinds.py.

https://massive.com/docs/rest/stocks/corporate-actions/splits, .../dividends, .../tickers/all-tickers
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import msgspec

from marketfetch.schemas.page import Page
from marketfetch.schemas.record_kinds import DIVIDENDS, HOLIDAYS, LISTINGS, SPLITS, RecordKind, Value
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.vendors.errors import NoData, SuspectEmpty, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.quick_records import QuickRecords, decoded
from marketfetch.vendors.record_reading import as_it_is, page_of, records_page
from marketfetch.vendors.reply_parsing import not_json, parse_object
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS, SEARCH
from .errors import DATA_STATUSES, WHO, error_in

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
_WORDS: Final = MappingProxyType({True: "active", False: "delisted"})
RECORDS: Final = MappingProxyType[str, tuple[RecordKind, dict[str, str]]](
    {
        "splits": (SPLITS, _SPLIT),
        "dividends": (DIVIDENDS, _DIVIDEND),
        "symbols": _LISTED,
        "delisted": _LISTED,
        "tickers": _LISTED,
        "search": _LISTED,
        "holidays": (HOLIDAYS, _HOLIDAY),
    }
)


def _day_of(moment: str) -> str:
    """The day of `delisted_utc`, which is a midnight (2012-10-02T00:00:00Z)."""
    return moment[:10] if moment[10:11] == "T" else moment


_QUICK: Final = MappingProxyType(
    {
        kind.name: QuickRecords(
            kind,
            names,
            types={"status": bool} if kind is LISTINGS else {},
            mended={"status": _WORDS.get, "delisted": _day_of} if kind is LISTINGS else {},
        )
        for kind, names in RECORDS.values()
    }
)
_HOLIDAY_LIST: Final = msgspec.json.Decoder(_QUICK["holidays"].rows)


def _body_of(results: Any) -> msgspec.json.Decoder[Any]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("status", str),
        ("results", results),
        ("count", int | None, None),
        ("next_url", str | None, None),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Body", fields, gc=False))


_BODIES: Final = MappingProxyType({name: _body_of(quick.rows) for name, quick in _QUICK.items()})
#: A body whose rows are not decoded yet.
_RAW: Final = _body_of(list[msgspec.Raw])


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
    if request.dataset.lower() == SEARCH:
        # The first page has the best part of what can be meant; its rows are of other tickers than the words.
        request, next_of = request.model_copy(update={"symbol": WHOLE_MARKET}), lambda _: None
        return _found(_quick(kind, request, reply, next_of) or _by_model(kind, names, request, reply, next_of))
    page = _quick(kind, request, reply, next_of) or _by_model(kind, names, request, reply, next_of)
    if request.start and request.end:
        _check_range(page, kind, request)
    return page


def _check_range(page: Page, kind: RecordKind, request: Request) -> None:
    """Raises where the filter by days was not obeyed: the reply would count as the list of days that it does not have."""
    place = [one.name for one in kind.columns].index(kind.dated)
    for row in page.records.rows:
        if not str(request.start) <= str(row[place]) <= str(request.end):
            raise Unavailable(
                f"{WHO} returned {request.dataset} of {row[place]} for {request.symbol}, outside of {request.start} to "
                f"{request.end}: no row was kept"
            )


def _found(page: Page) -> Page:
    """The same rows as what a search found: the list of all symbols, which judges the active ones, says nothing of them."""
    place = [one.name for one in LISTINGS.columns].index("status")
    rows = [(*row[:place], "found", *row[place + 1 :]) for row in page.records.rows]
    return replace(page, records=page_of(LISTINGS, rows).records)


def _quick(kind: RecordKind, request: Request, reply: HttpReply, next_of: Callable[[object], str | None]) -> Page | None:
    """The page of a reply of which at most some rows are unusual; None if anything else about it is."""
    quick = _QUICK[kind.name]
    body = decoded(_BODIES[kind.name], reply.body)
    rows = None if body is None else quick.of_rows(body.results)
    if rows is None:
        body = decoded(_RAW, reply.body)
    if body is None or body.status not in DATA_STATUSES or not 0 < len(body.results) <= MOST_ROWS:
        return None
    if body.count not in (None, len(body.results)):
        return None
    following = next_of(body.next_url)
    only = None if request.is_unknown or request.symbol == WHOLE_MARKET else request.symbol
    page = _of_raw_rows(kind, body.results, only, following) if rows is None else page_of(kind, rows, next_page=following)
    if page is None or (only is not None and any(row[0] != only for row in page.records.rows)):
        return None
    return page


def _of_raw_rows(kind: RecordKind, rows: list[msgspec.Raw], only: str | None, following: str | None) -> Page | None:
    quick, names = _QUICK[kind.name], RECORDS[kind.name][1]

    def of_part(start: int, stop: int) -> list[tuple[Value, ...]] | None:
        # All of them have been tried.
        return quick.of_raw(rows[start:stop]) if stop - start < len(rows) else None

    def by_itself(raw: Any) -> object:
        row = json.loads(bytes(raw))
        if only is not None and _names_another([row], only):
            raise ValueError
        return _listing(row) if kind is LISTINGS else row

    try:
        return records_page(kind, rows, lambda _: names, next_page=following, quick=of_part, mended=by_itself)
    except (ValueError, RecursionError):
        return None


def _by_model(
    kind: RecordKind, names: dict[str, str], request: Request, reply: HttpReply, next_of: Callable[[object], str | None]
) -> Page:
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
    mended = _listing if kind is LISTINGS else as_it_is
    return records_page(kind, rows, lambda _: names, next_page=following, mended=mended)


def _read_holidays(reply: HttpReply) -> Page:
    """Reads the one list that has no object around it. Raises NoData, Unavailable."""
    quick = _QUICK["holidays"].of_rows((decoded(_HOLIDAY_LIST, reply.body) or [])[: MOST_ROWS + 1])
    if quick is not None and len(quick) <= MOST_ROWS:
        return page_of(HOLIDAYS, quick)
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
    active, delisted = row.get("active"), row.get("delisted_utc")
    word = _WORDS.get(active, active) if isinstance(active, bool) else active
    return {**row, "active": word, "delisted_utc": _day_of(delisted) if isinstance(delisted, str) else delisted}


def _names_another(rows: list[object], symbol: str) -> bool:
    """True where a row is of another ticker than the one that was asked for: tickers are case-sensitive, as BACpL shows."""
    return any(isinstance(row, dict) and str(row.get("ticker") or symbol) != symbol for row in rows)
