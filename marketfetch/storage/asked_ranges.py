"""What was asked of vendors, and how it ended: ranges of dates that are covered, that failed, or with rejected rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final, Literal

from pydantic import ValidationError

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.record_kinds import KINDS
from marketfetch.schemas.request import Request
from marketfetch.storage.statements import statements
from marketfetch.storage.store import Store

#: Stands for every symbol of a vendor, in a request for the whole market.
EVERY_SYMBOL: Final = "*"
Ended = Literal["covered", "failed", "rejected"]


@dataclass(frozen=True, slots=True)
class AskedRange:
    """One range of dates, both inclusive, that was asked of a vendor for one series.

    `ended`: "covered" by replies, which are final up to `final_to` (None: no date of it was); "failed"; or "rejected", where
    `rejects` rows of the reply were refused. `why` is the reason of the failure or of the rejects. `adjustment` is "" for a
    wish that named none. `at_ms` is when, in Unix ms.
    """

    provider: str
    dataset: str
    symbol: str
    timespan: str
    adjustment: str
    first: date
    last: date
    ended: Ended
    final_to: date | None = None
    why: str = ""
    rejects: int = 0
    at_ms: int = 0


def asked_ranges(store: Store) -> list[AskedRange]:
    """Every range that is known. Raises StoreError.

    A request that a task made without a job has left no range unless its reply covered one.
    """
    sql = statements("sql/asked_ranges.sql", store.database.spelling)
    found = []
    for provider, dataset, symbol, timespan, adjustment, first, last, final_to, at_ms in store.database.read(sql["covered"]):
        if dataset in KINDS:
            continue  # a list that was asked for by a range: it has no bars
        until = None if final_to is None else _date(final_to)
        of_series = (provider, dataset, symbol, timespan, adjustment)
        found.append(AskedRange(*of_series, _date(first), _date(last), "covered", final_to=until, at_ms=at_ms))
    reasons: dict[str, dict[str, list[str]]] = {}
    for request_id, symbol, reason, count in store.database.read(sql["reasons"]):
        of_request = reasons.setdefault(request_id, {})
        of_request.setdefault(symbol, []).append(f"{reason} ({count:,})" if count > 1 else reason)
    of_jobs = {row[0]: row for row in store.database.read(sql["failed_or_rejected"])}  # a request may be one of several jobs
    for request_id, outcome, provider, symbols, reason, rejects, at_ms, arguments, spec in of_jobs.values():
        request = _request(provider, symbols, arguments, spec)
        if request is None or request.records or request.start is None or request.end is None:
            continue
        for symbol in request.symbol.split(","):
            whys = [reason] if outcome == "failed" else sorted(reasons.get(request_id, {}).get(symbol, []))
            if not whys:
                continue  # other symbols of the same reply have rejects
            found.append(
                AskedRange(
                    provider=provider,
                    dataset=request.dataset,
                    symbol=symbol,
                    timespan=request.timespan,
                    adjustment="" if not arguments and _spec(spec).adjustment is None else request.adjustment,
                    first=request.start,
                    last=request.end,
                    ended="failed" if outcome == "failed" else "rejected",
                    why="; ".join(whys),
                    rejects=rejects,
                    at_ms=at_ms,
                )
            )
    return found


def failed_since(store: Store, provider: str, since_ms: int) -> list[tuple[Request, str]]:
    """The requests of a vendor that have failed since a time (Unix ms), with the reason. Raises StoreError."""
    sql = statements("sql/asked_ranges.sql", store.database.spelling)
    rows = store.database.read(sql["failed_since"], provider, since_ms)
    found = ((_request(provider, "", arguments, ""), reason) for reason, arguments in rows)
    return [(request, reason) for request, reason in found if request is not None]


def named_ranges(
    store: Store, provider: str, timespan: str, adjustment: str, *, has_bars: Callable[[str], bool]
) -> dict[str, list[tuple[date, date]]]:
    """The ranges, both ends inclusive, for which jobs have asked a vendor for bars of a symbol by its name. Raises StoreError.

    `has_bars` says whether a dataset of the vendor has bars: who searches for words, or asks for the splits of a symbol, has
    not asked for its bars. A job that named no adjustment counts for each.
    """
    sql = statements("sql/asked_ranges.sql", store.database.spelling)
    by_list: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for (text,) in store.database.read(sql["specs"]):
        spec = _loaded(text)
        if spec.get("provider") != provider or spec.get("timespan", "1d") != timespan:
            continue
        if (spec.get("adjustment") or adjustment) == adjustment and has_bars(spec.get("dataset", "bars")):
            by_list.setdefault(tuple(spec["symbols"]), set()).add((spec["start"], spec["end"]))
    found: dict[str, list[tuple[date, date]]] = {}
    for symbols, ranges in by_list.items():
        days = [(date.fromisoformat(start), date.fromisoformat(end)) for start, end in ranges]
        for symbol in symbols:
            found.setdefault(symbol, []).extend(days)
    return {symbol: sorted(days) for symbol, days in found.items() if symbol != EVERY_SYMBOL}


def _request(provider: str, symbol: str, arguments: str | None, spec: str) -> Request | None:
    """The request as it was recorded; of a job of an earlier release one with the range of the whole job. None: unreadable."""
    try:
        if arguments:
            return Request.model_validate({"provider": provider} | _loaded(arguments))
        wish = _spec(spec)
        return Request(
            provider=provider,
            dataset=wish.dataset,
            symbol=symbol,
            timespan=wish.timespan,
            adjustment=wish.adjustment or "raw",
            start=wish.start,
            end=wish.end,
        )
    except ValidationError:
        return None


def _loaded(arguments: str) -> dict[str, Any]:
    import json

    found = json.loads(arguments)
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=64)
def _spec(spec: str) -> JobSpec:
    return JobSpec.model_validate_json(spec)


def _date(value: date | str) -> date:
    """SQLite has dates as text."""
    return date.fromisoformat(value) if isinstance(value, str) else value
