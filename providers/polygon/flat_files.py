"""Reads a part of a file of the whole stock market: its bars of a day, or of minutes.

https://massive.com/docs/flat-files/stocks/overview
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from marketfetch.schemas.bars import Ints
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.cross_section_checks import check_cross_section, is_symbol
from marketfetch.schemas.market_minutes import Market, check_minutes
from marketfetch.schemas.page import Page
from marketfetch.schemas.price_rules import kind_by
from marketfetch.schemas.rejects import Rejects
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import check_whole
from marketfetch.vendors.times import NEW_YORK, day_start_ms, local_date

from .errors import WHO
from .flat_file_columns import FIELDS, START, Columns, columns_of
from .flat_file_errors import check_file_status
from .flat_file_parts import MOST_TEXT, TICKER, part_bytes_of, part_of, parts_before, place_of
from .flat_file_twins import EarlierRows, suspects
from .options import PolygonOptions

_NAMES: Final = MappingProxyType({"ts": START, **{ours: theirs for theirs, ours in FIELDS.items()}})
#: The most text of a file of daily bars, which has a row a symbol.
_MOST_TEXT_OF_DAYS: Final = 64 << 20
#: Trading, and with it the session that a moment means, ends at 20:00.
_LATEST_MS: Final = 20 * 3_600_000


def read_flat_file(request: Request, reply: HttpReply, options: PolygonOptions) -> Page:
    """Reads the part at the request's cursor. Raises what the service says, Unavailable for a damaged file, and BadRequest."""
    check_file_status(request, reply)
    check_whole(reply, who=WHO)
    most = MOST_TEXT if request.timespan == "1m" or request.start is None else _MOST_TEXT_OF_DAYS
    part_bytes = part_bytes_of(options.page_limit)
    place = place_of(request.cursor)
    part = part_of(reply.body, place, part_bytes=part_bytes, most_text=most)
    found = columns_of(part)
    if not part.row and not len(found.bars) and not found.rejects:
        # A session has bars. As an empty reply it would be covered, and never asked for again.
        raise Unavailable(f"{WHO}'s file of {request.start} has a header and no rows", status=reply.status)
    day = request.start or _day_of(found.bars.ts)
    start_ms, end_ms = (day_start_ms(one, NEW_YORK) for one in (day, day + timedelta(days=1)))
    is_of_days = request.timespan == "1d" if request.start else not (found.bars.ts - start_ms).any()
    check = partial(_of_days, start_ms=start_ms) if is_of_days else partial(_of_minutes, start_ms=start_ms, end_ms=end_ms)
    if is_of_days:
        found = _at_midnight(found, start_ms)
    symbols = suspects(found.names, place.last)
    if symbols:
        earlier = EarlierRows(found, symbols)
        for one in parts_before(reply.body, place, part_bytes=part_bytes, most_text=most):
            rows = columns_of(one).before(place.row)
            earlier.compare(check(_at_midnight(rows, start_ms) if is_of_days else rows).series)
        found = earlier.others()
    last = max(place.last, *filter(is_symbol, found.names), "")
    return replace(check(found), next=replace(part.next, last=last).cursor if part.next else None)


def _at_midnight(found: Columns, start_ms: int) -> Columns:
    """The rows of days, each at the start of its session."""
    ts = found.bars.ts
    starts = np.where((ts >= start_ms) & (ts <= start_ms + _LATEST_MS), start_ms, ts)
    return replace(found, bars=replace(found.bars, ts=starts))


def _day_of(ts: Ints) -> date:
    """The day of a saved file, which names none: that of its row in the middle."""
    return local_date(int(np.sort(ts)[len(ts) // 2]), NEW_YORK) if len(ts) else date(1970, 1, 1)


def _of_days(found: Columns, *, start_ms: int) -> Page:
    checked = check_cross_section(
        [found.names[code] for code in found.codes.tolist()],
        found.bars,
        numbers=found.numbers,
        start_ms=start_ms,
        kind=kind_by("raw"),
        symbol_field=TICKER,
    )
    section = CrossSection("polygon", checked.symbols, "1d", "raw", checked.bars, NEW_YORK)
    rejects = Rejects.together(found.rejects, checked.rejects).renamed(_NAMES)
    return Page(series=section, rejects=rejects, quirks=checked.quirks)


def _of_minutes(found: Columns, *, start_ms: int, end_ms: int) -> Page:
    market = Market("polygon", found.names, "raw", start_ms, end_ms, NEW_YORK)
    checked = check_minutes(market, found.codes, found.bars, numbers=found.numbers, symbol_field=TICKER)
    rejects = Rejects.together(found.rejects, checked.rejects).renamed(_NAMES)
    return Page(series=checked.series, rejects=rejects, quirks=checked.quirks)
