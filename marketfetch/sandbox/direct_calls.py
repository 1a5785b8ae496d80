"""The vendors as a function: the reply to a call without HTTP and without a server, for tests in one process."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import date
from typing import Final

from marketfetch.sandbox import broken, nasdaq_wire
from marketfetch.sandbox.damage import KINDS as DAMAGES
from marketfetch.sandbox.damage import damage
from marketfetch.sandbox.faults import Fault, Faults
from marketfetch.sandbox.market import Market
from marketfetch.sandbox.reply import Query, Reply
from marketfetch.sandbox.service import Service, call_of
from marketfetch.sandbox.state import State

#: Faults of the connection, and what a client says of each.
ON_THE_WIRE: Final = {
    "hang": "the vendor did not reply in time",
    "reset": "the connection broke",
    "truncate": "the reply ended in the middle",
}


class Broken(Exception):
    """The call brought no reply: a fault of the connection."""


def new_state(*, seed: int, today: date) -> State:
    """Three vendors without limits, faults or delays."""
    draw = random.Random(f"faults {seed}")  # noqa: S311 (repeatable on purpose)
    return State(service=Service(Market(seed, today)), faults=Faults(draw), draw=draw)


def add_fault(state: State, **wish: object) -> Fault:
    """Adds a fault to the pending ones. Raises ValueError for a wrong one, and for one that needs a real connection."""
    fault = Fault.parse(wish)
    if broken.on_connection(fault) and fault.kind not in ON_THE_WIRE:
        raise ValueError(f"a fault of the kind {fault.kind} needs a real connection: use `marketfetch up --sandbox`")
    state.faults.waiting.append(fault)
    return fault


def reply_to(state: State, path: str, query: Query, headers: Mapping[str, str]) -> Reply:
    """The vendor's reply. Raises Broken."""
    call = call_of(path, query, headers)
    log = state.service.log_of(call)
    log.arrive(time.monotonic(), time.time(), call.symbol)
    status = "broken"
    try:
        reply = state.service.answer(call)
        # A refused call gets no fault, as it would use one up.
        fault = state.faults.strike(call.vendor, call.symbol, call.key) if reply.good else None
        if fault and fault.kind in ON_THE_WIRE:
            raise Broken(ON_THE_WIRE[fault.kind])
        if fault and fault.kind == "bad_rows":
            reply, rows = damage(call.vendor, reply, count=len(DAMAGES))
            state.damaged += [{"provider": call.vendor, "symbol": call.symbol, **row} for row in rows]
        elif fault:
            reply = broken.REPLIES[fault.kind](call, fault, reply)
        status = fault.kind if fault else reply.outcome
    finally:
        log.leave(status, None)
    more = nasdaq_wire.quota_headers(log) if call.vendor == "nasdaq" else ()
    return Reply(reply.status, reply.body, reply.content_type, (*reply.headers, *more), reply.symbol)
