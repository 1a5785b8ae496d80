"""How each vendor speaks. `vendor(name)` finds one; `read` is the one way from a reply to a Page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, cast

from providers import alpha_vantage, nasdaq, polygon
from providers.errors import TooManyRejects, Unavailable
from providers.http import HttpReply
from providers.vendor import Vendor, VendorOptions
from schemas.page import Page
from schemas.requests import Request

VENDORS: Final[Mapping[str, Vendor]] = MappingProxyType(
    {module.NAME: cast("Vendor", module) for module in (alpha_vantage, polygon, nasdaq)}
)


class UnknownVendor(KeyError):
    """No vendor has this name; the message says which exist."""

    def __str__(self) -> str:
        return str(self.args[0])


def vendor(name: str) -> Vendor:
    """The vendor called `name`. Raises UnknownVendor with a did-you-mean."""
    found = VENDORS.get(name)
    if found is None:
        close = get_close_matches(name.lower().replace("-", "_"), VENDORS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UnknownVendor(f"there is no vendor {name!r}: {hint}The vendors are {', '.join(VENDORS)}.")
    return found


def read(request: Request, reply: HttpReply, options: VendorOptions, *, max_reject_share: float) -> Page:
    """Reads and validates a reply, and judges whether so many rows failed that the reply can't be trusted.

    `max_reject_share` is 0..1; a share above it raises TooManyRejects, whose `page` holds the rows and rejects. Otherwise
    raises the error tree of `providers/errors.py`.
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
