"""Splits a wish into requests to Polygon whose bars fit one page each.

https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

from datetime import date
from typing import Final

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.schemas.timespans import Adjustment, Timespan, is_intraday
from marketfetch.suggestions import did_you_mean
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.protocol import Dataset
from marketfetch.vendors.ranges import split_by_days, split_by_months
from marketfetch.vendors.spellings import object_to
from marketfetch.vendors.trading_days import sessions

from .calls import rows_per_page
from .datasets import BARS, DATASETS, FLAT_FILES, GROUPED, RECORD_PATHS, SEARCH, SNAPSHOTS
from .flat_file_calls import check_files, files_of
from .options import PolygonOptions
from .symbol_forms import advice, is_stock_like

#: Stocks trade 04:00 to 20:00 New York, five days of seven; the others may trade every minute.
_STOCK_MINUTES: Final = 960
_DAY_MINUTES: Final = 1_440
#: Lists that only stocks have.
_OF_STOCKS: Final = ("splits", "dividends", "snapshots")


def plan(spec: JobSpec, options: PolygonOptions) -> list[Request]:
    """Returns per symbol one request for a list, or for daily and longer bars; pieces of at most two months for intraday bars.

    A piece's base bars fit one page; `next_url` matters only if a market has more bars than expected. Raises PlanError.
    """
    listed = _dataset(spec.dataset)
    if listed and listed.records:
        return [
            Request(provider="polygon", dataset=listed.name, symbol=symbol, start=start, end=end)
            for symbol in spec.symbols
            for start, end in _pieces_of_list(spec, symbol)
        ]
    if spec.dataset.lower() == GROUPED:
        return _sessions(spec)
    if spec.dataset.lower() == FLAT_FILES:
        return files_of(spec)
    if spec.dataset.lower() not in BARS:
        meant = did_you_mean(spec.dataset.lower(), (*BARS, *RECORD_PATHS))
        raise PlanError(f"polygon has no dataset {spec.dataset!r}. {meant}{' ' if meant else ''}Bars are the dataset bars.")
    return [
        Request(
            provider="polygon",
            dataset="bars",
            symbol=symbol,
            timespan=spec.timespan,
            adjustment=_adjustment_of(spec, symbol),
            start=start,
            end=end,
        )
        for symbol in spec.symbols
        for start, end in _pieces(spec, symbol, rows_per_page(options))
    ]


def check_wish(spec: JobSpec, options: PolygonOptions) -> None:
    """Raises PlanError for symbols in a spelling that is surely another vendor's, for actions of what has
    none, and for days without a session.
    """
    listed = _dataset(spec.dataset)
    if listed and listed.records in _OF_STOCKS:
        object_to(f"{one} is no stock, and has no {listed.name}." for one in spec.symbols if not is_stock_like(one))
    if spec.dataset.lower() == FLAT_FILES:
        check_files(spec, options)
    if spec.dataset.lower() in (GROUPED, FLAT_FILES) and not plan(spec, options):
        days = f"{spec.start}" if spec.start == spec.end else f"{spec.start} to {spec.end}"
        raise PlanError(f"{days} has no session of the New York exchanges (a weekend or holiday), so there are no bars")
    if spec.dataset.lower() != SEARCH:  # whose words are no symbols
        object_to(said for symbol in spec.symbols if (said := advice(symbol)))


def usual_adjustment(dataset: str, timespan: Timespan) -> Adjustment | None:  # noqa: ARG001 (every vendor's takes these two)
    """Returns raw for bars: what is stored as traded is adjusted when it is read, and no split makes it wrong."""
    return None if dataset.lower() in (*RECORD_PATHS, SNAPSHOTS) else "raw"


def _dataset(name: str) -> Dataset | None:
    return next((one for one in DATASETS if name.lower() in (one.name, *one.aliases)), None)


def _sessions(spec: JobSpec) -> list[Request]:
    """A request for each session of the range: no call for a weekend or a holiday, which has no bars."""
    if spec.timespan != "1d":
        raise PlanError(f"polygon's {GROUPED} are daily bars: leave the timespan out (asked for {spec.timespan})")
    if spec.adjustment == "split_dividend":
        raise PlanError(f"polygon's {GROUPED} are raw, or adjusted for splits: ask for raw or split")
    shared = Request(
        provider="polygon", dataset=GROUPED, symbol=WHOLE_MARKET, timespan="1d", adjustment=spec.adjustment or "raw"
    )
    return [shared.model_copy(update={"start": day, "end": day}) for day in sessions("XNYS", spec.start, spec.end)]


def _pieces(spec: JobSpec, symbol: str, limit: int) -> list[tuple[date, date]]:
    if not is_intraday(spec.timespan):
        # 50,000 days are 137 years; with a small page_limit next_url leads to further pages.
        return [(spec.start, spec.end)]
    if is_stock_like(symbol):
        # A week has five sessions, so these days fit one page wherever the piece begins.
        weeks, rest = divmod(limit // _STOCK_MINUTES, 5)
        days = weeks * 7 + rest
    else:
        days = limit // _DAY_MINUTES
    if days >= 62:
        return list(split_by_months(spec.start, spec.end, months=2))
    if days >= 31:
        return list(split_by_months(spec.start, spec.end))
    return list(split_by_days(spec.start, spec.end, days=max(1, days)))


def _pieces_of_list(spec: JobSpec, symbol: str) -> list[tuple[date | None, date | None]]:
    """No range for a whole list, and one for the actions of a ticker. Those of all tickers are by the year."""
    if spec.is_whole:
        return [(None, None)]
    return [*split_by_months(spec.start, spec.end, months=12)] if symbol == WHOLE_MARKET else [(spec.start, spec.end)]


def _adjustment_of(spec: JobSpec, symbol: str) -> Adjustment:
    if spec.adjustment == "split_dividend":
        raise PlanError(
            "polygon adjusts for splits only: ask for the adjustment split or raw, or ask a vendor that has split_dividend"
        )
    if is_stock_like(symbol):
        # A wish without an adjustment is of an earlier release, whose default was Polygon's own.
        return spec.adjustment or "split"
    if spec.adjustment == "split":
        raise PlanError(f"{symbol} has no splits: leave the adjustment out, or ask for raw")
    return "raw"
