"""Stored series: the sessions that they lack, the jobs that ask for these, and how far they are behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from marketfetch.documents.series_documents import FreshnessOfSeries, Gaps, freshness_document, gaps_document
from marketfetch.frames.choosing import wish
from marketfetch.frames.stored_bars import reading
from marketfetch.jobs.gap_repair import can_mend, repair
from marketfetch.ops.missing_sessions import Chosen, Found, find
from marketfetch.ops.staleness import freshness
from marketfetch.ops.universes import resolved
from marketfetch.schemas import day_words
from marketfetch.web.access import Operator, Reader
from marketfetch.web.bodies import Repair, symbols_of
from marketfetch.web.problems import Refused
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(tags=["series"])

Symbols = Annotated[list[str] | None, Query(alias="symbol", description="May be given several times; none: all.")]
Limit = Annotated[int, Query(ge=0, le=100_000, description="List so many; the counts are of all.")]


@router.get("/gaps", response_model=Gaps, summary="Sessions without a stored bar")
async def gaps(
    request: Request,
    _caller: Reader,
    provider: str | None = None,
    symbols: Symbols = None,
    timespan: str | None = None,
    adjustment: str | None = None,
    start: str | None = None,
    end: str | None = None,
    limit: Limit = 1_000,
) -> Response:
    """Which sessions of its calendar each stored series lacks, and why. Calls no vendor."""

    def found() -> Gaps:
        document = gaps_document(_found(provider, symbols, timespan, adjustment, start, end))
        return _shortened(document, limit)

    return await calls_of(request).long_answer(found)


@router.post("/gaps/repair", response_model=Gaps, summary="Ask for missing sessions")
async def repair_gaps(request: Request, body: Repair, caller: Operator) -> Response:
    """Submits jobs for the missing sessions that a call may bring, and for nothing else; `all`: for every missing one.

    Counts as a submit.
    """
    await service_of(request).count_submit(caller)

    def repaired() -> Gaps:
        found = _found(body.provider, body.symbols, body.timespan, body.adjustment, body.start, body.end)
        chosen = [one for one in found.missing if body.all or can_mend(one)]
        document = gaps_document(found, repair(chosen, owner=caller.owner))
        return _shortened(document, 1_000)

    return await calls_of(request).long_answer(repaired)


@router.get("/freshness", response_model=FreshnessOfSeries, summary="Series that are behind their calendar")
async def series_freshness(request: Request, _caller: Reader, limit: Limit = 1_000) -> Response:
    """The stored series that are behind their calendar, by how many sessions, worst first."""

    def found() -> FreshnessOfSeries:
        with reading() as store:
            document = freshness_document(freshness(store))
        return {**document, "series": document["series"][:limit]}

    return await calls_of(request).long_answer(found)


def _shortened(document: Gaps, limit: int) -> Gaps:
    return {**document, "gaps": document["gaps"][:limit], "stretches": document["stretches"][:limit]}


def _found(
    provider: str | None,
    symbols: Sequence[str] | None,
    timespan: str | None,
    adjustment: str | None,
    start: str | None,
    end: str | None,
) -> Found:
    """Raises Refused, BadRequestError, UnavailableError."""
    named = None if symbols is None else resolved(symbols_of(symbols)).symbols
    wish(named, timespan=timespan, provider=provider, adjustment=adjustment, written="{name}={value}")
    now = datetime.now(UTC)
    first, last = (_day(name, text, now) for name, text in (("start", start), ("end", end)))
    if first and last and first > last:
        raise Refused(422, f"The range begins ({first}) after its end ({last}): write the earlier one as the start.")
    with reading() as store:
        return find(store, Chosen(provider, None if named is None else frozenset(named), timespan, adjustment, first, last))


def _day(name: str, text: str | None, now: datetime) -> date | None:
    return None if text is None else day_words.day(name, text, now)
