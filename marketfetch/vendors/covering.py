"""What a reply covers: the days of its request that had begun by the call, and how many of them were final then."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from marketfetch.schemas.coverage import EVERY_SYMBOL, Covered
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.dataset_names import dataset_named, records_of
from marketfetch.vendors.finality import Finality, first_open_day
from marketfetch.vendors.protocol import Options, Vendor
from marketfetch.vendors.times import local_date, period_start
from marketfetch.vendors.trading_days import zone_of_days

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page  # imports numpy, which a process that only plans does not need

_A_DAY = timedelta(days=1)


def symbols_of(request: Request) -> tuple[str, ...]:
    """Returns the symbols of a request: a vendor may serve many in one call."""
    return tuple(request.symbol.split(","))


def last_final_day(finality: Finality, timespan: Timespan, at_ms: int) -> date:
    """Returns the last date whose bar can't change after `at_ms`; a week's or month's bar is final as a whole."""
    return period_start(first_open_day(finality, at_ms), timespan) - _A_DAY


def today(finality: Finality, at_ms: int) -> date:
    """Returns the date at `at_ms` where the days of this calendar begin."""
    return local_date(at_ms, zone_of_days(finality.calendar, zone=finality.zone))


def covered_by(
    request: Request, vendor: Vendor[Options], options: Options, *, called_at_ms: int, page: Page | None = None
) -> tuple[Covered, ...]:
    """Returns what a reply to `request` covers if the call was made at `called_at_ms`.

    One interval for each of its symbols, and for each adjustment of the bars that the reply has. Nothing for a saved reply
    without a range, and for days that lie in the future.

    `page`: what was read of the reply. Days that count as fetched are never asked for again, and so bars of another adjustment
    than it has are not covered, no bars of a whole market cover nothing, and of a list with rejected rows no day is final:
    which day a row is of that is missing can't be said.
    """
    if request.start is None or request.end is None or not called_at_ms:
        return ()
    came = _adjustments_in(page) if page else set()
    if page and not came and not page.next and not request.page and _is_of_a_market(request, vendor):
        return ()
    finality = vendor.finality_of(request, options)
    last = min(request.end, today(finality, called_at_ms))
    if last < request.start:
        return ()
    final_to = min(last, last_final_day(finality, request.timespan, called_at_ms))
    is_final = final_to >= request.start and not (page and page.rejected and records_of(request, page) is not None)
    return tuple(
        Covered(
            request.provider, request.dataset, symbol, request.timespan, adjustment,
            request.start, last, final_to if is_final else None, called_at_ms,
        )
        for symbol in symbols_of(request)
        for adjustment in dict.fromkeys((request.adjustment, *vendor.brings(request, options)))
        if not came or adjustment in came
    )  # fmt: skip


def _adjustments_in(page: Page) -> set[str]:
    """The adjustments of the bars of a page, also of those that were rejected; none where it has no bars."""
    found: set[str] = {one.adjustment for one in page.counts if one.symbol}
    if isinstance(page.series, CrossSection):
        return found | {page.series.adjustment} if len(page.series) else found
    return found | {one.adjustment for one in page.series}


def _is_of_a_market(request: Request, vendor: Vendor[Options]) -> bool:
    dataset = dataset_named(vendor, request.dataset)
    return request.symbol == EVERY_SYMBOL and dataset is not None and dataset.has_bars
