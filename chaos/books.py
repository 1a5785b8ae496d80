"""The stored rows against the market that the sandbox draws them from: nothing of our reading stands between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from chaos.place import Place
from chaos.plan import Job
from marketfetch.sandbox.market import Floats, Market
from marketfetch.sandbox.sessions import midnight_ms
from marketfetch.sandbox.symbols import stock

Bars = dict[int, tuple[float, ...]]

_BARS = """
SELECT provider, symbol, adjustment, (extract(epoch FROM ts) * 1000)::bigint, open, high, low, close, volume FROM bars
"""
_TWICE = """
SELECT (SELECT count(*) - count(DISTINCT (provider, symbol, timespan, adjustment, ts)) FROM bars)
     + (SELECT count(*) - count(DISTINCT request_id) FROM ledger)
     + (SELECT count(*) - count(DISTINCT (request_id, row, field, reason)) FROM rejects)
"""
_BAD = """
SELECT count(*) FROM bars WHERE low > high OR low > least(open, close) OR high < greatest(open, close)
    OR least(open, high, low, close) <= 0 OR close IS NULL OR close = 'NaN' OR volume < 0
"""


@dataclass(slots=True)
class Books:
    """What was found. The lists name symbols, for whoever has to look."""

    outcomes: dict[str, int] = field(default_factory=dict)
    without_reason: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    missing: int = 0
    doubled: int = 0
    altered: int = 0
    bad_stored: int = 0
    bad_without_reject: int = 0
    rejects: int = 0
    look_at: list[str] = field(default_factory=list)


def audit(place: Place, jobs: list[Job]) -> Books:
    """Everything of these jobs, row by row."""
    health = place.vendors.control.health()
    market = Market(seed=int(health["seed"]), today=date.fromisoformat(health["today"]))
    damaged = _damaged(place)
    stored: dict[tuple[str, str], dict[str, Bars]] = {}
    for provider, symbol, adjustment, ts, *values in place.rows(_BARS):
        stored.setdefault((provider, symbol), {}).setdefault(adjustment, {})[ts] = tuple(values)
    rejected: dict[tuple[str, str], set[int]] = {}
    for provider, symbol, row in place.rows("SELECT provider, symbol, row FROM rejects"):
        rejected.setdefault((provider, symbol), set()).add(row)
    ledger = {(row[0], row[1]): row[2:] for row in place.rows("SELECT provider, symbol, outcome, reason FROM ledger")}
    books = Books(rejects=sum(map(len, rejected.values())))
    books.rows = sum(len(bars) for each in stored.values() for bars in each.values())
    books.doubled = place.rows(_TWICE)[0][0]
    books.bad_stored = place.rows(_BAD)[0][0]
    for job in jobs:
        for symbol in job.symbols:
            name = (job.provider, symbol)
            outcome, reason = ledger.get(name, ("nothing", ""))
            books.outcomes[outcome] = books.outcomes.get(outcome, 0) + 1
            books.without_reason += outcome == "failed" and not reason
            if outcome == "failed":
                text = reason.removeprefix(f"{symbol}: ")[:60]
                books.reasons[text] = books.reasons.get(text, 0) + 1
            said = _said(market, symbol, job) if outcome == "stored" else {}
            # Whether the reply that was kept was a spoilt one: the first of them may have died with its worker.
            spoilt = damaged.get(name, {}) if name in rejected else {}
            compare(books, name, said, stored.get(name, {}), rejected.get(name, set()), spoilt)
    return books


def compare(
    books: Books,
    name: tuple[str, str],
    said: dict[str, Bars],
    kept: dict[str, Bars],
    rejected: set[int],
    spoilt: dict[int, int],
) -> None:
    """One request. `spoilt`: row of the reply -> the bar's ts. Prices as traded are what the sandbox spoils."""
    raw = said.get("raw", {})
    spoilt = {row: ts for row, ts in spoilt.items() if ts in raw}
    missing, altered = 0, 0
    for adjustment in said.keys() | kept.keys():
        ours, theirs = kept.get(adjustment, {}), said.get(adjustment, {})
        missing += len(set(theirs) - set(ours) - (set(spoilt.values()) if adjustment == "raw" else set()))
        altered += sum(1 for ts, values in ours.items() if theirs.get(ts) != values)
    silent = len(set(spoilt) - rejected)
    books.missing += missing
    books.altered += altered
    books.bad_without_reject += silent
    if missing or altered or silent:
        books.look_at.append(f"{name[0]} {name[1]}: {missing} missing, {altered} altered, {silent} not rejected")


def _said(market: Market, symbol: str, job: Job) -> dict[str, Bars]:
    """Adjustment -> what the vendor has. A page of Nasdaq Data Link's table holds each row in two adjustments."""
    known = stock(symbol)
    if known is None:
        return {}
    days = market.daily(known).between(job.first, job.last)
    at = midnight_ms(days.day, "stock").tolist()
    prices = (days.open, days.high, days.low, days.close)
    found = {"raw": _bars(at, *prices, days.volume)}
    if job.provider == "nasdaq":
        factor = days.dividend / days.split
        adjusted = [np.round(one * factor, 6) for one in prices]
        found["split_dividend"] = _bars(at, *adjusted, np.round(days.volume * days.split, 1))
    return found


def _bars(at: list[int], *columns: Floats) -> Bars:
    return dict(zip(at, zip(*(column.tolist() for column in columns), strict=True), strict=True))


def _damaged(place: Place) -> dict[tuple[str, str], dict[int, int]]:
    found: dict[tuple[str, str], dict[int, int]] = {}
    for one in place.vendors.control.log()["damaged"]:
        found.setdefault((one["provider"], one["symbol"]), {})[one["row"]] = _ts(one["at"])
    return found


def _ts(at: Any) -> int:
    return at if isinstance(at, int) else int(midnight_ms(np.array([at], dtype="datetime64[D]"), "stock")[0])
