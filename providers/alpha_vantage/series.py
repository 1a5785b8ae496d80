"""Builds checked series of bars from Alpha Vantage's columns, with UTC timestamps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.page import Page
from marketfetch.schemas.rejects import Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, Timespan, is_intraday
from marketfetch.vendors.columns import Parsed, asked_range, both, parse
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.times import bar_start_ms, parse_day, wall_to_unix_ms

_ADJUSTED: Final = "adjusted close"


@dataclass(frozen=True, slots=True)
class Table:
    """A response's columns as texts, in its own order. `zone` and `symbol` are the response's, None or "" if absent."""

    dates: Sequence[str]
    fields: Mapping[str, Sequence[object]]
    zone: str | None
    symbol: str
    compact: bool


def bars_page(request: Request, table: Table, *, timespan: Timespan, stocks: bool, zone: str) -> Page:
    """Returns one series, or two if the response has an adjusted close: `raw` as quoted, and `split_dividend`.

    The adjusted series has open, high and low times adjusted close ÷ close, the adjusted close itself, and the volume as
    quoted: the vendor does not document whether it adjusts volume.
    """
    try:
        moments = _moments(table.dates, timespan=timespan, zone=zone)
    except ValueError:
        raise Unavailable(f"Alpha Vantage named an unknown time zone for {request.symbol}") from None
    asked = asked_range(request, timespan, zone)
    symbol = table.symbol if request.start is None and table.symbol else request.symbol
    fields = {name: values for name, values in table.fields.items() if name != _ADJUSTED}
    parsed = parse(moments, table.dates, fields, rows=range(len(moments)), within=asked, symbol=symbol)
    checked = parsed.checked(asked=None, required=PRICE_COLUMNS, symbol=symbol)
    adjustment = _adjustment(request, timespan=timespan, stocks=stocks)
    series = [BarSeries("alpha_vantage", symbol, timespan, adjustment, checked.bars)]
    if _ADJUSTED not in table.fields:
        kept = tuple(one for one in series if len(one.bars))
        return Page(series=kept, rejects=checked.rejects, quirks=checked.quirks)
    closes = {"close": table.fields[_ADJUSTED]}
    adjusted = parse(moments, table.dates, closes, rows=range(len(moments)), within=asked, symbol=symbol)
    scaled = _scaled(parsed.without(checked.rejects), adjusted).checked(asked=None, required=PRICE_COLUMNS, symbol=symbol)
    series.append(BarSeries("alpha_vantage", symbol, timespan, "split_dividend", scaled.bars))
    known = checked.rejects.bad_rows
    more = scaled.rejects.where(lambda row, _field: row not in known)
    return Page(
        series=tuple(one for one in series if len(one.bars)),
        rejects=Rejects.together(checked.rejects, more),
        quirks=both(checked.quirks, ()),
    )


def _moments(dates: Sequence[str], *, timespan: Timespan, zone: str) -> list[int | None]:
    """Returns the Unix ms of every row, None where the text is not a time of this exchange."""
    if not is_intraday(timespan):
        days = [parse_day(text) for text in dates]
        return [None if day is None else bar_start_ms(day, timespan, zone) for day in days]
    newest_first = len(dates) > 1 and dates[0] > dates[-1]
    ascending = list(reversed(dates)) if newest_first else list(dates)
    moments = wall_to_unix_ms(ascending, zone)
    return moments[::-1] if newest_first else moments


def _adjustment(request: Request, *, timespan: Timespan, stocks: bool) -> Adjustment:
    """Prices are as traded; intraday bars are adjusted unless the request says raw."""
    if stocks and is_intraday(timespan) and request.start is not None:
        return request.adjustment
    if stocks and is_intraday(timespan) and request.adjustment == "split_dividend":
        return "split_dividend"
    return "raw"


def _scaled(raw: Parsed, adjusted: Parsed) -> Parsed:
    """Multiplies raw bars by adjusted close ÷ close. A row without a readable adjusted close is a reject."""
    position = {int(row): i for i, row in enumerate(adjusted.rows)}
    matched = np.array([int(row) in position for row in raw.rows], dtype=np.bool_)
    bars, rows = raw.bars.take(matched), raw.rows[matched]
    close = adjusted.bars.close[[position[int(row)] for row in rows]]
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
