"""Decodes Polygon's responses: bars or an error, and the cursor of the next page.

https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import numpy as np

from marketfetch.schemas.bars import PRICE_COLUMNS, BarSeries, Flags, Ints
from marketfetch.schemas.integrity import Rows
from marketfetch.schemas.page import Page
from marketfetch.schemas.price_rules import PriceKind, kind_by
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import LONGEST_MS, TIMESPANS, Adjustment, Timespan, is_intraday
from marketfetch.vendors.columns import Parsed, asked_range, open_from, parse
from marketfetch.vendors.date_columns import starts_of_sessions
from marketfetch.vendors.errors import BadRequest, NoData, NotEntitled, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.page_building import PageBuilder
from marketfetch.vendors.reply_parsing import looks_like_json, parse_csv, parse_object
from marketfetch.vendors.reply_size import check_rows
from marketfetch.vendors.times import bar_start_ms, local_date
from marketfetch.vendors.weekends import weekend_quirks

from .aggregates import FIELDS, LATEST_MS, adjustment_of, check_envelope, read_aggs
from .datasets import BARS, FLAT_FILES, GROUPED, MARKET_STATUS, MOST_ROWS, SNAPSHOTS
from .errors import WHO, check_status, error_in
from .flat_files import read_flat_file
from .grouped import read_grouped
from .market_status import read_market_status
from .options import PolygonOptions
from .records import RECORDS, read_records, saved_dataset
from .row_columns import columns_in
from .snapshots import read_snapshot
from .symbol_forms import is_stock_like, zone_of

#: The endpoint that knows whether a ticker exists. https://massive.com/docs/rest/stocks/tickers/ticker-overview
TICKER: Final = "/v3/reference/tickers/"
#: The columns of a CSV that are read, and what a Unix time in ms looks like there.
COLUMNS: Final = ("t", *FIELDS)
_MOMENT: Final = re.compile(r"-?[0-9]{1,14}")
#: Our names of the fields, and Polygon's.
_NAMES: Final = MappingProxyType({"ts": "t", **{ours: theirs for theirs, ours in FIELDS.items()}})
#: A row of a reply with bars of many tickers, which must not become one series.
_TICKERS: Final = re.compile(rb'"T"\s*:')
_BEGINNING: Final = 4_000
_GROUPED: Final = (
    f"{WHO} returned bars of many tickers in one reply, which are not read as bars of one: no bar was kept. Such a reply is of "
    f"the dataset {GROUPED}"
)
_SHORTEST_DAY_MS: Final = 20 * 3_600_000
#: No market closes for holidays as long as this.
_SURELY_TRADES_DAYS: Final = 10


def read_reply(request: Request, reply: HttpReply, options: PolygonOptions) -> Page:
    """Reads a page of bars, or of splits, dividends or tickers. Raises the error tree."""
    if request.cursor is not None and request.cursor.startswith(TICKER):
        raise _whether_listed(request, reply)
    dataset = request.dataset.lower()
    if dataset == FLAT_FILES:
        return read_flat_file(request, reply, options)
    check_status(reply, symbol=request.symbol)
    if request.start is None and dataset == "bars":
        dataset = saved_dataset(reply)
    following_of = partial(next_cursor, base_url=options.base_url, request=request)
    if dataset in RECORDS:
        request = request.model_copy(update={"dataset": dataset})
        return read_records(request, reply, next_of=following_of)
    if dataset == MARKET_STATUS:
        return read_market_status(request, reply)
    if dataset == SNAPSHOTS:
        return read_snapshot(request, reply)
    if dataset == GROUPED:
        return read_grouped(request, reply, next_of=following_of)
    if dataset not in BARS:
        there_are = ", ".join((GROUPED, FLAT_FILES, SNAPSHOTS, MARKET_STATUS, *RECORDS))
        raise BadRequest(f"{WHO} has no dataset {request.dataset!r} for {request.symbol}: choose bars, {there_are}")
    if not looks_like_json(reply):
        return _read_csv(request, reply)
    if _TICKERS.search(reply.body[:_BEGINNING]):
        raise BadRequest(_GROUPED)
    aggs = read_aggs(reply, symbol=request.symbol)
    said = aggs.envelope
    check_envelope(aggs, request, reply)
    following = following_of(said.get("next_url"))
    if not aggs.rows:
        if following:
            return Page(next=following)
        if _surely_trades(request):
            # No bars at all: the same request asks whether the ticker exists before it is over.
            return Page(check=f"{TICKER}{quote(request.symbol, safe=':')}")
        raise NoData(
            f"{WHO} has no bars for {request.symbol} in this range (the response is the same for an unknown ticker)",
            status=reply.status,
        )
    symbol = str(said.get("ticker") or request.symbol) if request.start is None else request.symbol
    adjustment = adjustment_of(said, request, reply)
    parsed = Parsed(bars=aggs.bars, rows=Rows(aggs.numbers), rejects=aggs.rejects)
    page = _bars_page(request, reply, parsed, symbol=symbol, adjustment=adjustment, following=following)
    return replace(page, columns=columns_in(request, reply, aggs.bars))


def _surely_trades(request: Request) -> bool:
    """True for the first call of a range in which a listed ticker has traded, so that no bars are suspicious."""
    if request.page or request.cursor or request.start is None or request.end is None:
        return False
    return (request.end - request.start).days >= _SURELY_TRADES_DAYS


def _whether_listed(request: Request, reply: HttpReply) -> NoData:
    """Returns the error for an empty range of a known ticker. Raises UnknownSymbol for an unknown one."""
    try:
        check_status(reply, symbol=request.symbol)
        body = parse_object(reply, who=WHO)
        error = error_in(str(body.get("status", "OK")), str(body.get("error") or ""), reply, symbol=request.symbol)
        if error is not None:
            raise error
    except NotEntitled:
        return NoData(
            f"{WHO} has no bars for {request.symbol} in this range; this key is not entitled to check whether it is listed"
        )
    if not isinstance(body.get("results"), dict):
        raise Unavailable(f"{WHO} did not say whether it lists {request.symbol}", status=reply.status)
    return NoData(f"{WHO} lists {request.symbol} and has no bars for it in this range", status=reply.status)


def next_cursor(next_url: object, *, base_url: str, request: Request) -> str | None:
    """Returns path and query of a next_url, without host, key and the path of base_url. None on the last page."""
    if not next_url:
        return None
    stranger = Unavailable(f"{WHO} returned a next_url without a usable path for {request.symbol}")
    try:
        parts = urlsplit(str(next_url))
        query = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() not in ("apikey", "api_key")]
        asked = urlencode(query)
    except ValueError:
        raise stranger from None
    prefix = urlsplit(base_url).path.rstrip("/")
    path = parts.path.removeprefix(prefix) if prefix else parts.path
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise stranger
    return f"{path}?{asked}" if query else path


def _bars_page(
    request: Request, reply: HttpReply, parsed: Parsed, *, symbol: str, adjustment: Adjustment, following: str | None
) -> Page:
    zone = zone_of(symbol)
    timespan = request.timespan if request.start is not None else _timespan_by_steps(parsed.bars.ts, request.timespan)
    if not is_intraday(timespan):
        parsed = _on_starts(parsed, timespan, zone, symbol=symbol)
    if not is_stock_like(symbol):
        adjustment = "raw"
    kind: PriceKind = "value" if symbol.startswith("I:") else kind_by(adjustment)
    rows = Rows(parsed.rows.numbers, parsed.rows.moments, open_from(reply, timespan))
    asked = asked_range(request, timespan, zone)
    checked = Parsed(parsed.bars, rows, parsed.rejects).checked(
        asked=asked, required=PRICE_COLUMNS, symbol=symbol, kind=kind, names=_NAMES
    )
    series = BarSeries("polygon", symbol, timespan, adjustment, checked.bars)
    page = PageBuilder()
    page.add(series, checked, kind=kind)
    if symbol.startswith("C:"):
        page.count(weekend_quirks(series.bars, timespan), symbol=symbol)
    return page.page(following=following)


def _moment(text: str | None) -> int | None:
    """The Unix time in ms of a CSV's field; None for another unit, and for what is no number."""
    moment = int(text) if text and _MOMENT.fullmatch(text) else None
    return None if moment is None or abs(moment) > LATEST_MS else moment


def _timespan_by_steps(ts: Ints, timespan: Timespan) -> Timespan:
    """The timespan of a saved response whose request is unknown: bars that are hours apart are no daily bars."""
    steps = np.diff(np.unique(ts))
    if is_intraday(timespan) or not len(steps) or steps.min() >= _SHORTEST_DAY_MS:
        return timespan
    shortest = int(steps.min())
    return max((one for one in TIMESPANS if LONGEST_MS[one] <= max(shortest, LONGEST_MS["1m"])), key=LONGEST_MS.__getitem__)


def _on_starts(parsed: Parsed, timespan: Timespan, zone: str, *, symbol: str) -> Parsed:
    """Puts daily and longer bars on the start of their period, so that the same day is never two bars."""
    moments = parsed.bars.ts
    days, uncertain = starts_of_sessions(moments, zone)
    starts = days
    if timespan != "1d":
        # Polygon's weeks begin on Sunday; a week begins on its Monday for every vendor.
        forward = timedelta(days=1) if timespan == "1w" else timedelta(0)
        starts = np.array(
            [bar_start_ms(local_date(int(ts), zone) + forward, timespan, zone) for ts in days.tolist()], dtype=np.int64
        )
    # Two moments of one day are one row; two days of one week are two versions of its bar.
    rows = Rows(parsed.rows.numbers, days)
    rejects = _without_date(moments, uncertain, parsed.rows.numbers, symbol=symbol)
    bars = replace(parsed.bars, ts=starts).take(~uncertain)
    return Parsed(bars, rows.take(~uncertain), Rejects.together(parsed.rejects, rejects))


def _without_date(moments: Ints, uncertain: Flags, numbers: Ints, *, symbol: str) -> Rejects:
    book = RejectBook()
    for i in np.flatnonzero(uncertain):
        reason = "the time is in the evening, so it names no session for certain"
        book.add(int(numbers[i]), "ts", int(moments[i]), reason, symbol=symbol)
    return book.rejects()


def _read_csv(request: Request, reply: HttpReply) -> Page:
    """Reads `c,h,l,n,o,t,v,vw` with a header row. A CSV names no next page, so only saved responses may be CSV."""
    header, rows = parse_csv(reply, who=WHO)
    if "T" in header:
        raise BadRequest(_GROUPED)
    if not {"t", "o", "h", "l", "c"} <= set(header):
        raise Unavailable(f"{WHO} returned neither JSON nor a CSV table of bars for {request.symbol}")
    if not rows:
        raise NoData(f"{WHO} has no bars for {request.symbol} in this range", status=reply.status)
    check_rows(len(rows), most_rows=MOST_ROWS, who=WHO)
    # The fields of a row that is too short, or too long, may stand in the wrong columns.
    lines = [row if len(row) == len(header) else [None] * len(header) for row in rows]
    column = {name: [row[i] for row in lines] for i, name in enumerate(header) if name in COLUMNS}
    moments = [_moment(text) for text in column["t"]]
    fields = {FIELDS[name]: column[name] for name in column if name in FIELDS}
    parsed = parse(moments, column["t"], fields, rows=range(len(rows)), symbol=request.symbol)
    return _bars_page(request, reply, parsed, symbol=request.symbol, adjustment=request.adjustment, following=None)
