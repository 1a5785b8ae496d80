"""Turns a response into a Page: the vendor decodes it, then `read` checks the share of rejects."""

from __future__ import annotations

from collections import Counter

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import TooManyRejects, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions


def read(request: Request, reply: HttpReply, options: VendorOptions, *, max_reject_share: float) -> Page:
    """Decodes and validates a response, and refuses it if too many rows failed their checks.

    `max_reject_share` is 0..1; a share above it raises TooManyRejects, whose `page` holds the rows and rejects. Otherwise
    raises the error tree of `marketfetch/vendors/errors.py`.
    """
    page = vendor(request.provider).read_reply(request, reply, options)
    if page.next is not None and not (page.next.isascii() and page.next.isprintable()):
        # The cursor goes into a URL, a message and a table. A character that one of them refuses would block the request.
        raise Unavailable(f"{request.provider} returned a cursor for {request.symbol} that is no text: the response is corrupt")
    if page.reject_share <= max_reject_share:
        return page
    bad = len({reject.row for reject in page.rejects})
    reasons = Counter(f"{reject.field}: {reject.reason}" for reject in page.rejects).most_common(3)
    listed = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    raise TooManyRejects(
        f"{request.provider} {request.symbol}: {bad} of {bad + page.reply_rows} rows failed their checks, more than the "
        f"allowed {max_reject_share:.0%}: {listed}. Look at the rejects; if the rows are right, correct the column mapping "
        f"or the setting max_reject_share.",
        page=page,
        status=reply.status,
    )
