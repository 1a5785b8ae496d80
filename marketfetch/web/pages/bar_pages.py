"""The pages of stored bars: which series there are, and the chart of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from marketfetch.exceptions import BadRequestError
from marketfetch.frames.stored_bars import reading
from marketfetch.schemas.timespans import is_intraday
from marketfetch.storage.stored_days import ends
from marketfetch.storage.stored_series import StoredSeries, stored_series
from marketfetch.web.pages import chart_data, chart_drawing
from marketfetch.web.pages.chart_data import Chart
from marketfetch.web.pages.html_pages import shown
from marketfetch.web.pages.visitors import OwnReading
from marketfetch.web.web_service import calls_of

router = APIRouter(include_in_schema=False)

_LISTED: Final = 200
_ROWS: Final = 30


@router.get("/bars")
async def bars_page(request: Request, caller: OwnReading, q: str = "") -> Response:
    """The stored series whose symbol has the words of `q`."""

    def found() -> dict[str, Any]:
        try:
            with reading() as store:
                every, bounds = stored_series(store), ends(store)
        except BadRequestError:
            every, bounds = [], {}
        chosen = [one for one in every if q.casefold() in f"{one.symbol} {one.provider} {one.timespan}".casefold()]
        lines = [{**_series(one), **_bounds(*bounds.get(one.number, (None, None)))} for one in chosen[:_LISTED]]
        return {"series": lines, "number": len(chosen), "of": len(every), "q": q}

    return await shown(request, caller, "bars.html", found, long=True)


@router.get("/bars/{provider}/{symbol:path}")
async def chart_page(
    request: Request,
    caller: OwnReading,
    provider: str,
    symbol: str,
    timespan: str = "1d",
    adjustment: str = "",
    start: str = "",
    end: str = "",
) -> Response:
    """The chart of a series, drawn here; a script draws it again so that it can be read closely."""

    def found() -> dict[str, Any]:
        of = chart_data.chart(provider, symbol, timespan, adjustment or None, start or None, end or None)
        asked = {name: value for name, value in (("start", start), ("end", end)) if value}
        of_series = {"timespan": of.series.timespan, "adjustment": of.series.adjustment}
        return {
            "one": _series(of.series),
            "drawn": chart_drawing.drawing(of) if len(of.bars) else None,
            "rows": _rows(of),
            "number": len(of.bars),
            "cut": of.cut,
            "gaps": [one.words for one in of.gaps],
            "actions": [one.words for one in of.actions],
            "data": f"/chart-data/{quote(provider)}/{quote(symbol)}?{urlencode({**of_series, **asked})}",
            "start": start,
            "end": end,
        }

    return await shown(request, caller, "chart.html", found, long=True)


@router.get("/chart-data/{provider}/{symbol:path}")
async def data(
    request: Request,
    _caller: OwnReading,
    provider: str,
    symbol: str,
    timespan: str = "1d",
    adjustment: str = "",
    start: str = "",
    end: str = "",
) -> Response:
    """The numbers of a chart, for its script."""
    asked = (provider, symbol, timespan, adjustment or None, start or None, end or None)
    return await calls_of(request).long_answer(lambda: chart_data.document(chart_data.chart(*asked)))


def _series(one: StoredSeries) -> dict[str, Any]:
    words = urlencode({"timespan": one.timespan, "adjustment": one.adjustment})
    address = f"/bars/{quote(one.provider)}/{quote(one.symbol)}?{words}"
    names = ("provider", "symbol", "timespan", "adjustment")
    return {**{name: getattr(one, name) for name in names}, "zone": one.zone or "UTC", "address": address}


def _bounds(first_ms: int | None, last_ms: int | None) -> dict[str, str]:
    return {"first": _date(first_ms), "last": _date(last_ms)}


def _date(ms: int | None) -> str:
    return "" if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


def _rows(of: Chart) -> list[dict[str, Any]]:
    """The latest bars, the last one first."""
    form = "%Y-%m-%d %H:%M" if is_intraday(of.series.timespan) else "%Y-%m-%d"  # type: ignore[arg-type]
    zone, bars = ZoneInfo(of.series.zone or "UTC"), of.bars
    found = []
    for n in range(len(bars) - 1, max(-1, len(bars) - 1 - _ROWS), -1):
        prices = [getattr(bars, name)[n].item() for name in ("open", "high", "low", "close", "volume")]
        at = datetime.fromtimestamp(int(bars.ts[n]) / 1000, zone).strftime(form)
        found.append({"at": at, "values": [_value(one) for one in prices], "partial": bool(bars.partial[n])})
    return found


def _value(one: float) -> str:
    if one != one:
        return "–"
    return f"{one:,.0f}" if abs(one) >= 100_000 else f"{one:,.4f}".rstrip("0").rstrip(".")
