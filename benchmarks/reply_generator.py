"""Generates Polygon replies as bytes, with their requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from marketfetch.providers.polygon import VENDOR, read_reply
from marketfetch.providers.polygon.options import PolygonOptions

from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.request import Request
from marketfetch.vendors.covering import covered_by
from marketfetch.vendors.http import HttpReply

_FIRST = date(2015, 1, 1)
_CALLED_AT_MS = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its reply."""

    request: Request
    reply: HttpReply


def make(number: int, bars: int) -> Asked:
    """A reply of `bars` minute bars of a series of its own, as Polygon spells them."""
    rng = np.random.default_rng(number)
    start_ms = int(datetime(_FIRST.year, _FIRST.month, _FIRST.day, 12, tzinfo=UTC).timestamp() * 1000)
    opened = np.round(100 + rng.standard_normal(bars).cumsum() * 0.01 + 50, 4)
    closed = np.round(opened + rng.standard_normal(bars) * 0.05, 4)
    high = np.round(np.maximum(opened, closed) + 0.02, 4)
    low = np.round(np.minimum(opened, closed) - 0.02, 4)
    volume, trades = rng.integers(100, 1_000_000, bars), rng.integers(1, 5_000, bars)
    columns = (volume, np.round((high + low) / 2, 4), opened, closed, high, low, start_ms + np.arange(bars) * 60_000, trades)
    names = ("v", "vw", "o", "c", "h", "l", "t", "n")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*(column.tolist() for column in columns), strict=True)]
    symbol = f"X:B{number}"
    body = {"ticker": symbol, "queryCount": bars, "resultsCount": bars, "adjusted": True, "results": rows, "status": "OK"}
    last = _FIRST + timedelta(minutes=bars + 1_440)
    request = Request(
        provider="polygon", dataset="bars", symbol=symbol, timespan="1m", adjustment="split", start=_FIRST, end=last
    )
    return Asked(request, HttpReply(200, {"content-type": "application/json"}, json.dumps(body).encode()))


def read(asked: Asked, *, called_at_ms: int) -> Batch:
    """Reads a reply as a worker does before it stores it. `called_at_ms` also makes the request a new one."""
    page = read_reply(asked.request, asked.reply, PolygonOptions())
    row = LedgerRow(
        f"{asked.request.root}-{called_at_ms}", asked.request.root, 0, "polygon", asked.request.symbol, "stored",
        rows=page.rows, rejects=len(page.rejects), key_label="bench", calls=1, called_at_ms=called_at_ms,
    )  # fmt: skip
    # As a worker does, at a call after the range: it is part of what storing costs.
    covered = covered_by(asked.request, VENDOR, PolygonOptions(), called_at_ms=called_at_ms + _CALLED_AT_MS)
    return Batch(row, page.series, page.rejects, covered)
