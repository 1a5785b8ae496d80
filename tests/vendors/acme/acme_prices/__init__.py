"""Acme Prices: daily bars of stocks, one range of one symbol a call. https://acme.example/docs"""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketfetch.schemas.request import Request
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import Dataset, Plan, SymbolForm, Vendor

from .asking import build_request, plan
from .options import AcmeOptions

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page


def zone(request: Request, options: AcmeOptions) -> str:
    """Acme lists US stocks only."""
    return "America/New_York"


def finality(request: Request, options: AcmeOptions) -> Finality:
    """A bar is final so many minutes after its session has closed in New York, at 13:00 on a half day."""
    return Finality(calendar="XNYS", delay_minutes=options.final_after_minutes)


def read_reply(request: Request, reply: HttpReply, options: AcmeOptions) -> Page:
    """Loaded when the first reply is here: it needs numpy, and planning does not."""
    from . import replies

    return replies.read_reply(request, reply, options)


VENDOR = Vendor(
    name="acme",
    title="Acme Prices",
    documentation="https://acme.example/docs",
    options=AcmeOptions,
    plans={
        "free": Plan(("5/2seconds;strict",), source="https://acme.example/pricing", read_on="2026-11"),
        "paid": Plan(("50/second",), source="https://acme.example/pricing", read_on="2026-11"),
    },
    datasets=(Dataset("bars", "US stocks", timespans=("1d",), adjustments=("raw",)),),
    symbol_forms=(SymbolForm("stock", ("ANVIL", "ROCKET")),),
    zone=zone,
    plan=plan,
    build_request=build_request,
    read_reply=read_reply,
    finality=finality,
    key_variables=("ACME_API_KEY",),
)
