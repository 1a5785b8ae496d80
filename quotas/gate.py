"""Gate: the life of requests between plan and ledger, in Redis. Each method is one script, one round trip.

The scripts under `lua/` are the specification; this class gives them names and types. It holds no state of its own, so any
process on any machine may make one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from typing import Any, Final, Literal

from redis import Redis
from redis.commands.core import Script

from quotas.limits import KeyLimits
from quotas.values import Admission, Counts, Grant, KeyPast, Parking, Start

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
        keys: Sequence[KeyLimits],
        epoch: str = "",
        clock_us: int = 0,
        ahead_ms: int = 0,
        start_by_ms: int = 10_000,
        held_again_ms: int = 30_000,
        most_held: int = 500,
    ) -> Admission:
        """Takes back what has expired, then grants up to `room` requests in lane order, each with a key that may serve it.

        `epoch` and `clock_us` say what the caller knows of the gate's past and time; "" and 0 skip the check. A grant may be
        up to `ahead_ms` ahead of its slot: `start` says how long to wait.
        """
        now = datetime.now(UTC)
        state, wait_us, *grants = self._admit(
            keys=self._keys("ready", "delayed", "granted", "running", "held", "tags", "epoch"),
            args=[
                *(self.prefix, room, most_granted, start_by_ms, held_again_ms, most_held, ahead_ms * 1000),
                *(epoch, clock_us, json.dumps([key.as_argument(now) for key in keys])),
            ],
        )
        wait_ms = None if wait_us < 0 else wait_us / 1000
        return Admission(grants=tuple(_grant(one) for one in grants), wait_ms=wait_ms, state=state.decode())

    def start(self, request_id: str, *, fence: int, end_by_ms: int = 25_000) -> Start:
        """Asked just before the call is sent; "go" is said once per fence."""
        verdict, label, attempts, calls, reason, wait_us = self._start(
            keys=self._keys("granted", "running"), args=[self.prefix, request_id, fence, end_by_ms]
        )
        return Start(verdict.decode(), label.decode(), attempts, calls, reason.decode(), wait_us)

    def finish(
        self,
        request_id: str,
        *,
        fence: int,
        batch: bytes,
        next_page: Parking | None = None,
        replied_ago_us: int = 0,
        held_again_ms: int = 30_000,
    ) -> bool:
        """The reply is here: keeps its batch until it is stored, parks the next page. False if the lease was lost.

        `replied_ago_us`: how long ago the whole reply had arrived, by this machine's monotonic clock.
        """
        page = (next_page.id, next_page.arguments) if next_page else ("", "")
        done = self._finish(
            keys=self._keys("running", "held", "ready"),
            args=[self.prefix, request_id, fence, batch, held_again_ms, *page, replied_ago_us],
        )
        self.wake()
        return bool(done)

    def give_back(
        self,
        request_id: str,
        *,
        fence: int,
        pause_ms: int = 0,
        why: str = "",
        then: Literal["", "grow", "aside"] = "",
        unsent: bool = False,
    ) -> bool:
        """The vendor refused, or nothing was sent: the request returns to its old place, no attempt spent.

        Its key is paused for `pause_ms`, doubled with each refusal in a row for `then` "grow"; "aside" sets the key aside
        until `resume_key`. `unsent`: the call was never made, so nothing is counted for it.
        """
        done = self._give_back(
            keys=self._keys("running", "granted", "ready"),
            args=[self.prefix, request_id, fence, pause_ms, why, then, "unsent" if unsent else ""],
        )
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
            ready, delayed, granted, running, held = pipe.execute()
        return Counts(parked=ready + delayed, granted=granted, running=running, held=held)

    def epoch(self) -> str:
        """The epoch in force, "" where there is none: this Redis has no past that it could tell of."""
        found = self.redis.get(f"{self.prefix}epoch")
        return found.decode() if isinstance(found, bytes) else ""

    def restore(self, *, old: str, new: str, pasts: Sequence[KeyPast], give_up_ms: int) -> str:
        """Counts every window of keys with a past full as of now, and begins an epoch; answers with the one in force."""
        told = [{"label": one.label, "stamps": one.stamps, "days": one.days} for one in pasts]
        found = self._restore(
            keys=self._keys("epoch", "granted", "running", "held"), args=[self.prefix, old, new, json.dumps(told), give_up_ms]
        )
        return str(found.decode())

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
        lua = files("quotas") / "lua"
        text = [(lua / f"{part}.lua").read_text(encoding="utf-8") for part in ("call", name)]
        return self.redis.register_script("\n".join(text))

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
    def _restore(self) -> Script:
        return self._script("restore")

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
