"""The documents of stored series: the sessions that they lack, and how far they are behind their calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NotRequired

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.jobs.gap_repair import RepairJob
    from marketfetch.ops.missing_minutes import Stretch
    from marketfetch.ops.missing_sessions import Found, Gap
    from marketfetch.ops.staleness import Freshness, Stale
    from marketfetch.storage.vendor_adjusted import StaleSeries as AdjustedSeries


class GapOfSeries(TypedDict):
    """Sessions in a row without a stored bar: `why` is never_asked, failed, rejected or vendor_has_none."""

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str | None
    first: str
    last: str
    sessions: int
    why: str
    reason: str
    at: str | None


class StretchOfSession(TypedDict):
    """`bars` in a row that are missing of the `possible` ones of a session, from `start` to `end` (exclusive).

    `hours` is regular or extended; of extended hours there is one entry a session.
    """

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str | None
    session: str
    hours: str
    start: str
    end: str
    bars: int
    possible: int
    why: str
    reason: str
    at: str | None


class JobOfRepair(TypedDict):
    """A job that asks for missing sessions."""

    job: str
    provider: str
    requests: int
    sessions: int


class Gaps(TypedDict):
    """How many series and sessions were compared, how many are missing by reason, and each gap. `jobs`: after a repair.

    `stretches` are what sessions of intraday bars lack; `extended_sessions` counts the sessions whose extended hours lack bars
    and were not asked for.
    """

    series: int
    sessions: int
    missing: dict[str, int]
    gaps: list[GapOfSeries]
    stretches: list[StretchOfSession]
    extended_sessions: int
    notes: list[str]
    jobs: NotRequired[list[JobOfRepair]]


class StaleSeries(TypedDict):
    """A series whose last final bar is `sessions` behind the session that is due. `listing`: what the vendor's lists say."""

    provider: str
    symbol: str
    timespan: str
    adjustment: str
    last: str | None
    due: str
    sessions: int
    vendor_has_none: bool
    asked_at: str | None
    listing: str


class StalePrices(TypedDict):
    """Days, from `first` to `last`, that were adjusted before the action of `ex_date` in the list `actions` was known."""

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str
    first: str
    last: str
    fetched_on: str
    actions: str
    ex_date: str
    corrected: bool


class FreshnessOfSeries(TypedDict):
    """How many series are fresh, stale, and ended (the vendor has no more); those that are not fresh, worst first.

    `adjusted`: series with stale adjusted prices, of any date.
    """

    fresh: int
    stale: int
    ended: int
    series: list[StaleSeries]
    adjusted: list[StalePrices]
    notes: list[str]


def gaps_document(found: Found, jobs: Sequence[RepairJob] | None = None) -> Gaps:
    """`jobs` are those of a repair, None where none was asked for."""
    from marketfetch.ops.gap_reasons import WHYS

    sums = dict.fromkeys(WHYS, 0)
    for gap in found.gaps:
        sums[gap.why] += gap.sessions
    document: Gaps = {
        "series": found.series,
        "sessions": found.sessions,
        "missing": {why.replace(" ", "_"): number for why, number in sums.items()},
        "gaps": [_gap(one) for one in found.gaps],
        "stretches": [_stretch(one) for one in found.stretches],
        "extended_sessions": found.outside,
        "notes": found.notes,
    }
    if jobs is not None:
        document["jobs"] = [_repair_job(one) for one in jobs]
    return document


def reason_of_gap(gap: Gap | Stretch) -> str:
    """What is said beside a gap, without a secret that a vendor may have sent back."""
    from marketfetch.redaction import Redactor
    from marketfetch.settings import get_settings

    if gap.why == "vendor has none":
        return f"asked on {datetime.fromtimestamp(gap.at_ms / 1000, UTC):%Y-%m-%d}"
    return Redactor(get_settings().secrets()).text(gap.reason)


def freshness_document(found: Freshness) -> FreshnessOfSeries:
    stale = sum(not one.over for one in found.stale)
    return {
        "fresh": found.fresh,
        "stale": stale,
        "ended": len(found.stale) - stale,
        "series": [_stale(one) for one in found.stale],
        "adjusted": [_stale_prices(one) for one in found.adjusted],
        "notes": found.notes,
    }


def _gap(gap: Gap) -> GapOfSeries:
    return {
        "provider": gap.provider,
        "dataset": gap.dataset,
        "symbol": gap.symbol,
        "timespan": gap.timespan,
        "adjustment": gap.adjustment or None,
        "first": gap.first.isoformat(),
        "last": gap.last.isoformat(),
        "sessions": gap.sessions,
        "why": gap.why.replace(" ", "_"),
        "reason": reason_of_gap(gap) if gap.reason else "",
        "at": _time(gap.at_ms) if gap.at_ms else None,
    }


def _stretch(one: Stretch) -> StretchOfSession:
    return {
        "provider": one.provider,
        "dataset": one.dataset,
        "symbol": one.symbol,
        "timespan": one.timespan,
        "adjustment": one.adjustment or None,
        "session": one.day.isoformat(),
        "hours": "extended" if one.extended else "regular",
        "start": _time(one.begin_ms),
        "end": _time(one.end_ms),
        "bars": one.bars,
        "possible": one.possible,
        "why": one.why.replace(" ", "_"),
        "reason": reason_of_gap(one) if one.reason else "",
        "at": _time(one.at_ms) if one.at_ms else None,
    }


def _repair_job(one: RepairJob) -> JobOfRepair:
    return {"job": one.job.job_id, "provider": one.provider, "requests": one.job.requests, "sessions": one.sessions}


def _stale(one: Stale) -> StaleSeries:
    return {
        "provider": one.provider,
        "symbol": one.symbol,
        "timespan": one.timespan,
        "adjustment": one.adjustment,
        "last": one.last.isoformat() if one.last else None,
        "due": one.due.isoformat(),
        "sessions": one.sessions,
        "vendor_has_none": one.vendor_has_none,
        "asked_at": _time(one.none_at_ms) if one.none_at_ms else None,
        "listing": one.listing,
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def _stale_prices(one: AdjustedSeries) -> StalePrices:
    return {
        "provider": one.provider,
        "dataset": one.of,
        "symbol": one.symbol,
        "timespan": one.timespan,
        "adjustment": one.adjustment,
        "first": one.first_day.isoformat(),
        "last": one.last_day.isoformat(),
        "fetched_on": one.fetched_on.isoformat(),
        "actions": one.dataset,
        "ex_date": one.ex_date.isoformat(),
        "corrected": one.corrected,
    }
