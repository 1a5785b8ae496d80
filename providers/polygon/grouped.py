"""Decodes the bars of the whole stock market on one day: a row a ticker, all of one session.

Rows are decoded as those of `aggregates.py` are, with the ticker `T` beside them. `t` is a time of the session (its close,
where the documentation shows one); the bar starts at the midnight that begins the day.
https://massive.com/docs/rest/stocks/aggregates/daily-market-summary
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, compress, cycle
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.cross_section_checks import check_cross_section, commonest
from marketfetch.schemas.page import Page
from marketfetch.schemas.price_rules import kind_by
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment
from marketfetch.vendors.date_columns import starts_of_sessions
from marketfetch.vendors.errors import BadRequest, FetchError, NoData, NotYet
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import http_date, looks_like_json, not_json
from marketfetch.vendors.reply_size import check_rows
from marketfetch.vendors.times import NEW_YORK, day_start_ms

from .aggregates import (
    FIELDS,
    LATEST_MS,
    Aggs,
    Envelope,
    Row,
    adjustment_of,
    are_moments,
    bars_of,
    check_envelope,
    envelope_of,
    rows_by_contract,
)
from .datasets import MOST_ROWS
from .errors import WHO
from .row_columns import columns_in

_NAMES: Final = {"ts": "t", **{ours: theirs for theirs, ours in FIELDS.items()}}
#: In its first days a session may not be there yet.
_SURELY_THERE_DAYS: Final = 7
_AGAIN_MS: Final = 30 * 60_000
_EVENING: Final = "the time is in the evening, so it names no session for certain"


class _GroupedRow(Row):
    T: Annotated[str, Field(strict=True)]


class _Grouped(Envelope, total=False):
    results: list[Any] | None


_GROUPED: Final = TypeAdapter(_Grouped)
_ROW: Final = TypeAdapter(_GroupedRow)


class _QuickRow(msgspec.Struct, gc=False, kw_only=True):
    T: str
    t: float
    #: As in `Row`, absent on a day without a trade.
    o: float = math.nan
    h: float = math.nan
    l: float = math.nan  # noqa: E741 (the vendor's name)
    c: float
    v: float = math.nan
    vw: float = math.nan
    n: float = math.nan


class _Quick(msgspec.Struct, gc=False):
    """A clean response; `by_contract` decodes any other."""

    results: list[_QuickRow]
    status: str | msgspec.UnsetType = msgspec.UNSET
    adjusted: bool | msgspec.UnsetType = msgspec.UNSET
    resultsCount: int | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 (the vendor's names)
    queryCount: int | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    count: int | msgspec.UnsetType = msgspec.UNSET
    next_url: str | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


_QUICK: Final = msgspec.json.Decoder(_Quick)


def read_grouped(request: Request, reply: HttpReply, *, next_of: Callable[[object], str | None]) -> Page:
    """Reads the bars of a day. Raises NotYet, BadRequest and what the envelope says; NoData for a saved response."""
    if not looks_like_json(reply):
        raise BadRequest(f"{WHO} returned no JSON for {request.dataset}, which is read from JSON alone", status=reply.status)
    symbols, aggs = _quick(reply.body) or _by_contract(reply)
    if aggs.null and request.start:
        # As an empty reply, which a second null would be, the session would never be asked for again.
        raise NotYet(f"{WHO} returned results:null for the whole market on {request.start}", status=reply.status)
    check_envelope(aggs, request, reply)
    following = next_of(aggs.envelope.get("next_url"))
    if not aggs.rows:
        if following:
            return Page(next=following)
        raise _without_bars(request, reply)
    adjustment = adjustment_of(aggs.envelope, request, reply)
    page = _page(request, symbols, aggs, adjustment=adjustment, following=following)
    return replace(page, columns=columns_in(request, reply, aggs.bars))


def _without_bars(request: Request, reply: HttpReply) -> FetchError:
    """A session has bars, and only sessions are asked for: as an empty reply it would count as fetched, for every symbol."""
    if request.start is None or request.page:
        return NoData(f"{WHO} has no bars for the whole market", status=reply.status)
    now = http_date(reply.headers.get("date", ""))
    if now is not None and (now.date() - request.start).days > _SURELY_THERE_DAYS:
        return BadRequest(
            f"{WHO} has no bars of {request.start} for the whole market, which is no empty session: ask for the symbols by "
            f"themselves (dataset bars)",
            status=reply.status,
        )
    return NotYet(
        f"{WHO} has no bars of {request.start} for the whole market yet", status=reply.status, retry_after_ms=_AGAIN_MS
    )


def _page(request: Request, symbols: Sequence[str], aggs: Aggs, *, adjustment: Adjustment, following: str | None) -> Page:
    starts, uncertain = starts_of_sessions(aggs.bars.ts, NEW_YORK)
    # A saved response names no day: it is the one that nearly all of its rows have.
    start_ms = day_start_ms(request.start, NEW_YORK) if request.start else commonest(starts, ~uncertain)
    known, numbers, bars, book = symbols, aggs.numbers, aggs.bars, RejectBook()
    if uncertain.any():
        for i in np.flatnonzero(uncertain).tolist():
            book.add(int(numbers[i]), "ts", int(bars.ts[i]), _EVENING, symbol=symbols[i])
        known = [symbols[i] for i in np.flatnonzero(~uncertain).tolist()]
        numbers, bars, starts = numbers[~uncertain], bars.take(~uncertain), starts[~uncertain]
    checked = check_cross_section(
        known,
        replace(bars, ts=starts),
        numbers=numbers,
        start_ms=start_ms,
        kind=kind_by(adjustment),
        symbol_field="T",
    )
    rejects = Rejects.together(aggs.rejects, book.rejects(), checked.rejects).renamed(_NAMES)
    section = CrossSection("polygon", checked.symbols, "1d", adjustment, checked.bars, NEW_YORK)
    return Page(series=section, rejects=rejects, quirks=checked.quirks, next=following)


def _quick(body: bytes) -> tuple[Sequence[str], Aggs] | None:
    """Decodes the response in one pass; None if anything about it is unusual, valid or not."""
    # msgspec does not check that skipped text is UTF-8.
    if not body.isascii():
        return None
    try:
        found = _QUICK.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    rows = found.results
    if len(rows) > MOST_ROWS:
        return None  # The contract counts it, and says so.
    table = _table(rows)
    if not are_moments(table[0]):
        return None
    envelope = envelope_of(msgspec.structs.asdict(found))
    return [row.T for row in rows], Aggs(envelope, bars_of(table), np.arange(len(rows), dtype=np.int64))


def _table(rows: Sequence[_QuickRow]) -> Any:
    wide = len(FIELDS) + 1
    values = chain.from_iterable(map(msgspec.structs.astuple, rows))
    numbers = compress(values, cycle((False, *[True] * wide)))  # without `T`
    return np.fromiter(numbers, dtype=np.float64, count=wide * len(rows)).reshape(-1, wide).T


def _by_contract(reply: HttpReply) -> tuple[Sequence[str], Aggs]:
    """Decodes by pydantic: each row that breaks the contract becomes a reject with its reason. Raises Unavailable."""
    try:
        body: dict[str, Any] = {**_GROUPED.validate_json(reply.body)}
    except ValidationError:
        raise not_json(reply, who=WHO) from None
    found: list[object] = body.get("results") or []
    check_rows(len(found), most_rows=MOST_ROWS, who=WHO)
    rows: dict[int, _QuickRow] = {}
    for number, row in enumerate(found):
        try:
            quick = msgspec.convert(row, _QuickRow)
        except (msgspec.MsgspecError, RecursionError):
            continue
        if abs(quick.t) <= LATEST_MS and quick.t.is_integer():
            rows[number] = quick
    # A tenth of the time where most rows are clean: the contract looks at the others alone.
    others = [(number, row) for number, row in enumerate(found) if number not in rows]
    good, numbers, rejects = rows_by_contract(others, _ROW, symbol="")
    rows |= {number: _QuickRow(**row) for number, row in zip(numbers, good, strict=True)}
    ordered = [rows[number] for number in sorted(rows)]
    null = "results" in body and body["results"] is None
    bars, places = bars_of(_table(ordered)), np.array(sorted(rows), dtype=np.int64)
    return [row.T for row in ordered], Aggs(envelope_of(body), bars, places, rejects, null=null)
