"""Gate: the life of requests between plan and ledger, in Redis. Each method is one script, one round trip.

The scripts under `lua/` are the specification; this class gives them names and types. It holds no state of its own, so any
process on any machine may make one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Literal

from redis import Redis

from marketfetch.quotas.limits import KeyLimits, pool_argument
from marketfetch.quotas.scripts import Scripts
from marketfetch.quotas.values import Admission, Counts, Events, Grant, KeyPast, Parking, Start, Taken, VendorCount, Withdrawn

#: Every sleeper listens here; the message is the pool's name. The scripts (call.lua) know it too.
WAKE_CHANNEL: Final = "mf:wake"

_PARK_AT_ONCE: Final = 500
_ADMIT_AT_ONCE: Final = 1000
#: A store that hangs is no reason to fetch on. A batch is stored within a second, in a burst another one is; a worker's death
#: is made good before, if others store. As long as a grant may wait for its start, so that one round of them piles up at most.
_UNSTORED_MS: Final = 10_000
#: As settle.lua: longer than any look at the ledger takes, and the plan that follows it.
_OVER_FOR_S: Final = 60

#: A reply may have megabytes, and whoever looks at it does so within days.
_RAW_KEPT_MS: Final = 7 * 86_400_000
_MOST_RAW: Final = 20


class Gate:
    """The gate of one pool (the keys of one vendor that may serve the same requests). Raises redis.RedisError when away."""

    def __init__(self, redis: Redis, *, pool: str) -> None:
        self.redis = redis
        self._scripts = Scripts(redis)
        self.pool = pool
        self.prefix = f"mf:{{{pool}}}:"

    def park(
        self,
        requests: Sequence[Parking],
        *,
        job: str,
        priority: int = 5,
        not_before_ms: int = 0,
        looked_at_us: int = 0,
        wake: bool = True,
    ) -> int:
        """Gives each request its place in the lane, in this order; answers how many had none. A known one gains a waiter.

        `not_before_ms` is Unix time. `looked_at_us`: `now_us` before the caller looked at the ledger; what was over after it,
        and all of a job that was cancelled after it, is not parked. All or nothing per 500; parking again is harmless.
        """
        new = 0
        for first in range(0, len(requests), _PARK_AT_ONCE):
            parts = [part for one in requests[first : first + _PARK_AT_ONCE] for part in _parts(one)]
            new += int(
                self._scripts.park(
                    keys=self._keys(
                        *("ready", "delayed", "tags", "tasks", "counts", "over", "granted", "running", "held"),
                    ),
                    args=[self.prefix, job, priority, not_before_ms, looked_at_us, *parts],
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
        unstored_ms: int = _UNSTORED_MS,
    ) -> Admission:
        """Takes back what has expired, then grants up to `room` requests in lane order, each with a key that may serve it.

        `epoch` and `clock_us` say what the caller knows of the gate's past and time; "" and 0 skip the check. A grant may be
        up to `ahead_ms` ahead of its slot, a third of it while `busy_from` calls are open: `start` says how long to wait.
        Nothing is granted while batches wait and none was stored for `unstored_ms`.
        """
        state, wait_us, newer, *grants = self._scripts.admit(
            keys=self._keys("ready", "delayed", "granted", "running", "held", "tags", "epoch", "counts", "newer"),
            args=[
                *(self.prefix, min(room, _ADMIT_AT_ONCE), most_granted, start_by_ms, held_again_ms, most_held),
                *(ahead_ms * 1000, epoch, clock_us, pool_argument(tuple(keys), int(time.time()) // 60)),
                *(most_held_bytes, busy_from, unstored_ms),
            ],
        )
        wait_ms = None if wait_us < 0 else wait_us / 1000
        return Admission(tuple(_grant(one) for one in grants), wait_ms=wait_ms, state=state.decode(), newer=newer)

    def start(self, request_id: str, *, fence: int, end_by_ms: int = 25_000, child: str = "") -> Start:
        """Asked just before the call is sent; "go" is said once per fence, and again to the same `child` that asks again."""
        verdict, label, attempts, calls, reason, wait_us, kills = self._scripts.start(
            keys=self._keys("granted", "running", "counts"),
            args=[self.prefix, request_id, fence, end_by_ms, child],
        )
        return Start(verdict.decode(), label.decode(), attempts, calls, reason.decode(), wait_us, kills)

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
        failed: str = "",
    ) -> bool:
        """The reply is here: keeps its batch until it is stored, parks the next page. False if the lease was lost.

        `replied_ago_us`, `sent_ago_us`: how long ago the whole reply had arrived, and the call was written to the wire, by
        this machine's steady clock. `unsent`: it never was, so nothing is counted for it. `counted`: what the
        vendor says of the key's use; it can only lower what is left. `failed`: why, for a request that ends so.
        """
        page = (next_page.id, next_page.arguments) if next_page else ("", "")
        sent = "unsent" if unsent else "" if sent_ago_us is None else sent_ago_us
        done = self._scripts.finish(
            keys=self._keys("running", "held", "ready", "counts"),
            args=[self.prefix, request_id, fence, batch, held_again_ms, *page, replied_ago_us, *_said(counted), sent, failed],
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
        done = self._scripts.give_back(
            keys=self._keys("running", "granted", "ready", "counts"),
            args=[self.prefix, request_id, fence, pause_ms, why, then, "unsent" if unsent else "", key_label],
        )
        return bool(done)

    def rest_if_ill(self, request_id: str, *, fence: int, key_label: str, rest_ms: int, why: str, unsent: bool = False) -> bool:
        """The vendor gave no usable answer. When it does so three times in a row, to different requests, it counts as ill.

        Then the request returns to its old place, no attempt spent; its key rests for `rest_ms`, doubled each time in a row,
        and then makes one call at a time until there is an answer. False: the request is to spend an attempt, since the vendor
        is not ill, or since it was such a single call; that one takes its next turn behind all others.
        """
        done = self._scripts.give_back(
            keys=self._keys("running", "granted", "ready", "counts"),
            args=[self.prefix, request_id, fence, rest_ms, why, "ill", "unsent" if unsent else "", key_label],
        )
        return int(done) != 2

    def take_back(self, grants: Sequence[Grant]) -> int:
        """Those of these that nobody has started return to their place, with their share of the limits; how many.

        For a releaser that ends: otherwise they would wait for their start-by.
        """
        if not grants:
            return 0
        pairs = [part for one in grants for part in (one.id, one.fence)]
        return int(self._scripts.take_back(keys=self._keys("granted", "ready"), args=[self.prefix, *pairs]))

    def delay(self, request_id: str, *, fence: int, delay_ms: int, unsent: bool = False) -> bool:
        """A transient error: the request may run again after `delay_ms`, one attempt spent.

        `unsent`: the vendor has not seen the call, so nothing is counted for it.
        """
        keys = self._keys("running", "delayed")
        done = self._scripts.delay(keys=keys, args=[self.prefix, request_id, fence, delay_ms, "unsent" if unsent else ""])
        return bool(done)

    def postpone(self, request_id: str, *, delay_ms: int, most_ms: int) -> int:
        """The database is away: the held batch is offered again after `delay_ms`, doubled each time up to `most_ms`.

        Nothing is admitted until a batch is stored again. Answers with the delay in ms, 0 when the request is not held.
        """
        return int(self._scripts.postpone(keys=self._keys("held", "counts"), args=[self.prefix, request_id, delay_ms, most_ms]))

    def pause(self, label: str, *, pause_ms: int, why: str) -> bool:
        """No call with this key for `pause_ms`; what runs goes on. False if a longer pause stands."""
        return bool(self._scripts.pause(keys=self._keys("counts"), args=[self.prefix, label, pause_ms, why]))

    def resume(self, label: str) -> None:
        """Ends a pause, and takes back a key that was set aside."""
        self.redis.hdel(f"{self.prefix}key:{label}", "until", "why", "aside", "strikes", "struck", "ill", "illby")
        self.wake()

    def settle(self, request_id: str, *, answer: str = "") -> bool:
        """The ledger has it: record and batch are deleted, whoever waits for it is answered. False if that had happened before.

        `answer` is JSON that says how it ended.
        """
        told = int(
            self._scripts.settle(
                keys=self._keys("ready", "delayed", "granted", "running", "held", "newer", "tasks", "counts", "over"),
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
            some = self._scripts.withdraw(
                keys=self._keys("ready", "delayed", "granted", "newer"),
                args=[self.prefix, who, *request_ids[first : first + _PARK_AT_ONCE]],
            )
            found += [Withdrawn(what.decode(), message.decode()) for what, message in some]
        return found

    def shut_out(self, job: str) -> None:
        """This job is cancelled: who has looked at the ledger before this moment parks nothing more of it."""
        with self.redis.pipeline() as pipe:
            pipe.zadd(f"{self.prefix}over", {f"job:{job}": self.now_us()})
            pipe.expire(f"{self.prefix}over", _OVER_FOR_S)
            pipe.execute()

    def now_us(self) -> int:
        """This moment by the gate's clock."""
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000_000 + int(micros)

    def knows(self, request_ids: Sequence[str]) -> bool:
        """True when every one of these is in its place in this gate: in the lane, or with a deadline."""
        for first in range(0, len(request_ids), _ADMIT_AT_ONCE):
            some = request_ids[first : first + _ADMIT_AT_ONCE]
            if not self._scripts.knows(
                keys=self._keys("ready", "delayed", "granted", "running", "held"), args=[self.prefix, *some]
            ):
                return False
        return True

    def in_lane(self, job: str, *, priority: int = 5) -> int:
        """How many requests of a job stand in the lane at this moment."""
        return int(self.redis.hget(f"{self.prefix}tags", f"N:{priority}:{job}") or 0)

    def request_of(self, task_id: str) -> str | None:
        """The request that a user's task waits for, None when it waits for none here."""
        found = self.redis.hget(f"{self.prefix}tasks", task_id)
        return found.decode() if isinstance(found, bytes) else None

    def take(self, request_ids: Sequence[str], *, busy_ms: int, most_tried: int | None = None) -> list[Taken]:
        """The batches of held requests, for who stores them now: nobody else begins for `busy_ms`, then they are offered again.

        `most_tried`: only those that somebody has begun to store so often at most; for the others this is no try.
        """
        if not request_ids:
            return []
        args = [self.prefix, busy_ms, "" if most_tried is None else most_tried, *request_ids]
        return [Taken(data or None, tries) for data, tries in self._scripts.take(keys=self._keys("held"), args=args)]

    def put_back(self, request_ids: Sequence[str], *, again_ms: int = 0) -> int:
        """What was taken and not stored is offered again after `again_ms`, as if nobody had tried; how many."""
        if not request_ids:
            return 0
        return int(self._scripts.put_back(keys=self._keys("held"), args=[self.prefix, again_ms, *request_ids]))

    def keep_raw(self, request_id: str, data: bytes) -> None:
        """Keeps a reply as it came for a week, beside at most 19 others. `finish` forgets it."""
        self._scripts.keep_raw(keys=self._keys("raws"), args=[self.prefix, request_id, data, _RAW_KEPT_MS, _MOST_RAW])

    def raw(self, request_id: str) -> bytes | None:
        """The reply that was kept as it came, None when there is none."""
        found = self.redis.get(f"{self.prefix}raw:{request_id}")
        return found if isinstance(found, bytes) else None

    def batch(self, request_id: str) -> bytes | None:
        """The batch of a held request, None when it has none (or is gone)."""
        found = self.redis.get(f"{self.prefix}batch:{request_id}")
        return found if isinstance(found, bytes) else None

    def crowd(self, request_id: str, *, above: int, most: int, busy_ms: int) -> dict[str, bytes]:
        """Takes batches that wait beside this one, by request id, when more than `above` do: storing them together is cheaper.

        Only those that nobody has begun to store: what kills its worker is not to take a crowd along again and again.
        """
        with self.redis.pipeline() as pipe:
            pipe.zcard(f"{self.prefix}held")
            pipe.zrange(f"{self.prefix}held", 0, most)
            waiting, ids = pipe.execute()
        others = [one.decode() for one in ids if one.decode() != request_id][:most]
        if waiting <= above or not others:
            return {}
        found = self.take(others, busy_ms=busy_ms, most_tried=0)
        return {one: taken.data for one, taken in zip(others, found, strict=True) if taken.data is not None}

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
            for name in ("ready", "delayed", "newer", "granted", "running", "held"):
                pipe.zcard(f"{self.prefix}{name}")
            ready, delayed, newer, granted, running, held = pipe.execute()
        return Counts(parked=ready + delayed + newer, granted=granted, running=running, held=held)

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
        """Counts every window of keys with a past full, or as full as its marks say, and begins an epoch; answers with the one
        in force.

        `step_ms`: by how much Redis's clock has stepped; what is remembered moves with it. `late_ms`: a call that this gate
        does not know of may reach its vendor until so long from now. `kept`: Redis came back with all but its last two
        seconds.
        """
        found = self._scripts.restore(
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
