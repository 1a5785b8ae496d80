"""Gate: the life of requests between plan and ledger, in Redis. Each method is one script, one round trip.

The scripts under `lua/` are the specification; this class gives them names and types. It holds no state of its own, so any
process on any machine may make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

from redis import Redis
from redis.commands.core import Script

from quotas.values import Admission, Counts, Grant, Parking, Start

#: Every sleeper listens here; the message is the pool's name.
WAKE_CHANNEL: Final = "mf:wake"

_PARK_AT_ONCE: Final = 500


class Gate:
    """The gate of one pool (the keys of one vendor that may serve the same requests). Raises redis.RedisError when away."""

    def __init__(self, redis: Redis, *, pool: str) -> None:
        self.redis = redis
        self.pool = pool
        self.prefix = f"mf:{{{pool}}}:"

    def park(
        self, requests: Sequence[Parking], *, job: str, priority: int = 5, not_before_ms: int = 0, wake: bool = True
    ) -> int:
        """Gives each request its place in the lane, in this order; answers how many were new.

        `not_before_ms` is Unix time. All or nothing per 500; parking the rest again is harmless.
        """
        new = 0
        for first in range(0, len(requests), _PARK_AT_ONCE):
            triples = [part for one in requests[first : first + _PARK_AT_ONCE] for part in _triple(one)]
            new += int(
                self._park(
                    keys=self._keys("ready", "delayed", "tags"),
                    args=[self.prefix, job, priority, not_before_ms, *triples],
                )
            )
        if wake and new:
            self.wake()
        return new

    def admit(
        self,
        *,
        room: int,
        most_granted: int,
        labels: Sequence[str],
        concurrency: int | None = None,
        start_by_ms: int = 10_000,
        held_again_ms: int = 30_000,
        most_held: int = 500,
    ) -> Admission:
        """Takes back what has expired, then grants up to `room` requests in lane order, each with a key's label."""
        keys = self._keys("ready", "delayed", "granted", "running", "held", "tags", "pool")
        wait_ms, *grants = self._admit(
            keys=keys,
            args=[self.prefix, room, most_granted, concurrency or 0, start_by_ms, held_again_ms, most_held, *labels],
        )
        return Admission(grants=tuple(_grant(one) for one in grants), wait_ms=None if wait_ms < 0 else int(wait_ms))

    def start(self, request_id: str, *, fence: int, end_by_ms: int = 25_000) -> Start:
        """Asked just before the call is sent; "go" is said once per fence."""
        verdict, label, attempts, calls, reason = self._start(
            keys=self._keys("granted", "running"), args=[self.prefix, request_id, fence, end_by_ms]
        )
        return Start(verdict=verdict.decode(), key_label=label.decode(), attempts=attempts, calls=calls, reason=reason.decode())

    def finish(
        self,
        request_id: str,
        *,
        fence: int,
        batch: bytes,
        next_page: Parking | None = None,
        held_again_ms: int = 30_000,
    ) -> bool:
        """The reply is here: keeps its batch until it is stored, parks the next page. False if the lease was lost."""
        page = (next_page.id, next_page.arguments) if next_page else ("", "")
        done = self._finish(
            keys=self._keys("running", "held", "ready", "tags"),
            args=[self.prefix, request_id, fence, batch, held_again_ms, *page],
        )
        self.wake()
        return bool(done)

    def give_back(self, request_id: str, *, fence: int, pause_ms: int = 0, why: str = "") -> bool:
        """The vendor refused, or nothing was sent: the request returns to its old place, no attempt spent."""
        keys = self._keys("running", "granted", "ready", "pool")
        done = self._give_back(keys=keys, args=[self.prefix, request_id, fence, pause_ms, why])
        self.wake()
        return bool(done)

    def delay(self, request_id: str, *, fence: int, delay_ms: int) -> bool:
        """A transient error: the request may run again after `delay_ms`, one attempt spent."""
        keys = self._keys("running", "delayed")
        done = self._delay(keys=keys, args=[self.prefix, request_id, fence, delay_ms])
        self.wake()
        return bool(done)

    def postpone(self, request_id: str, *, delay_ms: int) -> bool:
        """The database is away: the held batch is offered again after `delay_ms`."""
        return bool(self._postpone(keys=self._keys("held"), args=[request_id, delay_ms]))

    def settle(self, request_id: str) -> bool:
        """The ledger has it: record and batch are deleted. False if that had happened before."""
        done = bool(self._settle(keys=self._keys("held"), args=[self.prefix, request_id]))
        self.wake()
        return done

    def withdraw(self, request_id: str) -> str | None:
        """Nobody wants it any more: takes it out of the lane. Its message; None if it is not parked or granted."""
        done, message = self._withdraw(keys=self._keys("ready", "delayed", "granted"), args=[self.prefix, request_id])
        return str(message.decode()) if done else None

    def batch(self, request_id: str) -> bytes | None:
        """The batch of a held request, None when it has none (or is gone)."""
        found = self.redis.get(f"{self.prefix}batch:{request_id}")
        return found if isinstance(found, bytes) else None

    def arguments(self, request_id: str) -> str | None:
        """The arguments a request was parked with, None when it is gone."""
        found = self.redis.hget(f"{self.prefix}req:{request_id}", "q")
        return found.decode() if isinstance(found, bytes) else None

    def counts(self) -> Counts:
        """Where this pool's requests are, at one moment."""
        with self.redis.pipeline() as pipe:
            for name in ("ready", "delayed", "granted", "running", "held"):
                pipe.zcard(f"{self.prefix}{name}")
            pipe.hmget(f"{self.prefix}pool", ["until", "why"])
            pipe.time()
            ready, delayed, granted, running, held, (until, why), (seconds, micros) = pipe.execute()
        paused_ms = max(0, int(until or 0) - (seconds * 1000 + micros // 1000))
        return Counts(
            parked=ready + delayed,
            granted=granted,
            running=running,
            held=held,
            paused_ms=paused_ms,
            paused_why=why.decode() if why and paused_ms else "",
        )

    def moving(self) -> set[str]:
        """The ids that are granted, running or held: few, whatever is parked."""
        with self.redis.pipeline() as pipe:
            for name in ("granted", "running", "held"):
                pipe.zrange(f"{self.prefix}{name}", 0, -1)
            return {one.decode() for some in pipe.execute() for one in some}

    def wake(self) -> None:
        """Whoever sleeps until this gate's next opening looks again."""
        self.redis.publish(WAKE_CHANNEL, self.pool)

    def _keys(self, *names: str) -> list[str]:
        return [f"{self.prefix}{name}" for name in names]

    def _script(self, name: str) -> Script:
        return self.redis.register_script((files("quotas") / "lua" / f"{name}.lua").read_text(encoding="utf-8"))

    @cached_property
    def _park(self) -> Script:
        return self._script("park")

    @cached_property
    def _admit(self) -> Script:
        return self._script("admit")

    @cached_property
    def _start(self) -> Script:
        return self._script("start")

    @cached_property
    def _finish(self) -> Script:
        return self._script("finish")

    @cached_property
    def _give_back(self) -> Script:
        return self._script("give_back")

    @cached_property
    def _delay(self) -> Script:
        return self._script("delay")

    @cached_property
    def _postpone(self) -> Script:
        return self._script("postpone")

    @cached_property
    def _withdraw(self) -> Script:
        return self._script("withdraw")

    @cached_property
    def _settle(self) -> Script:
        return self._script("settle")


def _triple(one: Parking) -> tuple[str, str, str]:
    return one.id, one.arguments, one.message


def _grant(one: list[Any]) -> Grant:
    request_id, fence, label, attempts, arguments, message = one
    return Grant(
        id=request_id.decode(),
        fence=fence,
        key_label=label.decode(),
        attempts=attempts,
        arguments=arguments.decode(),
        message=message.decode(),
    )
