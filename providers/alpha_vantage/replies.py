"""Decodes Alpha Vantage's responses: JSON objects with numbered keys, or CSV; newest row first, every number a text.

The data key or the header names the function of a response. The request decides only what the response leaves out
(a CSV does not name its interval or market). https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from marketfetch.schemas.bars import Floats
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.schemas.table_columns import TableColumns
from marketfetch.schemas.timespans import Timespan, is_intraday
from marketfetch.vendors.errors import BadRequest, NoData, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import json_of, looks_like_json, not_json, parse_csv, quoted
from marketfetch.vendors.reply_size import check_rows
from marketfetch.vendors.times import NEW_YORK, UTC_ZONE, parse_day

from .calls import COMPACT, FULL
from .datasets import MOST_ROWS
from .errors import WHO, check_status, error_in
from .functions import MARKETS, TIMESPAN_OF_INTERVAL, Function, Market, function_for, function_named, split_pair
from .options import AlphaVantageOptions
from .quick_series import quick_series
from .records import read_record_object, read_record_rows
from .series import Table, bars_page

_SERIES_KEY: Final = re.compile(
    r"^(?:(Weekly|Monthly)( Adjusted)? Time Series|Time Series (FX |Crypto )?\((?:(Digital Currency) )?(\w+)\))$"
)
_WORDS: Final[dict[str, Timespan]] = {"daily": "1d", "weekly": "1w", "monthly": "1mo"}
_FIELD: Final = re.compile(r"^\d+([ab]?)\. (.+?)(?: \((\w+)\))?$")
#: The fields that name a stock, a pair of currencies, or a crypto currency and its market.
_META_SYMBOL: Final = re.compile(r"^\d+\. (Symbol|From Symbol|To Symbol|Digital Currency Code|Market Code)$")
_PAIR: Final = ("From Symbol", "Digital Currency Code", "To Symbol", "Market Code")
_ADJUSTED: Final = "adjusted close"
_BAR_FIELDS: Final = ("open", "high", "low", "close", "volume", _ADJUSTED)
#: Columns that the vendor documents, and that are in no bar.
_OTHER_FIELDS: Final = ("timestamp", "dividend amount", "split coefficient", "market cap")
#: The end of a name of a JSON object before a blank; most have none. What looks like one inside of a text counts too.
_NAME_AND_BLANK: Final = re.compile(rb'"\s+:')
_MOST_UNKNOWN: Final = 20


@dataclass(frozen=True, slots=True)
class _Shape:
    """The market and timespan that the response itself names."""

    market: Market
    timespan: Timespan


def read_reply(request: Request, reply: HttpReply, options: AlphaVantageOptions) -> Page:
    """Reads a response of any function in the table. Drops rows outside the requested range: the vendor takes no range."""
    check_status(reply, symbol=request.symbol)
    try:
        function = function_named(request.dataset)
    except KeyError as error:
        raise BadRequest(error.args[0]) from None
    if looks_like_json(reply):
        return _read_json(request, function, reply, options)
    return _read_csv(request, function, reply, options)


def _read_json(request: Request, function: Function | None, reply: HttpReply, options: AlphaVantageOptions) -> Page:
    quick = quick_series(reply.body)
    if quick is not None and (match := _SERIES_KEY.match(quick[0])):
        _, meta, dates, columns = quick
        table = _table(dates, columns, _names_of(columns), meta={**meta}, unknown=_unknown(columns))
        return _series_page(request, function, match, table, reply, options)
    body = _parse(reply)
    error = error_in(body, reply, symbol=request.symbol)
    if error is not None:
        raise error
    found = [(match, value) for name, value in body.items() if isinstance(value, dict) and (match := _SERIES_KEY.match(name))]
    if len(found) > 1:
        raise Unavailable(f"{WHO} returned {len(found)} series in one response for {request.symbol}: no bar was kept")
    for match, value in found:
        check_rows(len(value), most_rows=MOST_ROWS, who=WHO)
        said = body.get("Meta Data")
        table = _series_table(list(value.items()), meta=dict(said.items()) if isinstance(said, dict) else {})
        return _series_page(request, function, match, table, reply, options)
    page = read_record_object(body, request=request)
    if page is None:
        raise Unavailable(f"{WHO} returned JSON of an unknown shape for {request.symbol}", status=reply.status)
    return page


def _series_page(
    request: Request,
    function: Function | None,
    match: re.Match[str],
    table: Table,
    reply: HttpReply,
    options: AlphaVantageOptions,
) -> Page:
    shape = _shape_of(match, symbol=request.symbol)
    _check_is_what_was_asked(request, function, shape)
    _check_symbol(request, table, shape)
    _check_adjusted(request, function, table)
    return _page(request, function, shape, table, reply, options)


def _parse(reply: HttpReply) -> dict[str, object]:
    """The JSON object. One with a name twice keeps both: when clocks go back, an hour has the same wall times twice."""
    body = json_of(reply, who=WHO)
    if not isinstance(body, dict):
        raise not_json(reply, who=WHO)
    if _is_whole(body, reply.body):
        return body

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        return found if len(found) == len(pairs) else _Pairs(pairs)

    pairs: dict[str, object] = json.loads(reply.body, object_pairs_hook=keep)
    return pairs


class _Pairs(dict[str, object]):
    """A JSON object that keeps duplicate keys."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def items(self) -> list[tuple[str, object]]:  # type: ignore[override]
        return self.pairs


def _is_whole(body: dict[str, object], text: bytes) -> bool:
    """True where each row is there, and of a series each name too, so that no date stands twice.

    Raises TooManyRows where more names than a series has rows stand twice: to keep them all takes many times the text.
    """
    inner = [value for value in body.values() if isinstance(value, dict)]
    rows = [row for one in inner for row in one.values() if isinstance(row, dict)]
    if 1 + len(inner) + len(rows) != text.count(b"{"):
        return False
    if not any(map(_SERIES_KEY.match, body)):
        return True
    names = len(body) + sum(map(len, inner)) + sum(map(len, rows))
    twice = text.count(b'":') + len(_NAME_AND_BLANK.findall(text)) - names
    check_rows(twice, most_rows=MOST_ROWS, who=WHO)
    return not twice


def _shape_of(match: re.Match[str], *, symbol: str) -> _Shape:
    """`Weekly Adjusted Time Series`, `Time Series (5min)`, `Time Series FX (Daily)`, `Time Series (Digital Currency Daily)`."""
    long, _, prefix, digital, word = match.groups()
    if long:
        return _Shape("stocks", _WORDS[long.lower()])
    market: Market = "crypto" if digital or prefix == "Crypto " else "fx" if prefix else "stocks"
    timespan = _WORDS.get(word.lower()) or TIMESPAN_OF_INTERVAL.get(word.lower())
    if timespan is None:
        raise Unavailable(f"{WHO} returned a series of an unknown interval for {symbol}")
    return _Shape(market, timespan)


def _check_is_what_was_asked(request: Request, function: Function | None, shape: _Shape) -> None:
    if request.start is None:
        return  # A saved response has no known request to compare it with.
    market = function.market if function else MARKETS[request.dataset.lower()]
    if (market, request.timespan) != (shape.market, shape.timespan):
        raise Unavailable(
            f"{WHO} returned {shape.market} bars of {shape.timespan}, but the request asked for {market} bars of "
            f"{request.timespan} ({request.symbol})"
        )


def _check_symbol(request: Request, table: Table, shape: _Shape) -> None:
    """Raises Unavailable for the bars of another symbol than the one that was asked for."""
    if request.start is None or not table.symbol:
        return
    same = table.symbol.casefold() == request.symbol.casefold()
    if shape.market != "stocks":
        same = split_pair(table.symbol) == split_pair(request.symbol)
    if not same:
        raise Unavailable(f"{WHO} returned bars of another symbol than {request.symbol}: no bar was kept")


def _check_adjusted(request: Request, function: Function | None, table: Table) -> None:
    """Raises Unavailable for rows without the adjusted close of their function: its days would count as fetched."""
    asked = request.adjustment == "split_dividend" and not is_intraday(request.timespan)
    promised = function.adjusted if function else asked
    if promised and request.start is not None and table.dates and _ADJUSTED not in table.fields:
        columns = quoted(", ".join((*table.names.values(), *table.unknown)))
        raise Unavailable(f"{WHO} returned no adjusted close for {request.symbol}, but {columns} alone: no bar was kept")


def _series_table(pairs: list[tuple[str, object]], *, meta: dict[str, object]) -> Table:
    """Columns from `{"2021-04-23": {"1. open": "719.8", ...}, ...}`."""
    keys: dict[str, None] = {}
    for _, row in pairs:
        if isinstance(row, dict) and not keys.keys() >= row.keys():
            keys.update(dict.fromkeys(row))
    names = _names_of(keys)
    columns = {key: [row.get(key) if isinstance(row, dict) else None for _, row in pairs] for key in names.values()}
    return _table([date for date, _ in pairs], columns, names, meta=meta, unknown=_unknown(keys))


def _names_of(keys: Iterable[str]) -> dict[str, str]:
    """The key of each field of a bar; old crypto keys name their currency: `1a. open (CNY)`."""
    names: dict[str, str] = {}
    for key in keys:
        match = _FIELD.match(key)
        # `1b.` repeats the price in USD; `1a.` is in the requested market's currency.
        if match and match[1] != "b" and match[2] in _BAR_FIELDS and match[2] not in names:
            names[match[2]] = key
    return names


def _unknown(keys: Iterable[str]) -> tuple[str, ...]:
    """The fields that are none of the vendor's documentation, under which another one may have a new name."""
    found = ((key, _FIELD.match(key)) for key in keys)
    return tuple(key for key, match in found if not match or match[2] not in (*_BAR_FIELDS, *_OTHER_FIELDS))[:_MOST_UNKNOWN]


def _table(
    dates: Sequence[str],
    columns: Mapping[str, Sequence[object] | Floats],
    names: dict[str, str],
    *,
    meta: dict[str, object],
    unknown: tuple[str, ...],
) -> Table:
    zone = next((str(value) for key, value in meta.items() if key.endswith("Time Zone")), None)
    size = next((str(value) for key, value in meta.items() if key.endswith("Output Size")), "")
    named = {match[1]: str(value) for key, value in meta.items() if (match := _META_SYMBOL.match(key))}
    symbol = named.get("Symbol") or "/".join(named[one] for one in _PAIR if one in named)
    return Table(
        dates=dates,
        fields={name: columns[key] for name, key in names.items()},
        zone=zone,
        symbol=symbol,
        compact=size.lower().startswith(COMPACT),
        names=names,
        unknown=unknown,
    )


def _read_csv(request: Request, function: Function | None, reply: HttpReply, options: AlphaVantageOptions) -> Page:
    header, rows = parse_csv(reply, who=WHO)
    names = [name.lower().replace("_", " ") for name in header]
    if names[0] in ("symbol", "effective date", "ex dividend date"):
        return read_record_rows(header, rows, request=request)
    if names[:1] != ["timestamp"] or "close" not in names:
        raise Unavailable(f"{WHO} returned neither JSON nor a known CSV table for {request.symbol}")
    rows = list(rows)
    dates = [row[0] for row in rows]
    # The fields of a row that is too short, or too long, may stand in the wrong columns.
    whole = [len(row) == len(header) for row in rows]
    fields = {
        name: [row[i] if is_whole else None for row, is_whole in zip(rows, whole, strict=True)]
        for i, name in enumerate(names)
        if name in _BAR_FIELDS
    }
    names_of = {name.lower().replace("_", " "): name for name in header}
    # A header has the names of the JSON without their numbers: "market cap (USD)".
    known = (*_BAR_FIELDS, *_OTHER_FIELDS)
    unknown = tuple(title for title, name in zip(header, names, strict=True) if name.partition(" (")[0] not in known)
    compact = request.cursor == COMPACT
    table = Table(
        dates=dates, fields=fields, zone=None, symbol="", compact=compact, names=names_of, unknown=unknown[:_MOST_UNKNOWN]
    )
    market: Market = function.market if function else MARKETS[request.dataset.lower()]
    if request.start is None and function is None and market == "stocks" and "volume" not in names:
        market = "fx"  # Of all the tables, only FX has no volume.
    _check_adjusted(request, function, table)
    return _page(request, function, _Shape(market, _timespan_of(request, function, dates)), table, reply, options)


def _timespan_of(request: Request, function: Function | None, dates: list[str]) -> Timespan:
    """A CSV has no timespan: returns the request's, if the dates fit it; else the smallest step between two rows."""
    with_time = any(":" in date for date in dates)
    said = request.timespan if request.start is not None or function is None else function.timespan or request.timespan
    if request.start is not None or (function is not None and function.timespan is not None):
        return said
    if with_time:
        return said if is_intraday(said) else _interval_of(dates)
    days = sorted({day for day in map(parse_day, dates) if day is not None})
    step = min(((late - early).days for early, late in pairwise(days)), default=1)
    # A holiday moves a week's last session by a day or two; the first week of a listing may be short.
    return "1mo" if step > 14 else "1w" if step > 2 and len(days) > 2 else "1d"


def _interval_of(dates: list[str]) -> Timespan:
    clocks = [date[11:16].split(":") for date in dates if re.match(r"^.{10} \d\d:\d\d", date)]
    minutes = sorted({int(hour) * 60 + int(minute) for hour, minute in clocks})
    step = min((late - early for early, late in pairwise(minutes)), default=1)
    return TIMESPAN_OF_INTERVAL.get(f"{step}min", "1m")


def _page(
    request: Request,
    function: Function | None,
    shape: _Shape,
    table: Table,
    reply: HttpReply,
    options: AlphaVantageOptions,
) -> Page:
    check_rows(len(table.dates), most_rows=MOST_ROWS, who=WHO)
    if not table.dates:
        raise NoData(f"{WHO} has no bars for {request.symbol}", status=reply.status)
    named = options.zones.get(request.symbol) or table.zone
    zone = named or (NEW_YORK if shape.market == "stocks" else UTC_ZONE)
    page = bars_page(
        request,
        reply,
        table,
        timespan=shape.timespan,
        stocks=shape.market == "stocks",
        zone=zone,
        currencies=shape.market == "fx",
    )
    page = replace(page, columns=_columns_of(request, function, shape, table))
    if _cut_short(request, shape, table):
        # The request has waited too long in the queue: the newest 100 points no longer include its start.
        page = replace(page, next=FULL)
    elif not page.rows and not page.rejects:
        raise NoData(f"{WHO} has no bars for {request.symbol} in the requested range", status=reply.status)
    return page


def _columns_of(request: Request, function: Function | None, shape: _Shape, table: Table) -> TableColumns | None:
    """The columns of a response of a function, which always has the same ones; None for a saved one, which may be of any."""
    if request.start is None:
        return None
    asked = function or function_for(shape.market, shape.timespan, adjusted=request.adjustment == "split_dividend")
    lacks = {"volume"} if asked.market == "fx" else set[str]()
    lacks |= set() if asked.adjusted else {_ADJUSTED}
    reads = tuple(one for one in _BAR_FIELDS if one not in lacks)
    return TableColumns(asked.name, (*(one for one in reads if one in table.fields), *table.unknown), reads, always=reads)


def _cut_short(request: Request, shape: _Shape, table: Table) -> bool:
    if request.start is None or request.cursor != COMPACT or not table.compact or len(table.dates) < 100:
        return False
    days = [day for day in map(parse_day, table.dates) if day is not None]
    return shape.timespan == "1d" and bool(days) and min(days) > request.start
