"""Gate: the life of requests between plan and ledger, in Redis. Each method is one script, one round trip.

The scripts under `lua/` are the specification; this class gives them names and types. It holds no state of its own, so any
process on any machine may make one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from importlib.resources import files
from typing import Any, Final, Literal

from redis import Redis
from redis.commands.core import Script

from quotas import failpoints
from quotas.limits import KeyLimits, pool_argument
from quotas.values import Admission, Counts, Events, Grant, KeyPast, Parking, Start, VendorCount, Withdrawn

#: Every sleeper listens here; the message is the pool's name. The scripts (call.lua) know it too.
WAKE_CHANNEL: Final = "mf:wake"

_PARK_AT_ONCE: Final = 500
_ADMIT_AT_ONCE: Final = 1000


class Gate:
    """The gate of one pool (the keys of one vendor that may serve the same requests). Raises redis.RedisError when away."""

    def __init__(self, redis: Redis, *, pool: str) -> None:
        self.redis = redis
        self.pool = pool
        self.prefix = f"mf:{{{pool}}}:"

    def park(
        self, requests: Sequence[Parking], *, job: str, priority: int = 5, not_before_ms: int = 0, wake: bool = True
    ) -> int:
        """Gives each request its place in the lane, in this order; answers how many were new. A known one gains a waiter.

        `not_before_ms` is Unix time. All or nothing per 500; parking the rest again is harmless.
        """
        new = 0
        for first in range(0, len(requests), _PARK_AT_ONCE):
            parts = [part for one in requests[first : first + _PARK_AT_ONCE] for part in _parts(one)]
            new += int(
                self._park(
                    keys=self._keys("ready", "delayed", "tags", "tasks", "counts"),
                    args=[self.prefix, job, priority, not_before_ms, *parts],
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
        busy_from: int = 1 << 30,
        start_by_ms: int = 10_000,
        held_again_ms: int = 30_000,
        most_held: int = 500,
        most_held_bytes: int = 256 << 20,
    ) -> Admission:
        """Takes back what has expired, then grants up to `room` requests in lane order, each with a key that may serve it.

        `epoch` and `clock_us` say what the caller knows of the gate's past and time; "" and 0 skip the check. A grant may be
        up to `ahead_ms` ahead of its slot, a third of it while `busy_from` calls are open: `start` says how long to wait.
        """
        state, wait_us, *grants = self._admit(
            keys=self._keys("ready", "delayed", "granted", "running", "held", "tags", "epoch", "counts"),
            args=[
                *(self.prefix, min(room, _ADMIT_AT_ONCE), most_granted, start_by_ms, held_again_ms, most_held),
                *(ahead_ms * 1000, epoch, clock_us, pool_argument(tuple(keys), int(time.time()) // 60)),
                *(most_held_bytes, busy_from),
            ],
        )
        wait_ms = None if wait_us < 0 else wait_us / 1000
        return Admission(grants=tuple(_grant(one) for one in grants), wait_ms=wait_ms, state=state.decode())

    def start(self, request_id: str, *, fence: int, end_by_ms: int = 25_000, child: str = "") -> Start:
        """Asked just before the call is sent; "go" is said once per fence, and again to the same `child` that asks again."""
        verdict, label, attempts, calls, reason, wait_us = self._start(
            keys=self._keys("granted", "running", "counts"),
            args=[self.prefix, request_id, fence, end_by_ms, child],
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
        sent_ago_us: int | None = None,
        unsent: bool = False,
        counted: VendorCount | None = None,
        held_again_ms: int = 30_000,
    ) -> bool:
        """The reply is here: keeps its batch until it is stored, parks the next page. False if the lease was lost.

        `replied_ago_us`, `sent_ago_us`: how long ago the whole reply had arrived, and the call was written to the wire, by
        this machine's monotonic clock. `unsent`: it never was, so nothing is counted for it. `counted`: what the
        vendor says of the key's use; it can only lower what is left.
        """
        page = (next_page.id, next_page.arguments) if next_page else ("", "")
        sent = "unsent" if unsent else "" if sent_ago_us is None else sent_ago_us
        done = self._finish(
            keys=self._keys("running", "held", "ready", "counts"),
            args=[self.prefix, request_id, fence, batch, held_again_ms, *page, replied_ago_us, *_said(counted), sent],
        )
        return bool(done)

    def give_back(
        self,
        request_id: str,
        *,
        fence: int,
        key_label: str,
        pause_ms: int = 0,
        why: str = "",
        then: Literal["", "grow", "aside"] = "",
        unsent: bool = False,
    ) -> bool:
        """The vendor refused, or nothing was sent: the request returns to its old place, no attempt spent.

        Its key is paused for `pause_ms`, doubled with each refusal in a row for `then` "grow"; "aside" sets the key aside
        until `resume`. `unsent`: the call was never made, so nothing is counted for it.
        """
        done = self._give_back(
            keys=self._keys("running", "granted", "ready", "counts"),
            args=[self.prefix, request_id, fence, pause_ms, why, then, "unsent" if unsent else "", key_label],
        )
        return bool(done)

    def take_back(self, grants: Sequence[Grant]) -> int:
        """Those of these that nobody has started return to their place, with their share of the limits; how many.

        For a releaser that ends: otherwise they would wait for their start-by.
        """
        if not grants:
            return 0
        pairs = [part for one in grants for part in (one.id, one.fence)]
        return int(self._take_back(keys=self._keys("granted", "ready"), args=[self.prefix, *pairs]))

    def delay(self, request_id: str, *, fence: int, delay_ms: int, unsent: bool = False) -> bool:
        """A transient error: the request may run again after `delay_ms`, one attempt spent.

        `unsent`: the vendor has not seen the call, so nothing is counted for it.
        """
        keys = self._keys("running", "delayed")
        done = self._delay(keys=keys, args=[self.prefix, request_id, fence, delay_ms, "unsent" if unsent else ""])
        return bool(done)

    def postpone(self, request_id: str, *, delay_ms: int, most_ms: int) -> int:
        """The database is away: the held batch is offered again after `delay_ms`, doubled each time up to `most_ms`.

        Nothing is admitted until a batch is stored again. Answers with the delay in ms, 0 when the request is not held.
        """
        return int(self._postpone(keys=self._keys("held", "counts"), args=[self.prefix, request_id, delay_ms, most_ms]))

    def pause(self, label: str, *, pause_ms: int, why: str) -> bool:
        """No call with this key for `pause_ms`; what runs goes on. False if a longer pause stands."""
        return bool(self._pause(keys=self._keys("counts"), args=[self.prefix, label, pause_ms, why]))

    def resume(self, label: str) -> None:
        """Ends a pause, and takes back a key that was set aside."""
        self.redis.hdel(f"{self.prefix}key:{label}", "until", "why", "aside", "strikes", "struck")
        self.wake()

    def settle(self, request_id: str, *, answer: str = "") -> bool:
        """The ledger has it: record and batch are deleted, whoever waits for it is answered. False if that had happened before.

        `answer` is JSON that says how it ended.
        """
        told = int(
            self._settle(
                keys=self._keys("ready", "delayed", "granted", "running", "held", "tasks", "counts"),
                args=[self.prefix, request_id, answer],
            )
        )
        return told >= 0

    def withdraw(self, request_ids: Sequence[str], *, who: str) -> list[Withdrawn]:
        """A job, or a user's task ("task:<task id>"), no longer wants these; what becomes of each.

        A task that was withdrawn is to be settled under that name once it has been marked as revoked.
        """
        found: list[Withdrawn] = []
        for first in range(0, len(request_ids), _PARK_AT_ONCE):
            some = self._withdraw(
                keys=self._keys("ready", "delayed", "granted"),
                args=[self.prefix, who, *request_ids[first : first + _PARK_AT_ONCE]],
            )
            found += [Withdrawn(what.decode(), message.decode()) for what, message in some]
        return found

    def knows(self, request_ids: Sequence[str]) -> bool:
        """True when every one of these is somewhere in this gate."""
        for first in range(0, len(request_ids), _ADMIT_AT_ONCE):
            some = [f"{self.prefix}req:{one}" for one in request_ids[first : first + _ADMIT_AT_ONCE]]
            if self.redis.exists(*some) < len(some):
                return False
        return True

    def in_lane(self, job: str, *, priority: int = 5) -> int:
        """How many requests of a job stand in the lane at this moment."""
        return int(self.redis.hget(f"{self.prefix}tags", f"N:{priority}:{job}") or 0)

    def request_of(self, task_id: str) -> str | None:
        """The request that a user's task waits for, None when it waits for none here."""
        found = self.redis.hget(f"{self.prefix}tasks", task_id)
        return found.decode() if isinstance(found, bytes) else None

    def batch(self, request_id: str) -> bytes | None:
        """The batch of a held request, None when it has none (or is gone)."""
        found = self.redis.get(f"{self.prefix}batch:{request_id}")
        return found if isinstance(found, bytes) else None

    def crowd(self, request_id: str, *, above: int, most: int) -> dict[str, bytes]:
        """Batches that wait beside this one, by request id, when more than `above` do: storing them together is cheaper."""
        with self.redis.pipeline() as pipe:
            pipe.zcard(f"{self.prefix}held")
            pipe.zrange(f"{self.prefix}held", 0, most)
            waiting, ids = pipe.execute()
        others = [one.decode() for one in ids if one.decode() != request_id][:most]
        if waiting <= above or not others:
            return {}
        found = self.redis.mget([f"{self.prefix}batch:{one}" for one in others])
        return {one: data for one, data in zip(others, found, strict=True) if isinstance(data, bytes)}

    def held(self) -> list[str]:
        """The ids of what is held, whoever is due first in front: batches that wait to be stored, and notes to tasks."""
        found = self.redis.zrange(f"{self.prefix}held", 0, -1)
        return [one.decode() for one in found if isinstance(one, bytes)]

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

    def events(self) -> Events:
        """What this gate has done since it was new."""
        found = self.redis.hmget(f"{self.prefix}counts", ["parked", "admitted", "paused", "refused", "expired"])
        return Events(*(int(one or 0) for one in found))

    def epoch(self) -> str:
        """The epoch in force, "" where there is none: this Redis has no past that it could tell of."""
        found = self.redis.get(f"{self.prefix}epoch")
        return found.decode() if isinstance(found, bytes) else ""

    def restore(
        self, *, old: str, new: str, pasts: Sequence[KeyPast], late_ms: int, step_ms: int = 0, kept: bool = False
    ) -> str:
        """Counts every window of keys with a past full, and begins an epoch; answers with the one in force.

        `step_ms`: by how much Redis's clock has stepped; what is remembered moves with it. `late_ms`: a call that this gate
        does not know of may reach its vendor until so long from now. `kept`: Redis came back with all but its last two
        seconds.
        """
        found = self._restore(
            keys=self._keys("epoch", "granted", "running", "held", "delayed"),
            args=[self.prefix, old, new, json.dumps([asdict(one) for one in pasts]), step_ms, late_ms, int(kept) or ""],
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
        if failpoints.armed:
            return failpoints.PassingScript(self.redis, "\n".join(text), name)
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
    def _take_back(self) -> Script:
        return self._script("take_back")

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
    def _pause(self) -> Script:
        return self._script("pause")

    @cached_property
    def _settle(self) -> Script:
        return self._script("settle")


def _parts(one: Parking) -> tuple[str, str, str, str, int]:
    return one.id, one.arguments, one.task, one.message, one.expires_ms


def _said(counted: VendorCount | None) -> tuple[int, int | str, int | str]:
    if counted is None:
        return 0, "", ""
    return (counted.calls, counted.counter, "") if counted.counter else (counted.calls, counted.window_us, int(counted.strict))


def _grant(one: list[Any]) -> Grant:
    request_id, fence, label, attempts, arguments, message, kind = one
    return Grant(
        id=request_id.decode(),
        fence=fence,
        key_label=label.decode(),
        attempts=attempts,
        arguments=arguments.decode(),
        message=message.decode(),
        kind=kind.decode(),
    )
