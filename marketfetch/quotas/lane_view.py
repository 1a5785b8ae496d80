"""What stands in a pool's lane, in order. Reads only, and never more of the lane than the caller asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from marketfetch.quotas.gate import Gate
from marketfetch.quotas.lanes import lane_of_id

#: The prefix of a waiter that is a user's task; other waiters are jobs. call.lua has the record's fields.
TASK: Final = "task:"
#: The states in which a request has made no call yet.
_WAITS: Final = (b"parked", b"granted")
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class ParkedRequest:
    """A request that has made no call yet. `state`: "parked" or "granted".

    `arguments` is the JSON of a planned request; of a task that could not be planned, the words of its arguments. `message` is
    that of a user's task that has a record of its own, else "". `position` counts from 1 in the order of the lane; it is 0 for
    a granted request, and while `not_before_ms` (Unix ms) has not come. `fence` grows with every grant.
    """

    id: str
    arguments: str
    owner: str
    priority: int
    fence: int
    message: str = ""
    position: int = 0
    not_before_ms: int = 0
    state: str = "parked"


def first(gate: Gate, most: int) -> list[ParkedRequest]:
    """The first `most` requests in order, then the first `most` that wait for their not-before. Costs three round trips.

    The lanes of owners have an order of their own each: the first of every lane come before the second ones.
    """
    ready_sets = gate.ready_sets()
    with gate.redis.pipeline(transaction=False) as pipe:
        for ready in ready_sets:
            pipe.zrange(ready, 0, most - 1)
        pipe.zrange(f"{gate.prefix}delayed", 0, most - 1, withscores=True)
        *lanes, delayed = pipe.execute()
    places = [(one.decode(), position, 0) for ready in lanes for position, one in enumerate(ready, 1)]
    places = sorted(places, key=itemgetter(1))[:most]
    places += [(one.decode(), 0, int(at)) for one, at in delayed]
    with gate.redis.pipeline(transaction=False) as pipe:
        for one, _, _ in places:
            pipe.hmget(f"{gate.prefix}req:{one}", _fields(one))
        records = pipe.execute()
    found = zip(places, records, strict=True)
    return [_parked(one, record, position, at) for (one, position, at), record in found if record[0] is not None]


def find(gate: Gate, request_id: str) -> ParkedRequest | None:
    """One request by its id; None where it is unknown, or has made its call. Costs a round trip."""
    with gate.redis.pipeline(transaction=False) as pipe:
        pipe.hmget(f"{gate.prefix}req:{request_id}", _fields(request_id))
        pipe.zrank(_ready(gate, lane_of_id(request_id)), request_id)
        pipe.zscore(f"{gate.prefix}delayed", request_id)
        record, rank, at = pipe.execute()
    if record[0] not in _WAITS:
        return None
    return _parked(request_id, record, 0 if rank is None else rank + 1, int(at or 0))


def lengths(gate: Gate, lanes: Sequence[str]) -> dict[str, int]:
    """How many requests of each of these lanes are parked and may run; "" is the lane without an owner. Costs a round trip."""
    with gate.redis.pipeline(transaction=False) as pipe:
        for one in lanes:
            pipe.zcard(_ready(gate, one))
        return dict(zip(lanes, pipe.execute(), strict=True))


def states(gate: Gate, request_ids: Sequence[str]) -> list[str]:
    """The state of each of these requests, "" where it is gone. Costs a round trip."""
    with gate.redis.pipeline(transaction=False) as pipe:
        for one in request_ids:
            pipe.hget(f"{gate.prefix}req:{one}", "s")
        return [(state or b"").decode() for state in pipe.execute()]


def _ready(gate: Gate, lane: str) -> str:
    return f"{gate.prefix}ready:{lane}" if lane else f"{gate.prefix}ready"


def _fields(request_id: str) -> list[str]:
    """Only a task's own record has a message that says more than the arguments."""
    return ["s", "q", "o", "j", "p", "f", *(["m"] if request_id.startswith(TASK) else [])]


def _parked(request_id: str, record: list[Any], position: int, not_before_ms: int) -> ParkedRequest:
    state, arguments, owner, job, priority, fence, *message = record
    return ParkedRequest(
        id=request_id,
        arguments=(arguments or b"").decode(errors="replace"),
        owner=(owner or job or b"").decode(errors="replace"),
        priority=int(priority or 0),
        fence=int(fence or 0),
        message=(message[0] or b"").decode(errors="replace") if message else "",
        position=position,
        not_before_ms=not_before_ms,
        state=state.decode(),
    )


def waiters(gate: Gate, most: int) -> dict[str, list[str]]:
    """The waiters of requests that have made no call yet, of the first `most` in each state: waiter -> its request ids.

    Costs three round trips.
    """
    names = [*gate.ready_sets(), *(f"{gate.prefix}{part}" for part in ("delayed", "newer", "granted"))]
    with gate.redis.pipeline(transaction=False) as pipe:
        for part in names:
            pipe.zrange(part, 0, most - 1)
        ids = [one.decode() for part in pipe.execute() for one in part]
    with gate.redis.pipeline(transaction=False) as pipe:
        for one in ids:
            pipe.hmget(f"{gate.prefix}req:{one}", ["o", "j"])
            pipe.hkeys(f"{gate.prefix}req:{one}")
        records = pipe.execute()
    found: dict[str, list[str]] = {}
    for one, (owner, job), names in zip(ids, records[::2], records[1::2], strict=True):
        everyone = [owner or job or b"", *(name[1:] for name in names if name.startswith(b"+"))]
        for who in everyone:
            found.setdefault(who.decode(), []).append(one)
    return found


def waiting_tasks(gate: Gate) -> list[tuple[str, str]]:
    """The users' tasks whose request has made no call yet, as (task id, request id). Costs two round trips per 500 tasks."""
    tasks = [
        (task.decode(), request.decode()) for task, request in gate.redis.hscan_iter(f"{gate.prefix}tasks", count=_AT_ONCE)
    ]
    found: list[tuple[str, str]] = []
    for begin in range(0, len(tasks), _AT_ONCE):
        some = tasks[begin : begin + _AT_ONCE]
        with gate.redis.pipeline(transaction=False) as pipe:
            for _, request in some:
                pipe.hget(f"{gate.prefix}req:{request}", "s")
            states = pipe.execute()
        found += [pair for pair, state in zip(some, states, strict=True) if state in _WAITS]
    return found
