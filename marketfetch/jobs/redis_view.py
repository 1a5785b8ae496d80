"""What Redis knows of jobs at this moment: keys, lane, what moves, workers. One round trip for any number of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marketfetch import connections
from marketfetch.configured import keys
from marketfetch.ops import alerts, dead_letters
from marketfetch.ops.workers import ask as ask_workers
from marketfetch.ops.workers import heartbeats, live, unserved
from marketfetch.quotas import KeyLimits, reporting
from marketfetch.quotas.estimates import Timetable
from marketfetch.quotas.values import KeyReport
from marketfetch.redis_keys import named


@dataclass(frozen=True, slots=True)
class PoolView:
    """The pool of the vendor `name`. `moving`: the ids of requests that are granted, running or held. `lane`: how many are
    parked, by (priority, job), and `lanes` has the lane of each job that has an owner's. `unstarted`: how many are granted
    again and again, and no worker starts them. `limits` are those of the keys, in their order."""

    name: str
    keys: tuple[KeyReport, ...]
    moving: frozenset[str]
    lane: dict[tuple[int, str], int]
    unstarted: int
    timetable: Timetable
    limits: tuple[KeyLimits, ...] = ()
    lanes: Mapping[str, str] = field(default_factory=dict)

    def of_lane(self, name: str) -> PoolView:
        """What concerns the requests of one lane: the keys that serve it, and what is parked in it."""
        serve = [(limits, key) for limits, key in zip(self.limits, self.keys, strict=True) if name in limits.lanes]
        if len(serve) == len(self.keys) and not self.lanes:
            return self
        limits, reports = tuple(one for one, _ in serve), tuple(one for _, one in serve)
        lane = {turn: many for turn, many in self.lane.items() if self.lanes.get(turn[1], "") == name}
        return replace(self, keys=reports, lane=lane, timetable=Timetable(limits, reports), limits=limits)


@dataclass(frozen=True, slots=True)
class RedisView:
    """`alive`: the vendors of each worker that releases, see `heartbeats`. `alerts`: the sentences that concern these jobs.
    `dead`: how many messages no worker could run."""

    pools: dict[str, PoolView] = field(default_factory=dict)
    alive: tuple[tuple[str, ...], ...] = ()
    alerts: tuple[str, ...] = ()
    dead: int = 0

    def serves(self, provider: str) -> bool:
        """Whether a worker consumes the vendor's queue."""
        return not unserved(provider, self.alive)


def look(providers: Sequence[str], job_ids: Sequence[str]) -> RedisView:
    """Returns what concerns these vendors and jobs. Reads a few counters and the ids of what moves, never what is parked.

    Raises RedisError.
    """
    redis = connections.redis()
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        ask_workers(redis, pipe)
        pipe.mget(alerts.names(redis, providers, job_ids))
        pipe.xlen(named(redis, dead_letters.KEY))
        readers = {one: _ask(pipe, one) for one in providers}
        replies = pipe.execute()
    now_us = reporting.microseconds(replies[0])
    alive = live(replies[1], now_us)
    if any(unserved(one, alive) for one in providers):
        alive = heartbeats(redis)  # a worker of the release before may consume it
    return RedisView(
        pools={one: read(replies, now_us) for one, read in readers.items()},
        alive=tuple(alive),
        alerts=tuple(one.decode() for one in replies[2] if one),
        dead=int(replies[3]),
    )


def _ask(pipe: Any, provider: str) -> Any:
    prefix, first = connections.gate(provider).prefix, len(pipe)
    for name in ("granted", "running", "held"):
        pipe.zrange(f"{prefix}{name}", 0, -1)
    pipe.hgetall(f"{prefix}tags")
    pipe.zcount(f"{prefix}unstarted", reporting.AGAIN_AND_AGAIN, "+inf")
    limits = keys(provider)
    of_keys = [reporting.ask(pipe, prefix, key) for key in limits]

    def read(replies: Sequence[Any], now_us: int) -> PoolView:
        *moving, tags, unstarted = replies[first : first + 5]
        reports = tuple(one(replies, now_us) for one in of_keys)
        return PoolView(
            name=provider,
            keys=reports,
            moving=frozenset(one.decode() for some in moving for one in some),
            lane=_lane(tags),
            unstarted=int(unstarted),
            timetable=Timetable(limits, reports),
            limits=limits,
            lanes=_lanes_of_jobs(tags),
        )

    return read


def _lane(tags: dict[bytes, bytes]) -> dict[tuple[int, str], int]:
    """From the hash `tags`, whose fields `N:<priority>:<job>` count: see call.lua."""
    lane = {}
    for name, number in tags.items():
        kind, _, turn = name.decode(errors="replace").partition(":")
        priority, _, job = turn.partition(":")
        if kind == "N":
            lane[int(priority), job] = int(number)
    return lane


def _lanes_of_jobs(tags: dict[bytes, bytes]) -> dict[str, str]:
    """From the fields `O:<priority>:<job>` of the same hash."""
    turns = ((name.decode(errors="replace").split(":", 2), lane.decode()) for name, lane in tags.items())
    return {turn[2]: lane for turn, lane in turns if turn[0] == "O" and len(turn) == 3}
