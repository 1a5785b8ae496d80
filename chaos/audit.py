"""The audit: compares the stored rows with the market that the sandbox draws them from, without our own readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from chaos.installation import Installation
from chaos.workload import Job
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
class AuditResult:
    """The audit's counts. `look_at` names the symbols that a developer has to inspect."""

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


def audit(installation: Installation, jobs: list[Job]) -> AuditResult:
    """Audits these jobs, row by row."""
    health = installation.vendors.control.health()
    market = Market(seed=int(health["seed"]), today=date.fromisoformat(health["today"]))
    damaged = _damaged(installation)
    stored: dict[tuple[str, str], dict[str, Bars]] = {}
    for provider, symbol, adjustment, ts, *values in installation.rows(_BARS):
        stored.setdefault((provider, symbol), {}).setdefault(adjustment, {})[ts] = tuple(values)
    rejected: dict[tuple[str, str], set[int]] = {}
    for provider, symbol, row in installation.rows("SELECT provider, symbol, row FROM rejects"):
        rejected.setdefault((provider, symbol), set()).add(row)
    ledger = {(row[0], row[1]): row[2:] for row in installation.rows("SELECT provider, symbol, outcome, reason FROM ledger")}
    result = AuditResult(rejects=sum(map(len, rejected.values())))
    result.rows = sum(len(bars) for each in stored.values() for bars in each.values())
    result.doubled = installation.rows(_TWICE)[0][0]
    result.bad_stored = installation.rows(_BAD)[0][0]
    for job in jobs:
        for symbol in job.symbols:
            name = (job.provider, symbol)
            outcome, reason = ledger.get(name, ("nothing", ""))
            result.outcomes[outcome] = result.outcomes.get(outcome, 0) + 1
            result.without_reason += outcome == "failed" and not reason
            if outcome == "failed":
                text = reason.removeprefix(f"{symbol}: ")[:60]
                result.reasons[text] = result.reasons.get(text, 0) + 1
            said = _said(market, symbol, job) if outcome == "stored" else {}
            # Rejects show that the stored reply was a spoilt one: an earlier spoilt reply may have been lost with its worker.
            spoilt = damaged.get(name, {}) if name in rejected else {}
            compare(result, name, said, stored.get(name, {}), rejected.get(name, set()), spoilt)
    return result


def compare(
    result: AuditResult,
    name: tuple[str, str],
    said: dict[str, Bars],
    kept: dict[str, Bars],
    rejected: set[int],
    spoilt: dict[int, int],
) -> None:
    """Compares one request. `spoilt`: row of the reply -> the bar's ts; the sandbox spoils prices as traded."""
    raw = said.get("raw", {})
    spoilt = {row: ts for row, ts in spoilt.items() if ts in raw}
    missing, altered = 0, 0
    for adjustment in said.keys() | kept.keys():
        ours, theirs = kept.get(adjustment, {}), said.get(adjustment, {})
        missing += len(set(theirs) - set(ours) - (set(spoilt.values()) if adjustment == "raw" else set()))
        altered += sum(1 for ts, values in ours.items() if theirs.get(ts) != values)
    silent = len(set(spoilt) - rejected)
    result.missing += missing
    result.altered += altered
    result.bad_without_reject += silent
    if missing or altered or silent:
        result.look_at.append(f"{name[0]} {name[1]}: {missing} missing, {altered} altered, {silent} not rejected")


def _said(market: Market, symbol: str, job: Job) -> dict[str, Bars]:
    """Adjustment -> the vendor's bars. A page of Nasdaq Data Link's table holds each row in two adjustments."""
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


def _damaged(installation: Installation) -> dict[tuple[str, str], dict[int, int]]:
    found: dict[tuple[str, str], dict[int, int]] = {}
    for one in installation.vendors.control.log()["damaged"]:
        found.setdefault((one["provider"], one["symbol"]), {})[one["row"]] = _ts(one["at"])
    return found


def _ts(at: Any) -> int:
    return at if isinstance(at, int) else int(midnight_ms(np.array([at], dtype="datetime64[D]"), "stock")[0])
