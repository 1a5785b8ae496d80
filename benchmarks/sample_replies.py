"""Replies of every dataset of every vendor, as large as its pages are, clean or with one bad row in a thousand."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan

Make = Callable[[random.Random, int, bool], bytes]


@dataclass(frozen=True, slots=True)
class Sample:
    """A reply of a dataset: `make` writes its body with `rows` rows."""

    name: str
    request: Request
    rows: int
    make: Make

    def body(self, *, bad: bool) -> bytes:
        """The same rows each time."""
        return self.make(random.Random(1), self.rows, bad)


def _spoiled(number: int, bad: bool) -> bool:
    return bad and (number % 1_000 == 500 or number == 10)


def _prices(draw: random.Random, *, spoiled: bool) -> tuple[float, float, float, float, int]:
    opened, closed = (round(draw.uniform(50, 150), 4) for _ in range(2))
    high = min(opened, closed) - 1 if spoiled else max(opened, closed)
    return opened, round(high + 0.25, 4), round(min(opened, closed) - 0.25, 4), closed, draw.randint(100, 10_000_000)


def _symbol(draw: random.Random, number: int) -> str:
    return "".join(draw.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4)) + str(number)


def _day(draw: random.Random) -> str:
    return f"{draw.randint(2003, 2025)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"


def _weekdays(count: int) -> list[str]:
    """So many weekdays until 2024-12-31, newest first."""
    days: list[str] = []
    day = date(2024, 12, 31)
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day.isoformat())
        day -= timedelta(days=1)
    return days


def _minutes(count: int) -> list[str]:
    """So many minutes of a month, newest first."""
    start = datetime(2024, 5, 31, 19, 59)  # noqa: DTZ001 (wall times, as the vendor writes them)
    return [f"{start - timedelta(days=n // 960, minutes=n % 960):%Y-%m-%d %H:%M:%S}" for n in range(count)]


def _polygon_bars(draw: random.Random, rows: int, bad: bool) -> bytes:
    found = []
    for n in range(rows):
        o, h, low, c, v = _prices(draw, spoiled=_spoiled(n, bad))
        t = 1_704_096_000_000 + n * 60_000
        found.append({"v": v, "vw": round((o + c) / 2, 4), "o": o, "c": c, "h": h, "l": low, "t": t, "n": v // 90})
    return json.dumps({"ticker": "IBM", "resultsCount": rows, "adjusted": False, "results": found, "status": "OK"}).encode()


def _grouped(draw: random.Random, rows: int, bad: bool) -> bytes:
    found = []
    for n in range(rows):
        o, h, low, c, v = _prices(draw, spoiled=_spoiled(n, bad))
        of_symbol = {"T": _symbol(draw, n), "t": 1_704_229_200_000, "n": v // 90}
        found.append({"v": v, "vw": round((o + c) / 2, 4), "o": o, "c": c, "h": h, "l": low} | of_symbol)
    return json.dumps({"resultsCount": rows, "adjusted": False, "results": found, "status": "OK"}).encode()


def _records(row: Callable[[random.Random, int], dict[str, Any]], field: str = "ticker") -> Make:
    def make(draw: random.Random, rows: int, bad: bool) -> bytes:
        made = sorted((row(draw, n) for n in range(rows)), key=lambda one: str(one.get("ticker")))
        made = [{**one, field: 5} if _spoiled(n, bad) else one for n, one in enumerate(made)]
        return json.dumps({"status": "OK", "results": made}).encode()

    return make


def _split(draw: random.Random, n: int) -> dict[str, Any]:
    id_ = f"E{draw.getrandbits(256):064x}"
    return {"id": id_, "execution_date": _day(draw), "split_from": 1, "split_to": 4, "ticker": _symbol(draw, n)}


def _dividend(draw: random.Random, n: int) -> dict[str, Any]:
    return {
        "id": f"E{draw.getrandbits(256):064x}", "ticker": _symbol(draw, n), "ex_dividend_date": _day(draw),
        "cash_amount": draw.random(), "currency": "USD", "declaration_date": _day(draw), "dividend_type": "CD", "frequency": 4,
        "pay_date": _day(draw), "record_date": _day(draw),
    }  # fmt: skip


def _ticker(draw: random.Random, n: int) -> dict[str, Any]:
    return {
        "ticker": _symbol(draw, n), "name": f"Company {n} Inc.", "market": "stocks", "locale": "us", "primary_exchange": "XNYS",
        "type": "CS", "active": False, "currency_name": "usd", "cik": "0000320193", "composite_figi": f"BBG{n:09}",
        "last_updated_utc": "2024-01-01T00:00:00Z", "delisted_utc": f"{_day(draw)}T00:00:00Z",
    }  # fmt: skip


def _holiday(_draw: random.Random, n: int) -> dict[str, Any]:
    return {"exchange": "NYSE", "date": f"2026-01-{n + 1:02}", "name": "Holiday", "status": "closed"}


def _keyed(series: str, walls: Callable[[int], list[str]]) -> Make:
    def make(draw: random.Random, rows: int, bad: bool) -> bytes:
        found = {}
        for n, wall in enumerate(walls(rows)):
            o, h, low, c, v = _prices(draw, spoiled=_spoiled(n, bad))
            prices = {"1. open": o, "2. high": h, "3. low": low, "4. close": c}
            found[wall] = {name: f"{price:.4f}" for name, price in prices.items()} | {"5. volume": str(v)}
        meta = {"1. Information": "", "2. Symbol": "IBM", "4. Output Size": "Full size", "5. Time Zone": "US/Eastern"}
        return json.dumps({"Meta Data": meta, series: found}, indent=4).encode()

    return make


def _bars_csv(draw: random.Random, rows: int, bad: bool) -> bytes:
    lines = ["timestamp,open,high,low,close,volume"]
    for n, wall in enumerate(_minutes(rows)):
        o, h, low, c, v = _prices(draw, spoiled=_spoiled(n, bad))
        lines.append(f"{wall},{o:.4f},{h:.4f},{low:.4f},{c:.4f},{v}")
    return ("\r\n".join(lines) + "\r\n").encode()


def _listing(draw: random.Random, rows: int, bad: bool) -> bytes:
    found = sorted([_symbol(draw, n), f"Company {n} Inc.", "NYSE", "Stock", _day(draw), "null", "Active"] for n in range(rows))
    lines = ["symbol,name,exchange,assetType,ipoDate,delistingDate,status"]
    for n, row in enumerate(found):
        lines.append(",".join([*row[:4], "yesterday" if _spoiled(n, bad) else row[4], *row[5:]]))
    return ("\r\n".join(lines) + "\r\n").encode()


def _wiki(draw: random.Random, rows: int, bad: bool) -> bytes:
    quoted = ["open", "high", "low", "close", "volume"]
    names = ["ticker", "date", *quoted, "ex-dividend", "split_ratio", *(f"adj_{name}" for name in quoted)]
    found = []
    for n, day in enumerate(reversed(_weekdays(rows))):
        bar = _prices(draw, spoiled=_spoiled(n, bad))
        found.append(["IBM", day, *bar, 0.0, 1.0, *bar])
    columns = [{"name": name, "type": "BigDecimal(34,12)"} for name in names]
    return json.dumps({"datatable": {"data": found, "columns": columns}, "meta": {"next_cursor_id": None}}).encode()


def _series(draw: random.Random, rows: int, bad: bool) -> bytes:
    found = [[day, "x" if _spoiled(n, bad) else round(draw.uniform(0, 9), 2)] for n, day in enumerate(_weekdays(rows))]
    data = {"column_names": ["Date", "Value"], "frequency": "daily", "data": found}
    return json.dumps({"dataset_data": data}).encode()


def _values(draw: random.Random, rows: int, bad: bool) -> bytes:
    columns = [{"name": "ticker", "type": "String"}, {"name": "date", "type": "Date"}]
    columns += [{"name": f"value{number}", "type": "double"} for number in range(8)]
    found = [
        [_symbol(draw, n % 500), "yesterday" if _spoiled(n, bad) else _day(draw), *(round(draw.random(), 6) for _ in range(8))]
        for n in range(rows)
    ]
    return json.dumps({"datatable": {"data": found, "columns": columns}, "meta": {"next_cursor_id": None}}).encode()


def _bars(provider: str, dataset: str, symbol: str = "IBM", *, timespan: Timespan = "1d") -> Request:
    """A request of bars, whose range has every row."""
    days = (date(2024, 1, 2), date(2024, 1, 2)) if symbol == "*" else (date(1960, 1, 1), date(2026, 5, 1))
    return Request(
        provider=provider, dataset=dataset, symbol=symbol, timespan=timespan, adjustment="raw", start=days[0], end=days[1]
    )


def _list(provider: str, dataset: str, symbol: str = "*") -> Request:
    return Request(provider=provider, dataset=dataset, symbol=symbol, generation="2026-05-14T10:00Z")


_DAYS: Final = _keyed("Time Series (Daily)", _weekdays)
_MINUTES: Final = _keyed("Time Series (1min)", _minutes)
_AV: Final = "alpha_vantage"

REPLIES: Final = (
    Sample("polygon bars", _bars("polygon", "bars", timespan="1m"), 50_000, _polygon_bars),
    Sample("polygon grouped", _bars("polygon", "grouped", "*"), 10_000, _grouped),
    Sample("polygon splits", _list("polygon", "splits"), 1_000, _records(_split)),
    Sample("polygon dividends", _list("polygon", "dividends"), 1_000, _records(_dividend)),
    Sample("polygon delisted", _list("polygon", "delisted"), 1_000, _records(_ticker)),
    Sample("polygon holidays", _list("polygon", "holidays"), 20, _records(_holiday, "exchange")),
    Sample("alpha_vantage bars, days", _bars(_AV, "bars"), 6_000, _DAYS),
    Sample("alpha_vantage bars, minutes", _bars(_AV, "bars", timespan="1m"), 19_200, _MINUTES),
    Sample("alpha_vantage bars, minutes as CSV", _bars(_AV, "bars", timespan="1m"), 19_200, _bars_csv),
    Sample("alpha_vantage symbols (CSV)", _list(_AV, "symbols"), 8_000, _listing),
    Sample("nasdaq WIKI/PRICES", _bars("nasdaq", "WIKI/PRICES"), 10_000, _wiki),
    Sample("nasdaq datasets", _bars("nasdaq", "datasets", "FRED/DGS10"), 10_000, _series),
    Sample("nasdaq values", _list("nasdaq", "values", "VENDOR/TABLE"), 10_000, _values),
)
