"""Gate: the life of requests between plan and ledger, in Redis. Each method is one script and one round trip.

The scripts under `lua/` are the specification; this class gives them names and types. Any process may create one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast

from marketfetch.quotas import owners_lanes
from marketfetch.quotas.key_state import KeyState
from marketfetch.quotas.limits import KeyLimits, pool_argument
from marketfetch.quotas.script_values import count_arguments, grant_of, page_arguments, parking_arguments
from marketfetch.quotas.values import (
    Admission,
    Call,
    Claim,
    Counts,
    Events,
    Grant,
    Kept,
    KeyHistory,
    Parking,
    Raised,
    Start,
    StoreTurn,
    VendorCount,
    Withdrawn,
)

if TYPE_CHECKING:
    from redis import Redis

_PARK_AT_ONCE: Final = 500
_ADMIT_AT_ONCE: Final = 1000
#: How many tasks with one id may wait at once: as in park.lua.
_MOST_OF_ONE_ID: Final = 16
#: Admission stops after this long without a stored batch: a store that hangs must not pile up batches, as children fetch on
#: while one of them stores. It is twice the longest turn to store; in normal operation some batch is stored within a second.
_UNSTORED_MS: Final = 4_000
#: Equals the expiry in settle.lua: longer than reading the ledger and planning after it take.
_OVER_FOR_S: Final = 60
#: A raw reply may have megabytes, and an operator looks at it within days.
_RAW_KEPT_MS: Final = 7 * 86_400_000
_MOST_RAW: Final = 20


class Gate(KeyState):
    """The gate of one pool (the keys of one vendor that may serve the same requests). Raises RedisError when Redis is away."""

    #: Fewer keys are looked at one by one at each admit, which costs less than to note which of them are closed.
    many_keys: int = 16

    def __init__(self, redis: Redis, *, pool: str) -> None:
        super().__init__(redis, pool=pool)

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
        """Appends requests to the lane in this order; returns how many were new. A known request gains a waiter.

        `not_before_ms` is Unix time. `looked_at_us`: `now_us` before the caller read the ledger; requests that ended after it,
        and jobs cancelled after it, are not parked. Atomic per 500 requests; parking again is harmless.
        """
        new = 0
        keys = self._keys("ready", "delayed", "tags", "tasks", "counts", "over", "granted", "running", "held")
        for first in range(0, len(requests), _PARK_AT_ONCE):
            parts = [part for one in requests[first : first + _PARK_AT_ONCE] for part in parking_arguments(one)]
            args = [self.prefix, job, priority, not_before_ms, looked_at_us, *parts]
            new += int(self._scripts.park(keys=keys, args=args))
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
        """Returns expired leases to the lane, then grants up to `room` requests in lane order, each with a key that is open.

        `epoch` and `clock_us` are the epoch and time that the caller expects; "" and 0 skip the check. A grant may be up to
        `ahead_ms` ahead of its slot, a third of it while `busy_from` calls are open: `start` returns how long to wait.
        Nothing is granted while batches wait and none was stored for `unstored_ms`. Each key grants requests of its lanes only.
        """
        lanes = owners_lanes.to_serve(self.redis, self.prefix, keys)
        state, wait_us, newer, *grants = self._scripts.admit(
            keys=self._keys("ready", "delayed", "granted", "running", "held", "tags", "epoch", "counts", "newer"),
            args=[
                *(self.prefix, min(room, _ADMIT_AT_ONCE), most_granted, start_by_ms, held_again_ms, most_held),
                *(ahead_ms * 1000, epoch, clock_us, pool_argument(tuple(keys), int(time.time()) // 60, lanes)),
                *(most_held_bytes, busy_from, unstored_ms, json.dumps(lanes), self.many_keys),
            ],
        )
        wait_ms = None if wait_us < 0 else wait_us / 1000
        return Admission(tuple(grant_of(one) for one in grants), wait_ms=wait_ms, state=state.decode(), newer=newer)

    def start(self, request_id: str, *, fence: int, end_by_ms: int = 25_000, child: str = "") -> Start:
        """Asks for permission just before the call is sent. "go" is returned once per fence, and again to the same `child`."""
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
        chain: bytes = b"",
        then: str = "",
        turn: StoreTurn | None = None,
    ) -> Kept:
        """Records a reply: keeps its batch until it is stored, parks the next page.

        `replied_ago_us`, `sent_ago_us`: the time since the whole reply had arrived and since the call was written to the wire,
        by this machine's steady clock. `unsent`: the call was never written, so it is not counted. `counted`: the vendor's own
        count of the key's calls; it can only lower what is left. `failed`: the reason, for a request that has failed. `chain`:
        what its pages have brought so far, for the reader of the next page; see `chain`. `then`: the arguments of one more call
        that this request needs before it is over: it has no batch yet, and returns to its old place with all its waiters.
        `turn`: the caller stores the batch if it gets the turn; then it goes on with `settle_together`.
        """
        sent = "unsent" if unsent else "" if sent_ago_us is None else sent_ago_us
        reply = (*page_arguments(next_page), replied_ago_us, *count_arguments(counted), sent, failed, chain, then)
        stores = (turn.name, turn.lasts_ms, "own" if turn.own else "") if turn else ("", 0, "")
        done = self._scripts.finish(
            keys=self._keys("running", "held", "ready", "counts"),
            args=[self.prefix, request_id, fence, batch, held_again_ms, *reply, *stores],
        )
        return Kept(int(done))

    def return_grants(self, grants: Sequence[Grant]) -> int:
        """Returns unstarted grants to their place in the lane, with their share of the limits; returns how many.

        A releaser that stops calls it; otherwise the requests would wait for their start-by.
        """
        if not grants:
            return 0
        pairs = [part for one in grants for part in (one.id, one.fence)]
        return int(self._scripts.return_grants(keys=self._keys("granted", "ready"), args=[self.prefix, *pairs]))

    def raised(
        self, request_id: str, *, fence: int, reason: str, most: int = 5, held_again_ms: int = 30_000, call: Call = "sent"
    ) -> Raised:
        """Reports a delivery that has raised an exception. Before `start` it is redelivered, until `most` have raised; then, or
        after `start`, the request is held, failed for `reason`. Only this counts."""
        keys = self._keys("granted", "running", "delayed", "held")
        args: list[str | int] = [self.prefix, request_id, fence, reason, most, 1000, held_again_ms, call]
        verdict, times, why = self._scripts.raised(keys=keys, args=args)
        return Raised(verdict.decode(), times, why.decode())

    def delay(self, request_id: str, *, fence: int, delay_ms: int, unsent: bool = False) -> bool:
        """Backs off after a transient error: the request may run again after `delay_ms`, one attempt spent.

        `unsent`: the vendor has not seen the call, so it is not counted.
        """
        keys = self._keys("running", "delayed")
        done = self._scripts.delay(keys=keys, args=[self.prefix, request_id, fence, delay_ms, "unsent" if unsent else ""])
        return bool(done)

    def postpone(self, request_id: str, *, delay_ms: int, most_ms: int) -> int:
        """Redelivers the held batch after `delay_ms`, doubled each time up to `most_ms`, while the database is unavailable.

        Nothing is admitted until a batch is stored again. Returns the delay in ms, 0 when the request is not held.
        """
        return int(self._scripts.postpone(keys=self._keys("held", "counts"), args=[self.prefix, request_id, delay_ms, most_ms]))

    def settle(self, request_id: str, *, outcome: str = "") -> bool:
        """Deletes record and batch once the ledger has the request, and notifies its waiters. False if it was settled before.

        `outcome` is the JSON of `recorded_outcomes.outcome_json`.
        """
        (notified,), _ = self._settle({request_id: outcome}, None)
        return int(notified) >= 0

    def settle_together(self, outcomes: Mapping[str, str], *, turn: StoreTurn | None = None) -> dict[str, bytes]:
        """`settle` of several requests, request id -> outcome. Then claims the next batches for a caller who has the `turn`.

        Returns them by request id; none ends the turn. A turn with `most` 0 ends in any case: then the one id that is returned,
        with an empty batch, is left and not claimed. A caller without the turn gets it where it is free.
        """
        _, claimed = self._settle(outcomes, turn)
        return {one.decode(): data for one, data in zip(claimed[::2], claimed[1::2], strict=True)}

    def _settle(self, outcomes: Mapping[str, str], turn: StoreTurn | None) -> Any:
        further = (turn.name, turn.lasts_ms, turn.most, turn.most_bytes, turn.busy_ms) if turn else ("", 0, 0, 0, 0)
        return self._scripts.settle(
            keys=self._keys("ready", "delayed", "granted", "running", "held", "newer", "tasks", "counts", "over"),
            args=[self.prefix, *further, *(part for pair in outcomes.items() for part in pair)],
        )

    def withdraw(self, request_ids: Sequence[str], *, who: str) -> list[Withdrawn]:
        """Removes a waiter, a job or a user's task ("task:<task id>"), from these requests; returns what becomes of each.

        The caller settles a withdrawn task under that name once it has marked the task as revoked.
        """
        found: list[Withdrawn] = []
        for first in range(0, len(request_ids), _PARK_AT_ONCE):
            some = self._scripts.withdraw(
                keys=self._keys("ready", "delayed", "granted", "newer"),
                args=[self.prefix, who, *request_ids[first : first + _PARK_AT_ONCE]],
            )
            found += [Withdrawn(what.decode(), message.decode()) for what, message in some]
        return found

    def exclude_job(self, job: str) -> None:
        """Excludes a cancelled job: a process that read the ledger before this moment parks no more of its requests."""
        with self.redis.pipeline() as pipe:
            pipe.zadd(f"{self.prefix}over", {f"job:{job}": self.now_us()})
            pipe.expire(f"{self.prefix}over", _OVER_FOR_S)
            pipe.execute()

    def now_us(self) -> int:
        """The gate's clock, Redis's time, in Unix microseconds."""
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000_000 + int(micros)

    def knows(self, request_ids: Sequence[str]) -> bool:
        """True when each of these requests is in the lane or has a deadline."""
        keys = self._keys("ready", "delayed", "granted", "running", "held")
        return all(
            self._scripts.knows(keys=keys, args=[self.prefix, *request_ids[first : first + _ADMIT_AT_ONCE]])
            for first in range(0, len(request_ids), _ADMIT_AT_ONCE)
        )

    def in_lane(self, job: str) -> int:
        """The number of a job's requests in the lane, of every priority."""
        found = self.redis.hmget(f"{self.prefix}tags", [f"N:{priority}:{job}" for priority in range(10)])
        return sum(int(many or 0) for many in found)

    def request_of(self, task_id: str) -> str | None:
        """The request that a user's task waits for, None when it waits for none here."""
        found = self.redis.hget(f"{self.prefix}tasks", task_id)
        return found.decode() if isinstance(found, bytes) else None

    def requests_of(self, task_id: str) -> dict[str, str]:
        """The requests that the tasks with this id wait for, by the name under which each waits: see park.lua."""
        names = [task_id, *(f"{task_id}\x1f{number}" for number in range(2, _MOST_OF_ONE_ID + 1))]
        found = self.redis.hmget(f"{self.prefix}tasks", names)
        return {name: one.decode() for name, one in zip(names, found, strict=True) if isinstance(one, bytes)}

    def claim(self, request_ids: Sequence[str], *, busy_ms: int, most_tried: int | None = None) -> list[Claim]:
        """Claims the batches of held requests for the caller to store; each is redelivered after `busy_ms`.

        `most_tried` skips batches that were claimed more often than that; a skipped batch counts no attempt.
        """
        if not request_ids:
            return []
        args = [self.prefix, busy_ms, "" if most_tried is None else most_tried, *request_ids]
        return [Claim(data or None, tries) for data, tries in self._scripts.claim(keys=self._keys("held"), args=args)]

    def release_claims(
        self, request_ids: Sequence[str], *, again_ms: int = 0, turn: StoreTurn | None = None, counted: bool = False
    ) -> int:
        """Releases claimed batches that were not stored: each is redelivered after `again_ms`. How many are held.

        The caller's `turn` ends. `counted`: the attempts count, and only its own store task may claim each batch.
        """
        if not request_ids and turn is None:
            return 0
        how = (again_ms, turn.name if turn else "", "counted" if counted else "")
        return int(self._scripts.release_claims(keys=self._keys("held"), args=[self.prefix, *how, *request_ids]))

    def keep_raw(self, request_id: str, data: bytes, *, fence: int | str = "") -> None:
        """Keeps the raw reply for a week, beside at most 19 others; of a call, while it has its lease. A success deletes it."""
        self._scripts.keep_raw(keys=self._keys("raws"), args=[self.prefix, request_id, data, _RAW_KEPT_MS, _MOST_RAW, fence])

    def raw(self, request_id: str) -> bytes | None:
        """The raw reply that was kept, None when there is none."""
        return self._kept(f"raw:{request_id}")

    def raw_ids(self) -> list[str]:
        """The ids of the requests whose raw replies were kept, newest first; some may have expired since."""
        return [one.decode() for one in cast("list[bytes]", self.redis.lrange(f"{self.prefix}raws", 0, -1))]

    def chain(self, root: str) -> bytes | None:
        """What the pages of `root` have brought, as `finish` kept it; None after two weeks, and after the last page."""
        return self._kept(f"pages:{root}")

    def batch(self, request_id: str) -> bytes | None:
        """The batch of a held request, None when it has none or is gone."""
        return self._kept(f"batch:{request_id}")

    def held(self) -> list[str]:
        """The held ids, the earliest due first: batches that wait to be stored, and notifications of tasks."""
        found = self.redis.zrange(f"{self.prefix}held", 0, -1)
        return [one.decode() for one in found if isinstance(one, bytes)]

    def arguments(self, request_id: str) -> str | None:
        """The arguments with which a request was parked, None when it is gone."""
        found = self.redis.hget(f"{self.prefix}req:{request_id}", "q")
        return found.decode() if isinstance(found, bytes) else None

    def message(self, request_id: str) -> str | None:
        """The message of the user's task that owns a request, as it was parked; None where a job owns it, or it is gone."""
        found = self.redis.hget(f"{self.prefix}req:{request_id}", "m")
        return found.decode() if isinstance(found, bytes) else None

    def crashes(self, request_id: str, *, busy_ms: int) -> int:
        """How often a worker has crashed in this request's call, or while it stored its batch; 0 when the request is gone.

        `busy_ms`: for how long a claim on a batch is in force; a younger one may still be stored. By this machine's clock: a
        wrong one makes the answer late, or one too many.
        """
        crashes, claims = self.redis.hmget(f"{self.prefix}req:{request_id}", ["k", "u"])
        tries, _, began_ms = (claims.decode() if isinstance(claims, bytes) else "0:0").partition(":")
        in_force = int(tries) > 0 and time.time() * 1000 < int(began_ms or 0) + busy_ms
        return int(crashes or 0) + int(tries) - in_force

    def counts(self) -> Counts:
        """The pool's requests by state, at one moment; those in lanes of owners a moment later."""
        with self.redis.pipeline() as pipe:
            for name in ("ready", "delayed", "newer", "granted", "running", "held"):
                pipe.zcard(f"{self.prefix}{name}")
            pipe.smembers(f"{self.prefix}lanes")
            ready, delayed, newer, granted, running, held, lanes = pipe.execute()
        owned = sum(owners_lanes.parked(self.redis, self.prefix, lanes)) if lanes else 0
        return Counts(parked=ready + owned + delayed + newer, granted=granted, running=running, held=held)

    def parked(self, lane: str | None = None) -> int:
        """How many requests are parked, within a moment of each other: for an estimate. `lane`: only those of one lane."""
        with self.redis.pipeline(transaction=False) as pipe:
            for name in ("ready" if not lane else f"ready:{lane}", "delayed", "newer"):
                pipe.zcard(f"{self.prefix}{name}")
            parked: int = sum(pipe.execute())
        if lane is not None:
            return parked
        return parked + sum(owners_lanes.parked(self.redis, self.prefix, owners_lanes.names(self.redis, self.prefix)))

    def ready_sets(self) -> list[str]:
        """The names of the sorted sets of what is parked and may run: that without an owner, then those of owners' lanes."""
        owned = owners_lanes.names(self.redis, self.prefix)
        return [f"{self.prefix}ready", *sorted(f"{self.prefix}ready:{one.decode()}" for one in owned)]

    def events(self) -> Events:
        """The gate's event counters since it was created."""
        found = self.redis.hmget(f"{self.prefix}counts", ["parked", "admitted", "paused", "refused", "expired"])
        return Events(*(int(one or 0) for one in found))

    def epoch(self) -> str:
        """The epoch in force, "" where there is none: this Redis holds no call history."""
        return (self._kept("epoch") or b"").decode()

    def restore(
        self, *, old: str, new: str, histories: Sequence[KeyHistory], late_ms: int, step_ms: int = 0, kept: bool = False
    ) -> str:
        """Begins an epoch in which the windows of used keys count as full, or up to their reservations; returns its name.

        `step_ms`: by how much Redis's clock has stepped; remembered moments move with it. `late_ms`: a call that this gate
        does not know of may reach its vendor until this long from now. `kept`: Redis came back with all but its last two
        seconds.
        """
        told = json.dumps([asdict(one) for one in histories])
        keys = self._keys("epoch", "granted", "running", "held", "delayed")
        found = self._scripts.restore(keys=keys, args=[self.prefix, old, new, told, step_ms, late_ms, int(kept) or ""])
        return str(found.decode())

    def moving(self) -> set[str]:
        """The ids that are granted, running or held: few, however many are parked."""
        with self.redis.pipeline() as pipe:
            for name in ("granted", "running", "held"):
                pipe.zrange(f"{self.prefix}{name}", 0, -1)
            return {one.decode() for some in pipe.execute() for one in some}

    def _kept(self, name: str) -> bytes | None:
        found = self.redis.get(f"{self.prefix}{name}")
        return found if isinstance(found, bytes) else None
