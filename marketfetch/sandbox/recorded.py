"""The recordings in `recordings/`, as numbers. Where one covers a bar, the market is what was recorded.

Everything is in as-traded (raw) prices except what WIKI/PRICES says about adjusted ones, which is kept beside them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from marketfetch.sandbox.sessions import local_day

FOLDER: Final = Path(__file__).parent / "recordings"

#: open, high, low, close, volume, vwap or None, trades or None
Row = tuple[float, float, float, float, float, float | None, int | None]
_ALPHA_VANTAGE: Final = ("1. open", "2. high", "3. low", "4. close", "5. volume")

#: Splits that the recordings presuppose: (day, new shares for one old).
_SPLITS: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "AAPL": (("2000-06-21", 2.0), ("2005-02-28", 2.0), ("2014-06-09", 7.0), ("2020-08-31", 4.0)),
    "MSFT": (("2003-02-18", 2.0),),
    "TSLA": (("2020-08-31", 5.0), ("2022-08-25", 3.0)),
    "BRK_A": (),
    "ZEN": (),
}


@cache
def daily() -> dict[str, dict[str, Row]]:
    """symbol -> ISO date -> row."""
    bars: dict[str, dict[str, Row]] = {
        "IBM": dict(_csv_rows("ts_daily_IBM.csv")),
        "C:EURUSD": dict(_csv_rows("fx_daily_EURUSD.csv")),
        "X:BTCEUR": dict(_csv_rows("digital_currency_daily_BTCEUR.csv")),
        "TSLA": _json_rows("ts_daily_TSLA.json", "Time Series (Daily)"),
    }
    for row in wiki_prices():
        numbers = tuple(float(row[name]) for name in ("open", "high", "low", "close", "volume"))
        bars.setdefault(row["ticker"], {})[row["date"]] = (*numbers, None, None)  # type: ignore[assignment]
    for bar in json.loads((FOLDER / "aggs_daily_AAPL.json").read_text())["results"]:
        day = local_day(bar["t"], "stock").isoformat()
        bars["AAPL"][day] = tuple(bar[name] for name in ("o", "h", "l", "c", "v", "vw", "n"))
    return bars


@cache
def minutes() -> dict[str, dict[str, Row]]:
    """symbol -> New York wall time `YYYY-MM-DD HH:MM:SS` -> one-minute row."""
    return {"MSFT": _json_rows("intraday_1min_MSFT.json", "Time Series (1min)")}


@cache
def five_minutes() -> dict[str, dict[str, Row]]:
    """As `minutes`, for bars of five; these reach into extended hours."""
    return {"IBM": dict(_csv_rows("ts_intraday_5min_IBM.csv"))}


@cache
def weekly_closes() -> dict[str, dict[str, float]]:
    """symbol -> the week's last session -> as-traded close."""
    ibm = {row["timestamp"]: float(row["close"]) for row in _table("ts_weekly_adjusted_IBM.csv")}
    weeks = json.loads((FOLDER / "ts_weekly_adjusted_TSLA.json").read_text())["Weekly Adjusted Time Series"]
    return {"IBM": ibm, "TSLA": {day: float(row["4. close"]) for day, row in weeks.items()}}


@cache
def weekly_adjusted(symbol: str) -> dict[str, tuple[str, ...]]:
    """The recorded weeks: last session -> open, high, low, close, adjusted close, volume, dividend, as written."""
    if symbol == "IBM":
        return {row["timestamp"]: tuple(row.values())[1:] for row in _table("ts_weekly_adjusted_IBM.csv")}
    if symbol == "TSLA":
        weeks = json.loads((FOLDER / "ts_weekly_adjusted_TSLA.json").read_text())["Weekly Adjusted Time Series"]
        return {day: tuple(row.values()) for day, row in weeks.items()}
    return {}


@cache
def wiki_prices() -> list[dict[str, str]]:
    """The rows of the exported table WIKI/PRICES, as text."""
    return _table("wiki_prices_table_export.csv")


@cache
def wiki_rows() -> dict[tuple[str, str], dict[str, str]]:
    return {(row["ticker"], row["date"]): row for row in wiki_prices()}


@cache
def splits(symbol: str) -> tuple[tuple[str, float], ...] | None:
    """(day, ratio), oldest first; None where the generator may invent them."""
    if symbol == "IBM":
        return tuple((row["effective_date"], float(row["split_factor"])) for row in reversed(_table("splits_IBM.csv")))
    return _SPLITS.get(symbol)


@cache
def dividends(symbol: str) -> tuple[tuple[str, float], ...] | None:
    """(ex-dividend day, cash per share), oldest first; None where the generator may invent them."""
    if symbol == "IBM":
        rows = reversed(_table("dividends_IBM.csv"))
        return tuple((row["ex_dividend_date"], float(row["amount"])) for row in rows)
    wiki = [row for row in wiki_prices() if row["ticker"] == symbol]
    if symbol in _SPLITS:
        return tuple((row["date"], float(row["ex-dividend"])) for row in wiki if float(row["ex-dividend"]))
    return None


@cache
def document(name: str) -> Any:
    """A recorded JSON body."""
    return json.loads((FOLDER / name).read_text())


def text(name: str) -> str:
    """A recorded CSV body with the line ends of the wire."""
    return (FOLDER / name).read_text().replace("\r\n", "\n").replace("\n", "\r\n")


def _table(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def _csv_rows(name: str) -> Iterator[tuple[str, Row]]:
    for row in _table(name):
        prices = (float(row["open"]), float(row["high"]), float(row["low"]), float(row["close"]))
        yield row["timestamp"], (*prices, float(row.get("volume") or 0.0), None, None)


def _json_rows(name: str, key: str) -> dict[str, Row]:
    series = json.loads((FOLDER / name).read_text())[key]
    return {at: (*(float(row[field]) for field in _ALPHA_VANTAGE), None, None) for at, row in series.items()}  # type: ignore[misc]
