"""The GET for a request to Alpha Vantage: one endpoint, `function=` selects. https://www.alphavantage.co/documentation/"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_plus

from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace

from .functions import INTERVALS, MARKETS, Function, function_for, function_named, split_pair
from .options import AlphaVantageOptions

#: The cursors. They are our own and equal the values of `outputsize`: the newest 100 points, or the whole history.
COMPACT: Final = "compact"
FULL: Final = "full"


def build_request(request: Request, options: AlphaVantageOptions) -> HttpRequest:  # noqa: ARG001
    """Builds `GET /query`. The format is always JSON: the CSV of intraday bars has no zone, and errors are JSON anyway."""
    function = _function_of(request)
    params = [("function", function.name)]
    if function.kind == "symbols":
        # It is served as CSV alone: https://www.alphavantage.co/documentation/#listing-status
        state = "delisted" if request.dataset.lower() == "delisted" else "active"
        return HttpRequest(path="/query", params=(*params, ("state", state)), key=KeyPlace("query", "apikey"))
    if function.kind == "market_status":
        return HttpRequest(path="/query", params=tuple(params), key=KeyPlace("query", "apikey"))
    if function.kind == "search":
        params += [("keywords", unquote_plus(request.symbol)), ("datatype", "json")]
        return HttpRequest(path="/query", params=tuple(params), key=KeyPlace("query", "apikey"))
    if function.market == "fx":
        base, quote = pair(request.symbol)
        params += [("from_symbol", base), ("to_symbol", quote)]
    elif function.market == "crypto":
        base, quote = pair(request.symbol)
        params += [("symbol", base), ("market", quote)]
    else:
        params.append(("symbol", request.symbol))
    if function.timespan is None:
        params.append(("interval", INTERVALS[request.timespan]))
        if function.market == "stocks":
            params.append(("adjusted", "false" if request.adjustment == "raw" else "true"))
            params.append(("extended_hours", "true"))
            if request.start is not None:
                params.append(("month", f"{request.start:%Y-%m}"))
    if has_outputsize(function):
        params.append(("outputsize", COMPACT if request.cursor == COMPACT else FULL))
    params.append(("datatype", "json"))
    return HttpRequest(path="/query", params=tuple(params), key=KeyPlace("query", "apikey"))


def has_outputsize(function: Function) -> bool:
    """True if the function can return the newest 100 points alone; the other functions always return the whole history."""
    return function.timespan is None or function.name in ("TIME_SERIES_DAILY", "TIME_SERIES_DAILY_ADJUSTED", "FX_DAILY")


def pair(symbol: str) -> tuple[str, str]:
    pair = split_pair(symbol)
    if pair is None:
        raise PlanError(f"{symbol!r} is not a pair of currencies: write it like EUR/USD or BTC/EUR")
    return pair


def _function_of(request: Request) -> Function:
    try:
        named = function_named(request.dataset)
        if named is not None:
            return named
        adjusted = request.adjustment == "split_dividend"
        return function_for(MARKETS[request.dataset.lower()], request.timespan, adjusted=adjusted)
    except KeyError as error:
        raise PlanError(error.args[0]) from None
