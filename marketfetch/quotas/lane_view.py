"""Who waits in a pool's lane. Reads only."""

from __future__ import annotations

from typing import Final

from marketfetch.quotas.gate import Gate

#: The prefix of a waiter that is a user's task; other waiters are jobs. call.lua has the record's fields.
TASK: Final = "task:"
#: The states in which a request has made no call yet.
_WAITS: Final = (b"parked", b"granted")
_AT_ONCE: Final = 500


def waiters(gate: Gate, most: int) -> dict[str, list[str]]:
    """The waiters of requests that have made no call yet, of the first `most` in each state: waiter -> its request ids.

    Costs two round trips.
    """
    with gate.redis.pipeline(transaction=False) as pipe:
        for part in ("ready", "delayed", "newer", "granted"):
            pipe.zrange(f"{gate.prefix}{part}", 0, most - 1)
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
