"""Counters of events, summed in Redis: `mf:metrics` has the totals of every process on every machine.

A process adds to numbers of its own and writes them once a second, in one round trip, from a thread that lives as long as the
process. What a killed process has not written yet is lost: at most a second of counts, and no request. See decision 0053.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from marketfetch import connections, redis_errors
from marketfetch.exceptions import MarketfetchError
from marketfetch.lazy_logger import logger
from marketfetch.ops.measures import CALL_BUCKETS_S
from marketfetch.redis_keys import named

if TYPE_CHECKING:
    from redis import Redis

log = logger("marketfetch.counters")

KEY: Final = "mf:metrics"
_EVERY_S: Final = 1.0
#: Between two attempts while Redis is away, or full.
_AGAIN_S: Final = 15.0
#: In no label, as labels are printable.
_BETWEEN: Final = "\x1f"
#: The name of a histogram's sum, in microseconds.
SUM: Final = "sum_us"


class Counters:
    """The numbers of this process that Redis does not have yet."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Also in a forked child: its parent writes what it has counted itself."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._some = threading.Event()
        self._counts: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def add(self, *field: str, by: int = 1) -> None:
        """Adds to the counter `field`: its name and the values of its labels. Takes about a microsecond, and never fails."""
        if connections.is_replaced():
            return
        name = _BETWEEN.join(field)
        with self._lock:
            first = not self._counts
            self._counts[name] = self._counts.get(name, 0) + by
        if first:
            self._some.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_on, name="counters", daemon=True)
                self._thread.start()

    def write(self) -> bool:
        """Writes what is counted. False where Redis takes nothing: the numbers are kept for the next time."""
        with self._writing:
            with self._lock:
                counts, self._counts = self._counts, {}
            if not counts:
                return True
            try:
                redis = connections.redis()
                with redis.pipeline() as pipe:
                    for name, number in counts.items():
                        pipe.hincrby(named(redis, KEY), name, number)
                    pipe.execute()
            except (redis_errors.RedisError, OSError, MarketfetchError) as error:
                self._keep(counts)
                log.info("counters not written", error=str(error), next_step=f"again in {_AGAIN_S:g} s")
                return False
            except Exception:
                # The thread must outlive what no line here foresees: without it a process counts for ever and writes nothing.
                self._keep(counts)
                log.exception("counters not written", next_step=f"again in {_AGAIN_S:g} s")
                return False
            return True

    def _keep(self, counts: dict[str, int]) -> None:
        with self._lock:
            for name, number in counts.items():
                self._counts[name] = self._counts.get(name, 0) + number

    def write_within(self, seconds: float) -> None:
        """The same for a process that ends: it waits no longer for a Redis that is away."""
        writer = threading.Thread(target=self.write, name="last counters", daemon=True)
        writer.start()
        writer.join(seconds)

    def _write_on(self) -> None:
        pause = threading.Event()  # never set: waiting for it lets time pass
        while True:
            self._some.wait()
            self._some.clear()
            pause.wait(_EVERY_S)
            while not self.write():
                pause.wait(_AGAIN_S)


_own: Final = Counters()
os.register_at_fork(after_in_child=_own._begin)  # noqa: SLF001 (the module's own)
add = _own.add
write = _own.write
write_within = _own.write_within


def call(provider: str, key_label: str, outcome: str, *, took_ns: int = 0, reply_bytes: int = 0) -> None:
    """Counts one call; `took_ns` 0 where no reply has come."""
    add("calls", provider, key_label, outcome)
    if took_ns > 0:
        add("call_seconds", provider, str(bisect_left(CALL_BUCKETS_S, took_ns / 1e9)))
        add("call_seconds", provider, SUM, by=took_ns // 1_000)
    if reply_bytes:
        add("reply_bytes", provider, by=reply_bytes)


def stored(provider: str, outcome: str, *, rows: int, rejects: int) -> None:
    """Counts a request that is over."""
    add("stored_requests", provider, outcome)
    if rows:
        add("rows", provider, by=rows)
    if rejects:
        add("rejects", provider, by=rejects)


def totals(redis: Redis) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Each counter: its name, the values of its labels, its total. Raises RedisError."""
    found: dict[Any, Any] = redis.hgetall(named(redis, KEY))
    for field, number in sorted(found.items()):
        name, *labels = field.decode(errors="replace").split(_BETWEEN)
        yield name, tuple(labels), int(number)
