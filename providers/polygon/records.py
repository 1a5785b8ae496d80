"""Parses Polygon's splits, dividends and tickers into the records of marketfetch/schemas/non_bar_rows.py.

https://massive.com/docs/rest/stocks/corporate-actions/splits, .../dividends, .../tickers/all-tickers
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from marketfetch.schemas.non_bar_rows import Dividend, Split, Ticker
from marketfetch.schemas.page import Page
from marketfetch.schemas.rejects import RejectBook
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import NoData, SuspectEmpty, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.record_reading import read_record
from marketfetch.vendors.reply_parsing import parse_object
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS
from .errors import WHO, error_in

_SPLIT: Final = {"ticker": "symbol", "execution_date": "day", "split_to": "new", "split_from": "old"}
_DIVIDEND: Final = {
    "ticker": "symbol",
    "ex_dividend_date": "ex_day",
    "cash_amount": "amount",
    "declaration_date": "declared",
    "record_date": "recorded",
    "pay_date": "paid",
}
_TICKER: Final = {"ticker": "symbol", "name": "name", "market": "market", "active": "active"}
RECORDS: Final = MappingProxyType[str, tuple[type[BaseModel], dict[str, str]]](
    {"splits": (Split, _SPLIT), "dividends": (Dividend, _DIVIDEND), "tickers": (Ticker, _TICKER)}
)


def saved_dataset(reply: HttpReply) -> str:
    """Detects the dataset of a saved response by a field that only one dataset has; "bars" if no such field is present."""
    fields = {b'"execution_date"': "splits", b'"ex_dividend_date"': "dividends", b'"primary_exchange"': "tickers"}
    return next((dataset for field, dataset in fields.items() if field in reply.body[:4_000]), "bars")


def read_records(request: Request, reply: HttpReply, *, next_of: Callable[[object], str | None]) -> Page:
    """Reads a page of the request's dataset. Raises NoData, SuspectEmpty, Unavailable and the errors of `error_in`."""
    kind, names = RECORDS[request.dataset.lower()]
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
    records: list[BaseModel] = []
    book = RejectBook()
    for number, row in enumerate(rows):
        record = read_record(kind, row, names, number=number, book=book)
        if record is not None:
            records.append(record)
    return Page(records=tuple(records), rejects=book.rejects(), next=following)
