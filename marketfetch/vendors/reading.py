"""Turns a response into a Page: the vendor decodes it, then `read` checks it as a whole. This is the last border.

Every fault of a response ends in the error tree. Every text that it brings is redacted, printable and bounded from here on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from types import MappingProxyType

from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import vendor
from marketfetch.vendors.errors import FetchError, PlanError, TooManyRejects, Unavailable
from marketfetch.vendors.harmless import harmless_error, harmless_page
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.reply_parsing import http_date, looks_like_html
from marketfetch.vendors.reply_size import check_rows, check_size


def read(
    request: Request,
    reply: HttpReply,
    options: VendorOptions,
    *,
    max_reject_share: float,
    secrets: Sequence[str] = (),
    now: datetime | None = None,
) -> Page:
    """Decodes and validates a response, and refuses it if too many rows failed their checks.

    `max_reject_share` is 0..1; a share above it raises TooManyRejects, whose `page` holds the rows and rejects. `secrets` are
    in no text of what is returned or raised. `now` (with its zone) stands for the reply's Date where it has none. Otherwise
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
        _judge(page, request, reply, max_reject_share=max_reject_share)
        return page
    # Raised outside the except blocks: `__context__` would hold an exception with the vendor's words.
    failure.__cause__ = failure.__context__ = None
    raise failure


def _read(request: Request, reply: HttpReply, options: VendorOptions) -> Page:
    known = vendor(request.provider)
    # An error's body is bounded by the transport, and its meaning is in its status.
    if reply.status == 200 and not looks_like_html(reply):
        check_size(reply, most_rows=known.most_rows, who=known.title)
    page = known.read_reply(request, reply, options)
    check_rows(page.reply_rows + page.bad_rows, most_rows=known.most_rows, who=known.title)
    return page


def _dated(reply: HttpReply, now: datetime | None) -> HttpReply:
    """The reply with a Date: vendors know no clock, and count a Retry-After that is a date from here."""
    if now is None or "retry-after" not in reply.headers or http_date(reply.headers.get("date", "")) is not None:
        return reply
    return replace(reply, headers=MappingProxyType({**reply.headers, "date": format_datetime(now)}))


def _judge(page: Page, request: Request, reply: HttpReply, *, max_reject_share: float) -> None:
    if page.reject_share <= max_reject_share:
        return
    bad = page.bad_rows
    reasons = sorted(page.reject_counts.items(), key=lambda one: -one[1])[:3]
    listed = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    raise TooManyRejects(
        f"{request.provider} {request.symbol}: {bad} of {bad + page.reply_rows} rows failed their checks, more than the "
        f"allowed {max_reject_share:.0%}: {listed}. Look at the rejects; if the rows are right, correct the column mapping "
        f"or the setting max_reject_share.",
        page=page,
        status=reply.status,
    )
