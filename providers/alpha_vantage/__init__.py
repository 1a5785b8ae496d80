"""Alpha Vantage: one endpoint, `function=` selects, without ranges and pages. https://www.alphavantage.co/documentation/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Vendor

from .calendars import finality
from .calls import build_request
from .datasets import DATASETS, MOST_ROWS
from .options import AlphaVantageOptions
from .published_plans import PLANS
from .symbol_forms import SYMBOL_FORMS, zone
from .wishes import brings, check_wish, plan, usual_adjustment

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page


def read_reply(request: Request, reply: HttpReply, options: AlphaVantageOptions) -> Page:
    """Calls `replies.read_reply`. The import waits for the first reply, because planning and calling need no numpy."""
    from . import replies

    return replies.read_reply(request, reply, options)


VENDOR: Final = Vendor(
    name="alpha_vantage",
    title="Alpha Vantage",
    documentation="https://www.alphavantage.co/documentation/",
    options=AlphaVantageOptions,
    plans=PLANS,
    datasets=DATASETS,
    symbol_forms=SYMBOL_FORMS,
    zone=zone,
    plan=plan,
    check_wish=check_wish,
    usual_adjustment=usual_adjustment,
    build_request=build_request,
    read_reply=read_reply,
    brings=brings,
    finality=finality,
    most_rows=MOST_ROWS,
    key_variables=("ALPHAVANTAGE_API_KEY", "ALPHA_VANTAGE_API_KEY"),
)
