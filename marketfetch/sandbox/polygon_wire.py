"""Polygon's bars over HTTP. https://polygon.io/docs/rest/stocks/aggregates/custom-bars

`limit` counts base bars (minutes, or days), as the vendor does; a page that is full carries an absolute `next_url` without
the key. A range is stretched to whole bars at both ends.
"""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import numpy as np

from marketfetch.sandbox.accounts import Account
from marketfetch.sandbox.intraday import CLOSES, MINUTE_MS, OPENS, minutes
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.reply import Query, Reply, json_reply, one
from marketfetch.sandbox.resampling import Bars, group, join
from marketfetch.sandbox.sessions import Ints, Kind, local_day, midnight_ms
from marketfetch.sandbox.symbols import Symbol, ticker

HOST: Final = "https://api.massive.com"
TOO_MANY: Final = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. "
    "https://polygon.io/pricing"
)
SPANS: Final = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


def bars(path: tuple[str, ...], query: Query, *, market: Market, account: Account) -> Reply:
    """`path` = ticker, multiplier, timespan, from, to."""
    name, multiplier_text, span, from_text, to_text = path
    asked = dict(parse_qsl(_decoded(one(query, "cursor")))) | {k: v[-1] for k, v in query.items() if k != "cursor"}
    try:
        multiplier, limit = int(multiplier_text), min(int(asked.get("limit", "5000")), 50_000)
        first, last = _instant(from_text, "from"), _instant(to_text, "to")
    except ValueError as problem:
        return error(400, str(problem), symbol=name)
    if span not in SPANS or multiplier < 1 or limit < 1:
        return error(400, f"The timespan or multiplier is invalid: {multiplier_text}/{span}", symbol=name)
    symbol = ticker(name)
    kind: Kind = symbol.kind if symbol else "stock"
    start, end = _edge(first, kind, last=False), _edge(last, kind, last=True)
    if end < start:
        return error(400, "The parameter 'to' cannot be a time that occurs before 'from'", symbol=name)
    if too_old := out_of_plan(local_day(start, kind), market=market, account=account, symbol=name):
        return too_old
    adjusted, rising = asked.get("adjusted", "true") != "false", asked.get("sort", "asc") != "desc"
    if symbol is None or span == "second":
        found, used, more = None, 0, None
    else:
        found, used, more = _page(market, symbol, multiplier, span, start, end, limit=limit, rising=rising)
    rows = _rows(found, symbol, adjusted=adjusted, rising=rising) if found is not None and symbol else []
    document: dict[str, Any] = {"ticker": name, "queryCount": used, "resultsCount": len(rows), "adjusted": adjusted}
    if rows:
        document["results"] = rows
    document |= {"status": "DELAYED" if account.delayed else "OK", "request_id": request_id(), "count": len(rows)}
    if more is not None:
        span_path = f"{more}/{to_text}" if rising else f"{from_text}/{more}"
        asked["limit"] = str(limit)
        cursor = base64.urlsafe_b64encode(urlencode(sorted(asked.items())).encode()).decode().rstrip("=")
        document["next_url"] = (
            f"{HOST}/v2/aggs/ticker/{quote(name, safe=':')}/range/{multiplier}/{span}/{span_path}?cursor={cursor}"
        )
    return polygon_reply(document, symbol=name)


def out_of_plan(day: date, *, market: Market, account: Account, symbol: str) -> Reply | None:
    """The refusal of a range that begins before the years of the account's plan."""
    if account.years is None or day >= _years_before(market.today, account.years):
        return None
    words = "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"
    return error(403, words, symbol=symbol)


def error(status: int, words: str, *, symbol: str = "") -> Reply:
    """The vendor writes `message` in 403 and 404, `error` elsewhere."""
    state = {403: "NOT_AUTHORIZED", 404: "NOT_FOUND"}.get(status, "ERROR")
    field = "message" if status in (403, 404) else "error"
    return polygon_reply({"status": state, "request_id": request_id(), field: words}, status=status, symbol=symbol)


def polygon_reply(document: dict[str, Any], *, status: int = 200, symbol: str = "") -> Reply:
    """A reply with the headers that recordings show."""
    plain = json_reply(document, status=status, symbol=symbol, headers=(("X-Request-Id", document["request_id"]),))
    return Reply(plain.status, plain.body, plain.content_type, plain.headers, symbol, gzip=True)


def request_id() -> str:
    return uuid.uuid4().hex


def _page(
    market: Market, symbol: Symbol, multiplier: int, span: str, start: int, end: int, *, limit: int, rising: bool
) -> tuple[Bars, int, int | None]:
    """One page's output bars in ascending order, the base bars they took, and the edge where the next page goes on."""
    if span in ("minute", "hour"):
        each = multiplier * (1 if span == "minute" else 60)
        width = each * MINUTE_MS
        start, end = start // width * width, (end // width + 1) * width - 1
        base = _minutes(market, symbol, start, end, enough=limit + each, rising=rising)
        starts = base.ts // width * width
    else:
        first, last = _first_of(local_day(start, symbol.kind), span), _last_of(local_day(end, symbol.kind), span)
        base = _days(market, symbol, first, last)
        starts = _day_windows(base, symbol.kind, multiplier, span)
    count = len(base)
    if count <= limit:
        return group(base, starts, starts), count, None
    # Cut between output bars; a bar of more base bars than `limit` makes a page alone.
    if rising:
        cut = int(np.searchsorted(starts, starts[limit], "left")) or int(np.searchsorted(starts, starts[0], "right"))
        if cut < count:
            return group(base.slice(0, cut), starts[:cut], starts[:cut]), cut, int(starts[cut])
    else:
        cut = int(np.searchsorted(starts, starts[count - 1 - limit], "right"))
        cut = cut if cut < count else int(np.searchsorted(starts, starts[-1], "left"))
        if cut > 0:
            return group(base.slice(cut, count), starts[cut:], starts[cut:]), count - cut, int(starts[cut]) - 1
    return group(base, starts, starts), count, None


def _minutes(market: Market, symbol: Symbol, start: int, end: int, *, enough: int, rising: bool) -> Bars:
    """The minutes of [start, end]; if there are more than `enough`, only so many sessions as hold more than that."""
    days = market.daily(symbol).between(local_day(start, symbol.kind), local_day(end, symbol.kind)).day
    take = enough // (CLOSES - OPENS if symbol.kind == "stock" else 24 * 60) + 2
    while True:
        some = days[:take] if rising else days[-take:]
        if not len(some):
            return join([])
        found = minutes(market, symbol, first=some[0], last=some[-1])
        low, high = np.searchsorted(found.ts, start, "left"), np.searchsorted(found.ts, end, "right")
        if take >= len(days) or high - low > enough:
            return found.slice(int(low), int(high))
        take *= 2


def _days(market: Market, symbol: Symbol, first: date, last: date) -> Bars:
    days = market.daily(symbol).between(first, last)
    columns = (days.open, days.high, days.low, days.close, days.volume, days.vwap, days.trades)
    return Bars(midnight_ms(days.day, symbol.kind), *columns, days.split, days.dividend)


def _day_windows(base: Bars, kind: Kind, multiplier: int, span: str) -> Ints:
    """For each daily bar the instant at which its output bar starts."""
    if (span, multiplier) == ("day", 1) or not len(base):
        return base.ts
    days = np.array([local_day(int(ts), kind) for ts in base.ts], dtype="datetime64[D]")
    number = days.astype(np.int64)
    if span == "day":
        starts = (number // multiplier * multiplier).astype("datetime64[D]")
    elif span == "week":  # weeks begin on Sunday; 1970-01-04 was one
        starts = ((number - 3) // (7 * multiplier) * (7 * multiplier) + 3).astype("datetime64[D]")
    else:
        months = multiplier * {"month": 1, "quarter": 3, "year": 12}[span]
        month = days.astype("datetime64[M]").astype(np.int64) // months * months
        starts = month.astype("datetime64[M]").astype("datetime64[D]")
    return midnight_ms(starts, kind)


def _rows(found: Bars, symbol: Symbol, *, adjusted: bool, rising: bool) -> list[dict[str, float]]:
    factor = found.split if adjusted else np.ones(len(found))
    prices = [np.round(column / factor, symbol.digits) for column in (found.open, found.high, found.low, found.close)]
    vwap, volume = np.round(found.vwap / factor, symbol.digits), np.round(found.volume * factor, 4)
    columns = [column.tolist() for column in (volume, vwap, prices[0], prices[3], prices[1], prices[2], found.ts, found.trades)]
    rows = [dict(zip(["v", "vw", "o", "c", "h", "l", "t", "n"], row, strict=True)) for row in zip(*columns, strict=True)]
    return rows if rising else rows[::-1]


def _instant(text: str, name: str) -> int | date:
    """Unix ms, or a date."""
    if text.isdigit() and len(text) >= 9:
        return int(text)
    try:
        return date.fromisoformat(text)
    except ValueError:
        words = f"Could not parse the time parameter: '{name}'. Use YYYY-MM-DD or Unix MS Timestamps"
        raise ValueError(words) from None


@lru_cache(maxsize=4096)
def _edge(at: int | date, kind: Kind, *, last: bool) -> int:
    if isinstance(at, int):
        return at
    day = at + timedelta(days=1) if last else at
    return int(midnight_ms(np.array([day], dtype="datetime64[D]"), kind)[0]) - last


def _first_of(day: date, span: str) -> date:
    if span == "week":
        return day - timedelta(days=(day.weekday() + 1) % 7)
    months = {"month": 1, "quarter": 3, "year": 12}.get(span)
    return day.replace(month=(day.month - 1) // months * months + 1, day=1) if months else day


def _last_of(day: date, span: str) -> date:
    if span == "week":
        return _first_of(day, span) + timedelta(days=6)
    months = {"month": 1, "quarter": 3, "year": 12}.get(span)
    if not months:
        return day
    begin = _first_of(day, span)
    return (begin.replace(day=1) + timedelta(days=31 * months)).replace(day=1) - timedelta(days=1)


def _years_before(day: date, years: int) -> date:
    return day - timedelta(days=round(365.25 * years))


def _decoded(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        return ""


def utc_text(day: date) -> str:
    """A date as the reference endpoints write an instant."""
    return datetime.combine(day, datetime.min.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
