"""A gate whose clock the test moves, and all that stands in Redis of it, for comparison with the model."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from typing import Any

from redis import Redis

from marketfetch.quotas import Gate
from marketfetch.quotas.limits import Calendar
from marketfetch.quotas.scripts import Scripts

CLOCK = "test:clock"
_READS_TIME = "local time = redis.call('TIME')\n  return time[1] * 1000000 + time[2]"
#: A calendar day of the tests, in us: short, so that many midnights pass.
DAY = 60_000_000


_CALL = (files("marketfetch.quotas") / "lua" / "call.lua").read_text(encoding="utf-8")
#: The newest format that this release reads, and that of a request without an owner.
FORMAT = int(re.findall(r"local FORMAT = (\d+)\b", _CALL)[0])
PLAIN = int(re.findall(r"local PLAIN = (\d+)\b", _CALL)[0])


def of_a_newer_release(text: str, newest: int) -> str:
    """A script as a release has it that reads `newest`, and makes every record in it."""
    return text.replace(f"local FORMAT = {FORMAT} ", f"local FORMAT = {newest} ").replace(
        f"local PLAIN = {PLAIN} ", f"local PLAIN = {newest} "
    )


class SteppedScripts(Scripts):
    """The very scripts, but for the one function that reads the clock: it reads a key of the test.

    `newest`: the newest format that its release knows.
    """

    def __init__(self, redis: Redis, *, newest: int) -> None:
        super().__init__(redis)
        self.newest = newest

    def text(self, name: str) -> str:
        text = super().text(name)
        assert text.count(_READS_TIME) == 1, "call.lua reads the clock in another way: change the text that is replaced here"
        text = text.replace(_READS_TIME, f"return tonumber(redis.call('GET', '{CLOCK}'))")
        return of_a_newer_release(text, self.newest) if self.newest != FORMAT else text


class SteppedGate(Gate):
    """A gate with the scripts above, for which each pool has many keys if `many_keys` is 1."""

    def __init__(self, redis: Redis, *, pool: str, newest: int = FORMAT, many_keys: int = Gate.many_keys) -> None:
        super().__init__(redis, pool=pool)
        self.many_keys = many_keys
        self._scripts = SteppedScripts(redis, newest=newest)


@dataclass(frozen=True, slots=True)
class ShortDays(Calendar):
    """A calendar with a midnight every minute of the gate's clock. `around`: the number of the day that is today."""

    around: int = 0

    def periods(self, now: Any) -> list[tuple[str, int, int]]:
        days = range(self.around - 1, self.around + 3)
        return [(f"d{one}", one * DAY, other * DAY) for one, other in pairwise(days)]


@dataclass(slots=True)
class Snapshot:
    """All keys of a gate."""

    records: dict[str, dict[str, str]] = field(default_factory=dict)
    batches: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    open: dict[str, set[str]] = field(default_factory=dict)
    stamps: dict[str, list[int]] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    #: How often in a row a grant has expired unstarted, and how many deliveries have raised, by id.
    unstarted: dict[str, int] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)
    #: Who stores in turn.
    turn: str = ""
    without_end: list[str] = field(default_factory=list)


_READ = {"hash": "hgetall", "string": "get", "set": "smembers"}
_KIND = {"req": "hash", "key": "hash", "tags": "hash", "tasks": "hash", "counts": "hash", "batch": "string", "epoch": "string"}
_KIND |= {"day": "string", "open": "set", "raised": "string", "storing": "string"}


def snapshot(redis: Redis, prefix: str) -> Snapshot:
    """Reads everything; two round trips."""
    names = sorted(one.decode().removeprefix(prefix) for one in redis.scan_iter("mf:*", count=1000))
    pipe = redis.pipeline(transaction=False)
    for name in names:
        kind = _KIND.get(name.partition(":")[0])
        if kind:
            getattr(pipe, _READ[kind])(prefix + name)
        else:
            pipe.zrange(prefix + name, 0, -1, withscores=True)
        pipe.pttl(prefix + name)
    answers, found = pipe.execute(), Snapshot()
    for name, value, ttl in zip(names, answers[::2], answers[1::2], strict=True):
        head, _, rest = name.partition(":")
        if head in ("day", "done", "early", "unstarted", "raised", "storing", "closed") and ttl < 0:
            found.without_end.append(name)
        if head == "req":
            found.records[rest] = _text(value)
        elif head == "batch":
            found.batches[rest] = value
        elif head == "open":
            found.open[rest] = {one.decode() for one in value}
        elif head in ("done", "early"):
            found.stamps[name] = sorted(int(score) for _, score in value)
        elif head == "storing":
            found.turn = value.decode()
        elif head == "raised":
            found.raised[rest] = int(value)
        elif head == "unstarted":
            found.unstarted = {one.decode(): int(score) for one, score in value}
        elif head == "day":
            found.days[name] = int(value)
        elif head == "key":
            found.keys[rest] = _text(value)
        elif head == "tags":
            found.tags = {one: int(value) for one, value in _text(value).items()}
        elif head == "tasks":
            found.tasks = _text(value)
        elif head == "counts":
            found.counts = {one: int(value) for one, value in _text(value).items()}
        elif head not in ("epoch", "over", "closed"):
            assert head in ("ready", "delayed", "newer", "granted", "running", "held"), f"a key that nobody knows: {name}"
            found.places[head] = {one.decode(): int(score) for one, score in value}
    return found


def time_has_passed(redis: Redis, prefix: str, ms: int) -> None:
    """What has a TTL ages with the test's clock."""
    for name in redis.keys(f"{prefix}*"):
        ttl = redis.pttl(name)
        if 0 <= ttl <= ms:
            redis.delete(name)
        elif ttl > ms:
            redis.pexpire(name, ttl - ms)


def _text(found: dict[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in found.items()}
