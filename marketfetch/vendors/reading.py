"""Turns a response into a Page: the vendor decodes it, then `read` checks it as a whole. This is the last border.

Every fault of a response ends in the error tree. Every text that it brings is redacted, printable and bounded from here on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Final

from marketfetch.schemas.page import Page, SeriesCount
from marketfetch.schemas.record_kinds import NO_RECORDS
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.dataset_names import dataset_named
from marketfetch.vendors.errors import FetchError, PlanError, TooManyRejects, Unavailable
from marketfetch.vendors.harmless import harmless_error, harmless_page
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.reply_parsing import as_utf8, http_date, looks_like_html
from marketfetch.vendors.reply_size import check_rows, check_size

#: From how many rows of a series on the share of its bad rows says something. The setting is `reject_share_min_rows`.
FEWEST_JUDGED: Final = 20


def read(
    request: Request,
    reply: HttpReply,
    options: VendorOptions,
    *,
    max_reject_share: float,
    fewest_judged: int = FEWEST_JUDGED,
    secrets: Sequence[str] = (),
    now: datetime | None = None,
) -> Page:
    """Decodes and validates a response, and refuses a series of it if too many of its rows failed their checks.

    `max_reject_share` is 0..1. A series of at least `fewest_judged` rows with a share above it raises TooManyRejects, and so
    does a response without a good row; its `page` holds the other series and all rejects. `secrets` are in no text of what is
    returned or raised. `now` (with its zone) stands for the reply's Date where it has none. Otherwise
    raises the error tree of `marketfetch/vendors/errors.py`, whatever the vendor's reader raises, and PlanError.
    """
    failure: FetchError
    try:
        page = harmless_page(_read(request, _dated(reply, now), options), request, secrets)
    except PlanError:
        raise
    except FetchError as error:
        failure = harmless_error(error, request, secrets)
    except Exception as error:
        unread = Unavailable(
            f"{request.provider}: the response could not be read ({type(error).__name__})", status=reply.status
        )
        unread.unread = True
        failure = unread
    else:
        _judge(page, request, reply, max_reject_share=max_reject_share, fewest_judged=fewest_judged)
        return page
    # Raised outside the except blocks: `__context__` would hold an exception with the vendor's words.
    failure.__cause__ = failure.__context__ = None
    raise failure


def _read(request: Request, reply: HttpReply, options: VendorOptions) -> Page:
    known = vendor(request.provider)
    dataset = dataset_named(known, request.dataset)
    most_rows = (dataset.most_rows if dataset else None) or known.most_rows
    if dataset and dataset.from_files and reply.status == 200:
        # Bytes and not text: the vendor's reader bounds what they unpack to.
        page = known.read_reply(request, reply, options)
        check_rows(page.reply_rows + page.bad_rows, most_rows=most_rows, who=known.title)
        return page
    # An error's body is bounded by the transport, and its meaning is in its status.
    if reply.status == 200 and not looks_like_html(reply):
        check_size(reply, most_rows=most_rows, who=known.title)
    page = known.read_reply(request, as_utf8(reply), options)
    check_rows(page.reply_rows + page.bad_rows, most_rows=most_rows, who=known.title)
    return page


def _dated(reply: HttpReply, now: datetime | None) -> HttpReply:
    """The reply with a Date: vendors know no clock, and count a Retry-After and the age of a bar from it."""
    if now is None or http_date(reply.headers.get("date", "")) is not None:
        return reply
    return replace(reply, headers=MappingProxyType({**reply.headers, "date": format_datetime(now)}))


def _judge(page: Page, request: Request, reply: HttpReply, *, max_reject_share: float, fewest_judged: int) -> None:
    """Raises TooManyRejects where the response, or one of its series, is not trustworthy.

    One bad row of three proves nothing about the other two, so a share counts from `fewest_judged` rows on.
    """
    if not page.bad_rows:
        return

    def refused(good: int, bad: int, *, fewest: int = fewest_judged) -> bool:
        return good + bad >= fewest and bad > max_reject_share * (good + bad)

    bad, good = page.bad_rows, page.reply_rows
    series = [one for one in page.counts if one.symbol and refused(one.good, one.bad)]
    # A page with series is judged by each of them, and by the rows that belong to none; any other page as a whole.
    strays = next((one.bad for one in page.counts if not one.symbol), 0) if page.counts else bad
    everything = refused(good, strays, fewest=fewest_judged if good else 1) or (not good and refused(good, bad, fewest=1))
    if not everything and not series:
        return
    names = {(one.symbol, one.adjustment) for one in series}
    left = () if everything else tuple(one for one in page.series if (one.symbol, one.adjustment) not in names)
    reasons = sorted(page.reject_counts.items(), key=lambda one: -one[1])[:3]
    listed = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    kept = replace(page, series=left, records=NO_RECORDS if everything else page.records, next=None)
    others = "The other series are kept. " if left else ""
    raise TooManyRejects(
        f"{request.provider} {request.symbol}: {_said(bad, good, series, everything=everything)} failed their checks, more "
        f"than the allowed {max_reject_share:.0%}: {listed}. {others}Look at the rejects; if the rows are right, raise the "
        f"setting max_reject_share, or correct the table's mapping where the settings have one.",
        page=kept,
        status=reply.status,
    )


def _said(bad: int, good: int, series: Sequence[SeriesCount], *, everything: bool) -> str:
    if everything:
        return f"{bad} of {bad + good} rows"
    return " and ".join(f"{one.bad} of {one.bad + one.good} rows of {one.symbol} {one.adjustment}" for one in series[:3])
