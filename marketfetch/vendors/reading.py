"""The one way from a reply to a Page: the vendor reads it, then the reply as a whole is judged."""

from __future__ import annotations

from collections import Counter

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import TooManyRejects, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions


def read(request: Request, reply: HttpReply, options: VendorOptions, *, max_reject_share: float) -> Page:
    """Reads and validates a reply, and judges whether so many rows failed that the reply can't be trusted.

    `max_reject_share` is 0..1; a share above it raises TooManyRejects, whose `page` holds the rows and rejects. Otherwise
    raises the error tree of `marketfetch/vendors/errors.py`.
    """
    page = vendor(request.provider).read_reply(request, reply, options)
    if page.next is not None and not (page.next.isascii() and page.next.isprintable()):
        # It goes into a URL, a message and a table: what is no text for one of them would stop the request for ever.
        raise Unavailable(f"{request.provider} names a next page for {request.symbol} that is no text: the reply is damaged")
    if page.reject_share <= max_reject_share:
        return page
    bad = len({reject.row for reject in page.rejects})
    reasons = Counter(f"{reject.field}: {reject.reason}" for reject in page.rejects).most_common(3)
    listed = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    raise TooManyRejects(
        f"{request.provider} {request.symbol}: {bad} of {bad + page.reply_rows} rows failed their checks, more than the "
        f"{max_reject_share:.0%} that are allowed: {listed}. Look at the rejects; if the rows are right, the mapping "
        f"or the setting max_reject_share is not.",
        page=page,
        status=reply.status,
    )
