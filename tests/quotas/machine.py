"""The worker, the vendor and the wall clock, as a hypothesis machine that drives Lua and model with the same steps."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from redis import Redis

from marketfetch.quotas import Gate, Grant, Parking, key_limits
from marketfetch.quotas.limits import KeyLimits
from marketfetch.quotas.values import KeyHistory, StoreTurn
from tests.quotas.agreement import both_keep_the_same_books, every_promise_of_the_table_holds, the_vendor_sees_no_limit_passed
from tests.quotas.model import Model
from tests.quotas.model_records import NO_MATTER
from tests.quotas.pools import (
    END_BY_MS,
    HELD_AGAIN_MS,
    IDS,
    JOBS,
    LATE_MS,
    POOLS,
    START_BY_MS,
    TURNS,
    UNSTORED_MS,
    may_hold,
    pick,
)
from tests.quotas.stepped import CLOCK, DAY, FORMAT, ShortDays, SteppedGate, snapshot, time_has_passed

LOOKS_AGAIN_MS: Final = 5_000
BEGINS: Final = 1_800_000_000_000_000 // DAY * DAY + DAY - 8_000_000  # eight seconds before a midnight


class GateMachine(RuleBasedStateMachine):
    """The test is a worker, the vendor and the wall clock: children hold grants, send, get replies, die, come late."""

    redis: Redis
    #: From how many keys on closed ones are skipped.
    many_keys = Gate.many_keys

    @initialize(pool=st.sampled_from(sorted(POOLS)))
    def begin(self, pool: str) -> None:
        self.redis.flushall()
        self.gate = SteppedGate(self.redis, pool="p", many_keys=self.many_keys)
        #: Of the next release, beside this one.
        self.following = SteppedGate(self.redis, pool="p", newest=FORMAT + 1, many_keys=self.many_keys)
        self.limits = POOLS[pool]
        self.true = self.clock_of_releaser = BEGINS  # the wall clock, and what the releaser takes Redis's for
        self.offset = 0
        self.model = Model(BEGINS)
        self.grants: list[SimpleNamespace] = []  # what the broker has: each may be lost, late or doubled
        self.children: list[SimpleNamespace] = []  # calls on their way
        self.marks: list[tuple[str, int]] = []  # in the database, whatever Redis forgets: label, wall clock
        self.arrived: list[tuple[str, int, int]] = []  # at the vendor: label, wall clock, Redis's clock
        self.went: Counter[tuple[str, int]] = Counter()
        self.epochs = self.named = 0
        self.released_with = ""
        self.set_clock()
        self.restore(step_ms=0, kept=False)

    # --- what the steps need --------------------------------------------------------------------------------------

    def set_clock(self) -> None:
        self.model.now = self.true + self.offset
        self.redis.set(CLOCK, self.model.now)

    def keys(self) -> tuple[KeyLimits, ...]:
        day = self.model.now // DAY
        return tuple(
            KeyLimits(
                label,
                windows=key_limits(label, texts).windows,
                calendars=(ShortDays(f"{count}/day@UTC", count, "UTC", around=day),) if count else (),
                concurrency=concurrency,
            )
            for label, (texts, count, concurrency) in self.limits.items()
        )

    def restore(self, *, step_ms: int, kept: bool) -> None:
        self.epochs += 1
        used = {label: any(one[0] == label for one in self.arrived) for label in self.limits}
        days = {label: self.days_used(label) for label in self.limits}
        marked = {label: self.marked(label) for label in self.limits}
        new = f"epoch {self.epochs}"
        found = self.gate.restore(
            old=self.released_with,
            new=new,
            histories=[KeyHistory(one, used=used[one], lost=2, days=days[one], reserved=marked[one]) for one in self.limits],
            late_ms=LATE_MS,
            step_ms=step_ms,
            kept=kept,
        )
        standing = self.model.epoch and self.model.epoch != self.released_with
        if not standing:
            for counter, calls in (pair for some in days.values() for pair in some.items()):
                label = counter.split(":")[1]
                (day,) = next(one for one in self.keys() if one.label == label).calendars
                name, start, end = day.periods(NO_MATTER)[1]
                known = self.model.used(label, day, name, start, end)
                self.model.told[counter] = self.model.told.get(counter, 0) + max(0, calls - known)
        labels = {label: (used[label], 2, marked[label]) for label in self.limits}
        ours = self.model.restore(labels, old=self.released_with, new=new, late_ms=LATE_MS, step_ms=step_ms, kept=kept)
        assert found == ours
        self.released_with = found
        self.clock_of_releaser = self.model.now

    def days_used(self, label: str) -> dict[str, int]:
        """What the ledger knows of today, and the calls that may be on their way."""
        (key,) = (one for one in self.keys() if one.label == label)
        if not key.calendars:
            return {}
        today = self.model.now // DAY
        seen = sum(one == label and at // DAY >= today for one, _, at in self.arrived)
        return {key.calendars[0].counter(label, f"d{today}"): seen}

    def marked(self, label: str) -> dict[int, int]:
        (key,) = (one for one in self.keys() if one.label == label)
        return may_hold(key, [at for mark, at in self.marks if mark == label], self.true)

    def child(self, n: int) -> SimpleNamespace:
        return self.children[n % len(self.children)]

    def name(self, n: int) -> str:
        """An id: often one that the gate knows."""
        known = sorted(self.model.records)
        return known[n % len(known)] if known and n >= 3 else IDS[n % len(IDS)]

    # --- steps: parking and withdrawing ---------------------------------------------------------------------------

    @rule(first=pick, many=st.integers(1, 4), job=st.sampled_from(JOBS), priority=st.sampled_from((5, 5, 2)))
    def a_job_parks(self, first: int, many: int, job: str, priority: int) -> None:
        self.passes_to(self.true + 1_000)
        names = [IDS[(first + n) % len(IDS)] for n in range(many)]
        new = self.gate.park([Parking(id=one, arguments=one) for one in names], job=job, priority=priority)
        assert new == self.model.park(names, job=job, priority=priority)

    @rule(n=pick, own=st.booleans(), later_ms=st.sampled_from((0, 3_000, 40_000)), expires_ms=st.sampled_from((0, 0, 2_000)))
    def a_task_parks(self, n: int, own: bool, later_ms: int, expires_ms: int) -> None:
        self.passes_to(self.true + 1_000)
        self.named += 1
        task = f"t{self.named}"
        name = f"task:{task}" if own or later_ms else self.name(n)
        if name.startswith("task:") and name != f"task:{task}":
            name = IDS[n % len(IDS)]  # a record of one task is never another's
        message, expires = f"message of {task}", self.model.now_ms + expires_ms if expires_ms else 0
        not_before = self.model.now_ms + later_ms if later_ms else 0
        one = Parking(id=name, arguments=name, task=task, message=message, expires_ms=expires)
        assert self.gate.park([one], job="direct", not_before_ms=not_before) == self.model.park(
            [name], job="direct", not_before_ms=not_before, task=task, message=message, expires_ms=expires
        )

    @rule(n=pick, m=pick)
    def somebody_withdraws(self, n: int, m: int) -> None:
        who = (*JOBS, *(f"task:{one}" for one in sorted(self.model.tasks)))[m % (len(JOBS) + len(self.model.tasks))]
        name = self.model.tasks.get(who.removeprefix("task:")) or self.name(n)
        (found,) = self.gate.withdraw([name], who=who)
        assert (found.what, found.message) == self.model.withdraw(name, who=who)

    # --- steps: a call --------------------------------------------------------------------------------------------

    @rule(
        room=st.integers(1, 6),
        most=st.sampled_from((2, 100)),
        ahead_ms=st.sampled_from((0, 20)),
        held=st.sampled_from((1, 50)),
        newer=st.sampled_from((False, False, True)),
    )
    def a_releaser_admits(self, room: int, most: int, ahead_ms: int, held: int, newer: bool) -> None:
        self.admit(room, most, ahead_ms, held, newer=newer)

    @precondition(lambda self: self.model.records)
    @rule(n=pick)
    def a_request_is_of_the_next_release(self, n: int) -> None:
        """Whatever it has come to: it might have been made by it."""
        name = sorted(self.model.records)[n % len(self.model.records)]
        self.model.records[name].newer = True
        self.redis.hset(f"{self.gate.prefix}req:{name}", "r", FORMAT + 1)

    @rule(room=st.integers(1, 6), sent_after_ms=st.sampled_from((0, 1, 40, 9_900)))
    def a_worker_takes_what_there_is(self, room: int, sent_after_ms: int) -> None:
        """Admitted, published, started: what mostly happens."""
        for n in range(len(self.admit(room, 100, 20, 50))):
            self.start(self.grants[-1 - n], f"child of {self.grants[-1 - n].fence}", sent_after_ms)

    def admit(self, room: int, most: int, ahead_ms: int, held: int, *, newer: bool = False) -> list[Any]:
        self.passes_to(self.true + 1_000)  # a grant a ms at most: fences begin with the moment of parking
        options: dict[str, Any] = {
            "room": room, "most_granted": most, "ahead_ms": ahead_ms, "start_by_ms": START_BY_MS, "most_held": held,
            "held_again_ms": HELD_AGAIN_MS, "most_held_bytes": 10, "unstored_ms": UNSTORED_MS,
            "epoch": self.released_with, "clock_us": self.clock_of_releaser,
        }  # fmt: skip
        found = (self.following if newer else self.gate).admit(keys=self.keys(), **options)
        state, wait, left, grants = self.model.admit(self.keys(), **options, newer=newer)
        got = [(g.id, g.fence, g.key_label, g.attempts, g.arguments, g.message, g.kind) for g in found.grants]
        assert (found.state, found.newer, got) == (state, left, grants)
        wait_ms = None if wait is None else wait / 1000
        # Where keys are skipped, the gate looks again after 5 s at the latest.
        looks_early = self.many_keys == 1 and found.wait_ms and found.wait_ms <= min(LOOKS_AGAIN_MS, wait_ms or LOOKS_AGAIN_MS)
        assert found.wait_ms == wait_ms or looks_early
        self.marks += [(one[2], self.true) for one in grants if one[6] == "go"]
        self.grants += [SimpleNamespace(id=one[0], fence=one[1], label=one[2], newer=newer) for one in grants]
        return grants

    @precondition(lambda self: self.grants)
    @rule(n=pick, again=st.booleans(), sent_after_ms=st.sampled_from((0, 1, 40, 9_900)))
    def a_child_starts(self, n: int, again: bool, sent_after_ms: int) -> None:
        """The message may have come before: to the same child, or to another one."""
        grant = self.grants[-1 - n % len(self.grants)]
        self.start(grant, f"child of {grant.fence}" if again else f"child {len(self.children)}", sent_after_ms)

    def start(self, grant: SimpleNamespace, child: str, sent_after_ms: int) -> None:
        gate = self.following if grant.newer else self.gate
        turn = gate.start(grant.id, fence=grant.fence, end_by_ms=END_BY_MS, child=child)
        answer = (turn.verdict, turn.key_label, turn.attempts, turn.calls, turn.reason, turn.wait_us, turn.kills)
        running = self.model.records[grant.id].place == "running" if grant.id in self.model.records else False
        assert answer == self.model.start(
            grant.id, fence=grant.fence, end_by_ms=END_BY_MS, child=child, newer=grant.newer
        )  # fmt: skip
        if turn.verdict == "go" and not running:
            self.went[grant.id, grant.fence] += 1
            assert self.went[grant.id, grant.fence] == 1, "a fence has started twice"
            sent = self.true + turn.wait_us + sent_after_ms * 1000
            self.arrived.append((turn.key_label, sent, sent + self.offset))
            self.children.append(
                SimpleNamespace(id=grant.id, fence=grant.fence, label=turn.key_label, sent=sent, call=len(self.arrived) - 1)
            )

    @precondition(lambda self: self.grants)
    @rule(many=st.integers(1, 4))
    def a_releaser_ends(self, many: int) -> None:
        """It takes back its latest grants, whatever has become of them."""
        latest = self.grants[-many:]
        taken = self.gate.return_grants([Grant(one.id, one.fence, one.label, 0, "") for one in latest])
        assert taken == self.model.return_grants([(one.id, one.fence) for one in latest])

    @precondition(lambda self: self.grants)
    @rule(n=pick, before=st.booleans())
    def a_delivery_raises(self, n: int, before: bool) -> None:
        """Anywhere on its way, whatever has become of its grant. `before`: a second delivery of the grant, before its start."""
        grant = self.grants[-1 - n % len(self.grants)]
        child = next((one for one in self.children if (one.id, one.fence) == (grant.id, grant.fence)), None)
        call = "before" if before else "unsent" if child and self.never_sent(child) else "sent"
        if child and not before:
            self.children.remove(child)
        options: dict[str, Any] = {"reason": "why", "most": 2, "held_again_ms": HELD_AGAIN_MS, "call": call}
        found = self.gate.raised(grant.id, fence=grant.fence, **options)
        assert (found.verdict, found.times, found.reason) == self.model.raised(grant.id, fence=grant.fence, **options)

    @precondition(lambda self: self.children)
    @rule(
        n=pick, page=st.booleans(), ago_ms=st.sampled_from((0, 5)), told=st.booleans(), trip_ms=st.sampled_from((2, 50, 700)),
        turn=st.sampled_from((None, *TURNS)),
    )  # fmt: skip
    def a_reply_is_kept(self, n: int, page: bool, ago_ms: int, told: bool, trip_ms: int, turn: StoreTurn | None) -> None:
        child = self.child(n)
        self.passes_to(child.sent + trip_ms * 1000 + ago_ms * 1000)
        self.children.remove(child)
        replied = self.true - ago_ms * 1000
        self.arrives(child, replied)
        following = f"{child.id}/1" if page and child.id in IDS else ""
        sent_ago = self.true - child.sent if told else None
        assert self.gate.finish(
            child.id, fence=child.fence, batch=b"rows", held_again_ms=HELD_AGAIN_MS, replied_ago_us=ago_ms * 1000,
            next_page=Parking(id=following, arguments=following) if following else None, sent_ago_us=sent_ago, turn=turn,
        ) == self.model.finish(
            child.id, fence=child.fence, batch=b"rows", held_again_ms=HELD_AGAIN_MS, page=following,
            replied_ago=ago_ms * 1000, sent_ago=sent_ago, turn=turn,
        )  # fmt: skip

    @precondition(lambda self: self.children)
    @rule(n=pick, told=st.booleans(), trip_ms=st.sampled_from((2, 700)))
    def a_reply_needs_another_call(self, n: int, told: bool, trip_ms: int) -> None:
        """Its request returns to its place with other arguments, and with everyone who waits for it."""
        child = self.child(n)
        self.passes_to(child.sent + trip_ms * 1000)
        self.children.remove(child)
        self.arrives(child, self.true)
        sent_ago = self.true - child.sent if told else None
        assert self.gate.finish(
            child.id, fence=child.fence, batch=b"", held_again_ms=HELD_AGAIN_MS, sent_ago_us=sent_ago, then=f"check {child.id}"
        ) == self.model.finish(
            child.id, fence=child.fence, batch=b"", held_again_ms=HELD_AGAIN_MS, sent_ago=sent_ago, then=f"check {child.id}"
        )  # fmt: skip

    def arrives(self, child: SimpleNamespace, replied: int) -> None:
        """A fifth of the round trip after it was sent, and never later than a slack that was promised."""
        slacks = [one.slack_ms for key in self.keys() if key.label == child.label for one in key.windows if one.slack_ms]
        way = min([(replied - child.sent) // 5, *(one * 1000 for one in slacks)])
        label, sent, clock = self.arrived[child.call]
        self.arrived[child.call] = (label, sent + way, clock + way)

    def never_sent(self, child: SimpleNamespace) -> bool:
        """Takes the call out of the vendor's books, if it has not gone out yet."""
        if child.sent <= self.true:
            return False
        label, _, _ = self.arrived[child.call]
        self.arrived[child.call] = (f"never {label}", 0, 0)
        return True

    @precondition(lambda self: self.children)
    @rule(n=pick)
    def a_wish_is_not_understood(self, n: int) -> None:
        """Over before anything was sent."""
        child = self.child(n)
        if self.never_sent(child):
            self.children.remove(child)
            assert self.gate.finish(
                child.id, fence=child.fence, batch=b"no", unsent=True, held_again_ms=HELD_AGAIN_MS
            ) == self.model.finish(child.id, fence=child.fence, batch=b"no", unsent=True, held_again_ms=HELD_AGAIN_MS)

    @precondition(lambda self: self.children)
    @rule(n=pick, how=st.sampled_from((("", 3_000), ("grow", 1_000), ("grow", 1_000), ("", 0))))
    def a_call_is_refused(self, n: int, how: tuple[Any, int]) -> None:
        child = self.child(n)
        unsent = self.never_sent(child)
        self.children.remove(child)
        then: Any = "" if unsent else how[0]
        pause_ms = 0 if unsent else how[1]
        assert self.gate.requeue(
            child.id, fence=child.fence, key_label=child.label, pause_ms=pause_ms, why="why", then=then, unsent=unsent
        ) == self.model.requeue(
            child.id, fence=child.fence, label=child.label, pause_ms=pause_ms, then=then, unsent=unsent
        )  # fmt: skip

    @precondition(lambda self: self.children)
    @rule(n=pick)
    def a_call_rejects_the_key(self, n: int) -> None:
        """The first time it is suspected; the second time it is set aside, or the request fails."""
        child = self.child(n)
        if self.never_sent(child):
            return
        self.children.remove(child)
        others = [one for one in self.limits if one != child.label]
        verdict = self.gate.suspect(child.id, fence=child.fence, key_label=child.label, why="why", others=others)
        assert verdict == self.model.suspect(child.id, fence=child.fence, label=child.label, others=others)

    @precondition(lambda self: self.children)
    @rule(n=pick, rest_ms=st.sampled_from((500, 3_000)), unknown=st.sampled_from(("", "sentence", "refusal", "refusal")))
    def a_call_brings_no_answer(self, n: int, rest_ms: int, unknown: Any) -> None:
        """The third time in a row the key rests; before that the request tries again. A fifth unknown refusal ends it."""
        child = self.child(n)
        unsent = self.never_sent(child)
        self.children.remove(child)
        rests = self.gate.rest_if_unhealthy(
            child.id, fence=child.fence, key_label=child.label, rest_ms=rest_ms, why="why", unsent=unsent,
            unknown="" if unsent else unknown, words="w" if unknown and not unsent else "",
        )  # fmt: skip
        assert rests == self.model.rest_if_unhealthy(
            child.id, fence=child.fence, label=child.label, rest_ms=rest_ms, unsent=unsent,
            unknown="" if unsent else unknown, words="w" if unknown and not unsent else "",
        )  # fmt: skip
        if rests == "spends":
            assert self.gate.delay(child.id, fence=child.fence, delay_ms=2_000, unsent=unsent) == self.model.delay(
                child.id, fence=child.fence, delay_ms=2_000, unsent=unsent
            )

    @precondition(lambda self: self.children)
    @rule(n=pick, delay_ms=st.sampled_from((0, 2_000)))
    def a_call_fails_for_a_while(self, n: int, delay_ms: int) -> None:
        child = self.child(n)
        unsent = self.never_sent(child)
        self.children.remove(child)
        assert self.gate.delay(child.id, fence=child.fence, delay_ms=delay_ms, unsent=unsent) == self.model.delay(
            child.id, fence=child.fence, delay_ms=delay_ms, unsent=unsent
        )

    @precondition(lambda self: self.children)
    @rule(n=pick)
    def a_child_dies(self, n: int) -> None:
        self.children.remove(self.child(n))

    # --- steps: held, keys, time, and the past --------------------------------------------------------------------

    def held(self, n: int) -> str:
        found = [one.id for one in self.model.at("held")]
        return found[n % len(found)] if found else self.name(n)

    @rule(n=pick, any_=st.sampled_from((False, False, False, True)))
    def a_request_is_over(self, n: int, any_: bool) -> None:
        """Mostly one that was held; answered from the ledger it may be anywhere."""
        name = self.name(n) if any_ else self.held(n)
        assert self.gate.settle(name, outcome="how") == self.model.settle(name, outcome="how")

    @rule(n=pick, many=st.integers(0, 3), turn=st.sampled_from(TURNS), back=st.booleans(), counted=st.booleans())
    def somebody_stores_in_turn(self, n: int, many: int, turn: StoreTurn, back: bool, counted: bool) -> None:
        """What it has stored is over, and it takes what others have kept; now and then it leaves all of it to others."""
        names = dict.fromkeys((self.held(n + one) for one in range(many)), "how")
        got = self.gate.settle_together(names, turn=turn)
        assert got == self.model.settle_together(names, turn=turn)
        if back:
            taken = self.gate.release_claims(list(got), again_ms=500, turn=turn, counted=counted)
            assert taken == self.model.release_claims(list(got), again_ms=500, turn=turn, counted=counted)

    @rule()
    def a_turn_expires(self) -> None:
        self.redis.delete(f"{self.gate.prefix}storing")
        self.model.turn = ""

    @rule(n=pick, most_tried=st.sampled_from((None, 0, 1)), other=pick, back=st.booleans())
    def somebody_begins_to_store(self, n: int, most_tried: int | None, other: int, back: bool) -> None:
        """One that is held, and one that may be anywhere; and now and then leaves them to others."""
        names = list(dict.fromkeys((self.held(n), self.name(other))))
        taken = self.gate.claim(names, busy_ms=HELD_AGAIN_MS, most_tried=most_tried)
        assert [(one.data, one.tries) for one in taken] == self.model.claim(names, busy_ms=HELD_AGAIN_MS, most_tried=most_tried)
        if back:
            assert self.gate.release_claims(names, again_ms=500) == self.model.release_claims(names, again_ms=500)

    @rule(n=pick)
    def the_database_is_away(self, n: int) -> None:
        name = self.held(n)
        assert self.gate.postpone(name, delay_ms=2_000, most_ms=15_000) == self.model.postpone(
            name, delay_ms=2_000, most_ms=15_000
        )

    @rule(n=pick, ms=st.sampled_from((500, 30_000)), ends=st.booleans())
    def a_person_pauses_or_resumes(self, n: int, ms: int, ends: bool) -> None:
        label = sorted(self.limits)[n % len(self.limits)]
        if ends:
            self.gate.resume(label)
            self.model.resume(label)
        else:
            assert self.gate.pause(label, pause_ms=ms, why="why") == self.model.pause(label, pause_ms=ms)

    def passes_to(self, moment: int) -> None:
        passed = max(0, moment - self.true)
        self.true += passed
        self.clock_of_releaser += passed
        self.set_clock()
        if passed >= 3_600_000_000:
            time_has_passed(self.redis, self.gate.prefix, passed // 1000)
            self.model.unstarted.clear()
            self.model.raised_times.clear()

    @rule(ms=st.sampled_from((1, 20, 300, 1_000, 2_001, 5_000, 8_000, 10_000, 20_001, 25_001, 60_000, 4 * 86_400_000)))
    def time_passes(self, ms: int) -> None:
        self.passes_to(self.true + ms * 1000)

    @precondition(lambda self: not any(one[1] for one in self.limits.values()))
    @rule(ms=st.sampled_from((317, -317, 5_003, -5_003, 3_600_011, -3_600_011)))
    def the_clock_steps(self, ms: int) -> None:
        """Where a day begins is the clock's word: no steps where days are counted."""
        self.offset += ms * 1000
        self.set_clock()

    @precondition(lambda self: abs(self.model.now - self.clock_of_releaser) > 250_000)
    @rule()
    def the_step_is_noticed(self) -> None:
        self.restore(step_ms=(self.model.now - self.clock_of_releaser) // 1000, kept=False)

    @rule(kept=st.booleans())
    def redis_was_restarted(self, kept: bool) -> None:
        if abs(self.model.now - self.clock_of_releaser) <= 250_000:
            self.restore(step_ms=0, kept=kept)

    @rule()
    def redis_is_emptied(self) -> None:
        self.redis.flushall()
        self.model = Model(self.model.now)
        self.set_clock()

    @precondition(lambda self: self.model.epoch != self.released_with)
    @rule()
    def the_hole_is_noticed(self) -> None:
        self.restore(step_ms=0, kept=False)

    # --- what is true after each step -----------------------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        found = snapshot(self.redis, self.gate.prefix)
        both_keep_the_same_books(self.model, found, (*self.limits, "*"))
        every_promise_of_the_table_holds(found, self.gate.counts(), self.limits)
        the_vendor_sees_no_limit_passed(self.keys(), self.arrived)

    def teardown(self) -> None:
        self.redis.flushall()
