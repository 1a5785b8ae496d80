"""Nasdaq Data Link (ex-Quandl): datatables, paged by cursor, and older time-series datasets, which it is retiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor

from .calendars import finality
from .calls import build_request, rows_per_page
from .datasets import DATASETS, LONGEST_REPLY
from .options import NasdaqOptions
from .published_plans import PLANS
from .symbol_forms import SYMBOL_FORMS, zone
from .tables import describe
from .wishes import brings, check_wish, plan

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page


def read_reply(request: Request, reply: HttpReply, options: NasdaqOptions) -> Page:
    """Calls `replies.read_reply`. The import waits for the first reply, because planning and calling need no numpy."""
    from . import replies

    return replies.read_reply(request, reply, options)


VENDOR: Final = Vendor(
    name="nasdaq",
    title="Nasdaq Data Link",
    documentation="https://docs.data.nasdaq.com",
    options=NasdaqOptions,
    plans=PLANS,
    datasets=DATASETS,
    symbol_forms=SYMBOL_FORMS,
    zone=zone,
    finality=finality,
    plan=plan,
    check_wish=check_wish,
    build_request=build_request,
    read_reply=read_reply,
    brings=brings,
    describe=describe,
    rows_per_page=rows_per_page,
    most_rows=LONGEST_REPLY,
    key_variables=("NASDAQ_DATA_LINK_API_KEY",),
)
