"""Builds checked series of bars from Alpha Vantage's columns, with UTC timestamps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns, BarSeries, Floats
from marketfetch.schemas.page import Page
from marketfetch.schemas.price_rules import kind_by
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, Timespan, is_intraday
from marketfetch.vendors.columns import Parsed, asked_range, open_from, parse
from marketfetch.vendors.date_columns import Moments, moments_of_walls, starts_of_days
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.page_building import PageBuilder
from marketfetch.vendors.times import bar_start_ms, day_start_ms, parse_day, wall_to_unix_ms
from marketfetch.vendors.weekends import weekend_quirks

_ADJUSTED: Final = "adjusted close"
_SUNDAY: Final = 6


@dataclass(frozen=True, slots=True)
class Table:
    """A response's columns as texts, in its own order. `zone` and `symbol` are the response's, None or "" if absent.

    `names` has the response's own name of each field, `unknown` are its columns that are none of the vendor's.
    """

    dates: Sequence[str]
    fields: Mapping[str, Sequence[object] | Floats]
    zone: str | None
    symbol: str
    compact: bool
    names: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def bars_page(
    request: Request,
    reply: HttpReply,
    table: Table,
    *,
    timespan: Timespan,
    stocks: bool,
    zone: str,
    currencies: bool = False,
) -> Page:
    """Returns one series, or two if the response has an adjusted close: `raw` as quoted, and `split_dividend`.

    The adjusted series has open, high and low times adjusted close ÷ close, the adjusted close itself, and the volume as
    quoted: the vendor does not document whether it adjusts volume. `currencies`: their week begins on Sunday evening, and a row
    of that day belongs to the week that follows; their bars of a weekend are counted.
    """
    try:
        starts, moments = _starts(table.dates, timespan=timespan, zone=zone, sunday_is_monday=currencies)
    except ValueError:
        raise Unavailable(f"Alpha Vantage named an unknown time zone for {request.symbol}") from None
    symbol = table.symbol if request.start is None and table.symbol else request.symbol
    parsed_from = partial(
        parse,
        starts,
        table.dates,
        rows=range(len(starts)),
        within=asked_range(request, timespan, zone),
        moments=moments,
        open_from_ms=open_from(reply, timespan),
        symbol=symbol,
    )
    names = {"ts": "timestamp", **table.names}
    parsed = parsed_from({name: values for name, values in table.fields.items() if name != _ADJUSTED})
    adjustment = _adjustment(request, timespan=timespan, stocks=stocks)
    kind = kind_by(adjustment)
    checked = parsed.checked(asked=None, required=PRICE_COLUMNS, symbol=symbol, kind=kind, names=names)
    page = PageBuilder()
    page.add(BarSeries("alpha_vantage", symbol, timespan, adjustment, checked.bars, zone), checked, kind=kind)
    if currencies:
        page.count(weekend_quirks(checked.bars, timespan), symbol=symbol)
    if _ADJUSTED in table.fields:
        # Each of its prices comes from the adjusted close, so that is what a reject of it names.
        names = {**names, **dict.fromkeys(PRICE_COLUMNS, table.names[_ADJUSTED])}
        scaled = _scaled(parsed.without(checked.rejects), parsed_from({"close": table.fields[_ADJUSTED]}))
        adjusted = scaled.checked(asked=None, required=PRICE_COLUMNS, symbol=symbol, kind="adjusted", names=names)
        page.add(BarSeries("alpha_vantage", symbol, timespan, "split_dividend", adjusted.bars, zone), adjusted, kind="adjusted")
    return page.page()


def _starts(dates: Sequence[str], *, timespan: Timespan, zone: str, sunday_is_monday: bool) -> tuple[Moments, Moments]:
    """Returns the `ts` of every row, and its own moment; None where the text is no time of this exchange."""
    if is_intraday(timespan):
        moments = moments_of_walls(dates, zone)
        if moments is not None:
            return moments, moments
    elif not (timespan == "1w" and sunday_is_monday):
        return starts_of_days(dates, timespan, zone)
    else:
        days = [parse_day(text) for text in dates]
        days = [day + timedelta(days=1) if day is not None and day.weekday() == _SUNDAY else day for day in days]
        starts = [None if day is None else bar_start_ms(day, timespan, zone) for day in days]
        return starts, [None if day is None else day_start_ms(day, zone) for day in days]
    order = _in_time(dates)
    found: list[int | None] = [None] * len(dates)
    for row, moment in zip(order, wall_to_unix_ms([dates[row] for row in order], zone), strict=True):
        found[row] = moment
    return found, found


def _in_time(walls: Sequence[str]) -> list[int]:
    """Returns the row numbers by time: the response's order or its reverse where that is one, else the walls' own order.

    Where clocks go back, an hour has the same walls twice, and only the order of the response tells the two apart.
    """
    rows = list(range(len(walls)))
    for order in (rows, rows[::-1]):
        if all(walls[early] <= walls[late] or walls[early][:13] == walls[late][:13] for early, late in pairwise(order)):
            return order
    return sorted(rows, key=walls.__getitem__)


def _adjustment(request: Request, *, timespan: Timespan, stocks: bool) -> Adjustment:
    """Prices are as traded; intraday bars are adjusted unless the request says raw."""
    if stocks and is_intraday(timespan) and request.start is not None:
        return request.adjustment
    if stocks and is_intraday(timespan) and request.adjustment == "split_dividend":
        return "split_dividend"
    return "raw"


def _scaled(raw: Parsed, adjusted: Parsed) -> Parsed:
    """Multiplies raw bars by adjusted close ÷ close. A row without a readable adjusted close is a reject."""
    position = {row: i for i, row in enumerate(adjusted.rows.numbers.tolist())}
    matched = np.array([row in position for row in raw.rows.numbers.tolist()], dtype=np.bool_)
    bars, rows = raw.bars.take(matched), raw.rows.take(matched)
    close = adjusted.bars.close[[position[row] for row in rows.numbers.tolist()]]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = close / bars.close
        scaled = BarColumns.build(
            bars.ts,
            # The close is the vendor's own number; rounding must not separate a price that equals it.
            open=np.where(bars.open == bars.close, close, bars.open * factor),
            high=np.where(bars.high == bars.close, close, bars.high * factor),
            low=np.where(bars.low == bars.close, close, bars.low * factor),
            close=close,
            volume=bars.volume,
        )
    return Parsed(bars=scaled, rows=rows, rejects=adjusted.rejects)
