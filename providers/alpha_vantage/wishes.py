"""Splits a wish into requests to Alpha Vantage, which has no ranges and no pages: the newest 100 points, or all of them.

The cursor is our own: "compact" requests the newest 100 points (free keys are entitled to them), any other the whole history.
A compact response that does not include the start has "full" as its next page.
https://www.alphavantage.co/documentation/
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, Timespan, is_intraday
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.ranges import split_by_months
from marketfetch.vendors.spellings import object_to

from .calls import COMPACT, has_outputsize, pair
from .functions import INTERVALS, LISTS, MARKETS, Function, function_for, function_named
from .options import AlphaVantageOptions
from .symbol_forms import advice

#: FX and crypto intraday bars have no `month=`: "full" returns only the trailing days.
_TRAILING_DAYS: Final = 30
#: Compact is 100 points. The margin allows for a request that waits a week in the queue.
_COMPACT_DAYS: Final = 90


def plan(spec: JobSpec, options: AlphaVantageOptions) -> list[Request]:  # noqa: ARG001 (every vendor has these two)
    """Returns one request per symbol; for stocks' intraday bars one per symbol and calendar month. Raises PlanError.

    A list (splits, dividends) has no range.
    """
    function, timespan = _function_of(spec)
    if function.kind in LISTS:
        name = "delisted" if spec.dataset.lower() == "delisted" else function.kind
        return [Request(provider="alpha_vantage", dataset=name, symbol=symbol) for symbol in spec.symbols]
    adjustment = _adjustment_of(spec, function)
    if function.market != "stocks":
        for symbol in spec.symbols:
            pair(symbol)
    pieces = [(spec.start, spec.end)]
    cursor = None
    if function.timespan is None and function.market == "stocks":
        pieces = list(split_by_months(spec.start, spec.end))
    elif function.timespan is None:
        _check_trailing(spec, function)
    elif _surely_compact(spec, function):
        cursor = COMPACT
    return [
        Request(
            provider="alpha_vantage",
            dataset=function.name,
            symbol=symbol,
            timespan=timespan,
            adjustment=adjustment,
            start=start,
            end=end,
            cursor=cursor,
        )
        for symbol in spec.symbols
        for start, end in pieces
    ]


def check_wish(spec: JobSpec, options: AlphaVantageOptions) -> None:  # noqa: ARG001 (every vendor's takes these two)
    """Raises PlanError for symbols that belong to another dataset, or in a spelling that is surely another vendor's."""
    function, _ = _function_of(spec)
    if function.kind != "search":  # whose words are no symbols
        object_to(said for symbol in spec.symbols if (said := advice(symbol, function.market)))


def usual_adjustment(dataset: str, timespan: Timespan) -> Adjustment | None:  # noqa: ARG001 (every vendor's takes these two)
    """Returns raw for bars, unless the dataset is a function with an adjusted close; None for what holds no bars."""
    try:
        function = function_named(dataset)
    except KeyError:
        return None
    if function is None:
        return "raw"
    if function.kind != "bars":
        return None
    return "split_dividend" if function.adjusted else "raw"


def brings(request: Request, options: AlphaVantageOptions) -> tuple[Adjustment, ...]:  # noqa: ARG001 (every vendor's takes both)
    """Returns raw too for a function with an adjusted close, whose rows have both."""
    try:
        function = function_named(request.dataset)
    except KeyError:
        return (request.adjustment,)
    return ("raw", "split_dividend") if function is not None and function.adjusted else (request.adjustment,)


def _function_of(spec: JobSpec) -> tuple[Function, Timespan]:
    try:
        function = function_named(spec.dataset)
        if function is None:
            adjusted = spec.adjustment == "split_dividend"
            return function_for(MARKETS[spec.dataset.lower()], spec.timespan, adjusted=adjusted), spec.timespan
    except KeyError as error:
        raise PlanError(error.args[0]) from None
    if function.kind in LISTS:
        return function, spec.timespan
    if function.timespan is None:
        if not is_intraday(spec.timespan):
            raise PlanError(f"{function.name} has no {spec.timespan} bars: ask for {', '.join(INTERVALS)}")
        return function, spec.timespan
    # 1d is the default of a spec, so it does not contradict a weekly function.
    if spec.timespan not in ("1d", function.timespan):
        raise PlanError(f"{function.name} has {function.timespan} bars, not {spec.timespan}: change one of the two")
    return function, function.timespan


def _adjustment_of(spec: JobSpec, function: Function) -> Adjustment:
    """The asked adjustment; of a wish without one the vendor's default: intraday split_dividend, else raw. Raises PlanError."""
    if function.market != "stocks":
        if spec.adjustment not in (None, "raw"):
            raise PlanError(f"{function.name} knows no adjustment: leave it out, or ask for raw")
        return "raw"
    if spec.adjustment == "split":
        raise PlanError(
            "Alpha Vantage has no bars adjusted for splits alone: ask for raw or split_dividend, or ask another vendor"
        )
    if function.timespan is None:
        # A wish without an adjustment is of an earlier release, whose default was Alpha Vantage's own.
        return spec.adjustment or "split_dividend"
    if spec.adjustment is None:
        return "split_dividend" if function.adjusted else "raw"
    if spec.adjustment == "split_dividend" and not function.adjusted:
        raise PlanError(f"{function.name} is not adjusted: ask for the dataset {function.name}_ADJUSTED")
    return spec.adjustment


def _check_trailing(spec: JobSpec, function: Function) -> None:
    earliest = date.fromisoformat(spec.as_of[:10]) - timedelta(days=_TRAILING_DAYS)
    if spec.start < earliest:
        raise PlanError(
            f"{function.name} serves about the last {_TRAILING_DAYS} days only: start on {earliest} or later, "
            f"or ask for 1d bars"
        )


def _surely_compact(spec: JobSpec, function: Function) -> bool:
    age_days = (date.fromisoformat(spec.as_of[:10]) - spec.start).days
    return has_outputsize(function) and age_days <= _COMPACT_DAYS
