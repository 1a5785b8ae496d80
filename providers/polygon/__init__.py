"""Polygon.io, since 2025-10 Massive: aggregates by range, paged by `next_url`. https://massive.com/docs/rest"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor

from .calendars import finality
from .calls import build_request
from .datasets import DATASETS, MOST_ROWS
from .market_days import market_ways
from .options import PolygonOptions
from .published_plans import PLANS
from .symbol_forms import SYMBOL_FORMS, zone
from .wishes import check_wish, plan, usual_adjustment

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page


def read_reply(request: Request, reply: HttpReply, options: PolygonOptions) -> Page:
    """Calls `replies.read_reply`. The import waits for the first reply: planning and calling need no numpy and no msgspec."""
    from . import replies

    return replies.read_reply(request, reply, options)


VENDOR: Final = Vendor(
    name="polygon",
    title="Polygon (Massive)",
    documentation="https://massive.com/docs/rest",
    options=PolygonOptions,
    plans=PLANS,
    datasets=DATASETS,
    symbol_forms=SYMBOL_FORMS,
    zone=zone,
    plan=plan,
    check_wish=check_wish,
    usual_adjustment=usual_adjustment,
    build_request=build_request,
    read_reply=read_reply,
    finality=finality,
    market_ways=market_ways,
    most_rows=MOST_ROWS,
    pages_in_order=True,
    key_variables=("MASSIVE_API_KEY", "POLYGON_API_KEY"),
)
