"""The gate in plain Python: what quotas/lua must do, said a second time, in dicts and lists, with time as an argument.

Nothing here is cached or counted along: what is open, how many stand in the lane, and what a window or a day has used is worked
out anew from the records and the calls each time. Moments are microseconds of Redis's clock, `now`, unless they end in _ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketfetch.quotas.limits import KeyLimits
from marketfetch.quotas.values import Kept, StoreTurn
from tests.quotas.model_records import DIED, LEFT_FOR_MS, Call, Record
from tests.quotas.model_verdicts import ModelOfVerdicts

#: What `admit` grants: id, fence, key label, attempts, arguments, message, kind.
Granted = tuple[str, int, str, int, str, str, str]


class Model(ModelOfVerdicts):
    """One pool's gate. `now` is set by whoever lets time pass."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.tasks: dict[str, str] = {}
        self.virtual: dict[int, int] = {}
        self.last: dict[tuple[int, str], int] = {}
        self.away = False
        #: How few may be granted when the releasers look again; -1: something must be stored first. None: they do not wait.
        self.full: int | None = None
        #: By id: how often in a row its grant has expired unstarted, and how many deliveries have raised.
        self.unstarted: dict[str, int] = {}
        self.raised_times: dict[str, int] = {}
        #: It is the newer release whose script runs: what it makes is of its format.
        self.newer_asks = False
        self.stored_ms = now // 1000
        #: The name of the process that stores in turn, "" for none.
        self.turn = ""

    # --- the lane -------------------------------------------------------------------------------------------------

    def _enter(self, one: Record) -> None:
        """To its old place, or, where it has none yet, behind the later of its job's last one and the band's virtual time."""
        if one.tag == 0:
            turn = (one.priority, one.job)
            one.tag = self.last[turn] = 1 + max(self.virtual.get(one.priority, 0), self.last.get(turn, 0))
        one.place, one.at_ms = "ready", 0

    def _leave(self, one: Record, place: str, at_ms: int = 0) -> None:
        """Out of the lane; with the last of a job's requests there its last tag is forgotten."""
        was_ready, one.place, one.at_ms = one.place == "ready", place, at_ms
        turn = (one.priority, one.job)
        if was_ready and not self.in_lane(turn):
            self.last.pop(turn, None)

    def _forget(self, one: Record) -> None:
        self._leave(one, "gone")
        del self.records[one.id]

    def _ended(self, one: Record) -> None:
        self._forget(one)
        self.unstarted.pop(one.id, None)
        self.raised_times.pop(one.id, None)

    # --- 1: planned -> parked -------------------------------------------------------------------------------------

    def park(
        self, ids: Sequence[str], *, job: str, priority: int = 5, not_before_ms: int = 0, task: str = "", message: str = "",
        expires_ms: int = 0,
    ) -> int:  # fmt: skip
        new = 0
        who = f"task:{task}" if task else job
        for name in ids:
            one = self.records.get(name)
            if one is None:
                new += 1
                one = self.records[name] = Record(name, job, priority, name, self.now, who, message=message)
                one.expires_ms = expires_ms if task else 0
                if not_before_ms:
                    one.place, one.at_ms = "delayed", not_before_ms
                else:
                    self._enter(one)
            else:
                one.gone.discard(who)
                if who != one.owner:
                    one.waiters[who] = (message, expires_ms)
                    if one.priority > priority and one.place == "ready":
                        self._leave(one, "moving")
                        one.priority, one.tag = priority, 0
                        self._enter(one)
            if task:
                self.tasks[task] = name
        self.events["parked"] += new
        return new

    # --- 2, 2b, 4e: admit -----------------------------------------------------------------------------------------

    def admit(
        self, keys: Sequence[KeyLimits], *, room: int, most_granted: int, ahead_ms: int, start_by_ms: int, held_again_ms: int,
        most_held: int, most_held_bytes: int, unstored_ms: int, epoch: str = "", clock_us: int = 0, newer: bool = False,
    ) -> tuple[str, int | None, int, list[Granted]]:  # fmt: skip
        """The state, the wait in us (None: until something wakes it), how many were left to a newer release, and what was
        granted or is to be handed on. `newer`: it is the newer release that asks.
        """
        if epoch and epoch != self.epoch:
            return "epoch", None, 0, []
        if clock_us and abs(self.now - clock_us) > 250_000:
            return "clock", None, 0, []
        self.newer_asks, left = newer, 0
        waits: list[int] = []
        answer: list[Granted] = []
        for place, most in (("granted", 100), ("running", 100), ("held", 50), ("delayed", 100)):
            waiting = self.at(place)
            if not waiting:
                continue
            waits.append(max(self.now, waiting[0].at_ms * 1000))
            for one in [one for one in waiting if one.at_ms <= self.now_ms][:most]:
                if one.newer and not newer and place != "delayed":
                    one.at_ms = self.now_ms + LEFT_FOR_MS
                    left += 1
                    continue
                if place == "held":
                    one.at_ms = self.now_ms + held_again_ms
                    label = one.label if one.kind == "held" else ""
                    kind = "dropped" if one.kind in ("expired", "revoked") else one.kind
                    answer.append((one.id, one.fence, label, one.attempts, one.arguments, one.message, kind))
                    continue
                if place in ("granted", "running"):
                    self._close(one, made=place == "running")
                one.kills += place == "running"
                if place == "running" and one.kills >= 3:
                    one.place, one.at_ms, one.reason = "held", self.now_ms, DIED
                elif self._still_wanted(one):
                    if place == "granted":
                        self.unstarted[one.id] = self.unstarted.get(one.id, 0) + 1
                    self._enter(one)
        for one in self.at("newer") if newer else []:
            self._enter(one)
        room = min(room, most_granted - len(self.at("granted")))
        shut = self.away or self.unstored_bytes() > most_held_bytes or len(self.at("held")) >= most_held
        shut = shut or (self.unstored_bytes() > 0 and self.now_ms - self.stored_ms > unstored_ms)
        room = 0 if shut else room
        self._waits_for_room(room, most_granted, shut=shut)
        pool = list(keys)
        tags: dict[int, int] = {}
        while room > 0 and self.at("ready"):
            open_keys = [(at, key) for key in pool if (at := self._opens(key, ahead_ms * 1000)) is not None]
            if not open_keys:
                break
            opens, key = min(open_keys, key=lambda pair: pair[0])
            if opens > self.now + ahead_ms * 1000:
                waits.append(opens - ahead_ms * 1000)
                break
            one = self.at("ready")[0]
            if one.newer and not newer:
                self._leave(one, "newer")
                continue
            if 0 < one.expires_ms <= self.now_ms:
                answer.append(self._expire(one, held_again_ms))
                continue
            tags[one.priority] = max(tags.get(one.priority, 0), one.tag)
            self._leave(one, "granted", self.now_ms + start_by_ms)
            one.fence, one.label, one.sent = one.fence + 1, key.label, opens
            one.call = Call(key.label, self.now)
            self.calls.append(one.call)
            waits.append((self.now_ms + start_by_ms) * 1000)
            answer.append((one.id, one.fence, one.label, one.attempts, one.arguments, one.message, "go"))
            room -= 1
            pool.remove(key)
            pool.append(key)
            self.events["admitted"] += 1
        if tags:
            self._waits_for_room(room, most_granted, shut=shut)
        for priority, tag in tags.items():
            self.virtual[priority] = max(self.virtual.get(priority, 0), tag)
        self.newer_asks = False
        return "ok", max(0, min(waits) - self.now) if waits else None, left + len(self.at("newer")), answer

    def _waits_for_room(self, room: int, most_granted: int, *, shut: bool) -> None:
        if room <= 0 and self.at("ready"):
            self.full = -1 if shut else most_granted // 2

    def _expire(self, one: Record, held_again_ms: int) -> Granted:
        """Nobody's call: who else waits keeps the place, the task is told."""
        who, message = one.owner, one.message
        if not self._promote(one):
            self._forget(one)
        told = self.records[who] = Record(who, "", 0, "", 0, who, place="held", kind="expired", message=message)
        told.at_ms, told.newer = self.now_ms + held_again_ms, self.newer_asks
        self.events["expired"] += 1
        return who, 0, "", 0, "", message, "dropped"

    # --- 3 and 4: a call ------------------------------------------------------------------------------------------

    def start(
        self, name: str, *, fence: int, end_by_ms: int, child: str, newer: bool = False
    ) -> tuple[str, str, int, int, str, int, int]:
        """Verdict, label, attempts, calls, reason, us to wait, kills."""
        one = self.records.get(name)
        if one is None:
            return "over", "", 0, 0, "", 0, 0
        if one.newer and not newer:
            return "lost", "", 0, 0, "", 0, 0
        if one.place == "held" and one.kind == "held":
            return "held", one.label, one.attempts, one.calls, one.reason, 0, 0
        if one.kind == "answered":
            return "answered", "", 0, 0, one.reason, 0, 0
        if one.place == "running" and one.fence == fence and child and one.child == child:
            return "go", one.label, one.attempts, one.calls, "", max(0, one.sent - self.now), one.kills
        if one.place != "granted" or one.fence != fence:
            return "lost", "", 0, 0, "", 0, 0
        suspected = self.key(one.label).suspect and any(other.label == one.label for other in self.at("running"))
        if self.key(one.label).until_ms * 1000 > self.now or suspected:
            self._close(one, made=False)
            self._enter(one)
            return "lost", "", 0, 0, "", 0, 0
        one.sent, one.child = max(self.now, one.sent), child
        one.place, one.at_ms = "running", one.sent // 1000 + end_by_ms
        one.calls += 1
        self.unstarted.pop(name, None)
        if self.full is not None and len(self.at("granted")) <= self.full:
            self.full = None
        return "go", one.label, one.attempts, one.calls, "", one.sent - self.now, one.kills

    def finish(
        self, name: str, *, fence: int, batch: bytes, held_again_ms: int, page: str = "", replied_ago: int = 0,
        sent_ago: int | None = None, unsent: bool = False, then: str = "", turn: StoreTurn | None = None,
    ) -> Kept:  # fmt: skip
        one = self._leased(name, fence)
        if one is None:
            return Kept.LOST
        self._close(
            one, made=not unsent, replied=self.now - replied_ago, sent=None if sent_ago is None else self.now - sent_ago
        )
        one.calls -= unsent
        state = self.key(one.label)
        state.strikes, state.ill, state.ill_by, state.suspect, state.unknown = 0, 0, "", 0, 0
        if then:
            if self._still_wanted(one):
                one.arguments = then
                self._enter(one)
            return Kept.FOR_OTHERS
        self.stored_ms = self.stored_ms if self.unstored_bytes() else self.now_ms
        one.batch, one.place, one.at_ms = batch, "held", self.now_ms + held_again_ms
        wanted = [who for who in (one.owner, *one.waiters) if who not in one.gone]
        if page and page not in self.records and wanted:
            # The jobs among those who want it want every page; a task waits for its first one only, its turn goes on.
            jobs = [who for who in wanted if not who.startswith("task:")]
            following = self.records[page] = Record(page, one.job, one.priority, page, self.now, one.job, tag=one.tag)
            if one.owner in jobs or (one.owner in one.gone and jobs):
                following.owner = jobs[0]
            following.waiters = {who: ("", 0) for who in jobs if who != following.owner}
            self._enter(following)
            one.page = page
            self.events["parked"] += 1
        if turn is None or (self.turn and not turn.own):
            return Kept.FOR_OTHERS
        if not turn.own:
            self.turn = turn.name
        one.tries, one.began_ms = 1, self.now_ms
        return Kept.CLAIMED

    def return_grants(self, grants: Sequence[tuple[str, int]]) -> int:
        taken = 0
        for name, fence in grants:
            one = self.records.get(name)
            if one and one.place == "granted" and one.fence == fence:
                self._close(one, made=False)
                self._enter(one)
                taken += 1
        return taken

    def raised(self, name: str, *, fence: int, reason: str, most: int, held_again_ms: int, call: str) -> tuple[str, int, str]:
        one = self.records.get(name)
        if one is None:
            return "over", 0, ""
        called = one.place in ("granted", "running")
        lost = called and (one.fence != fence or (one.place == "running" and call == "before"))
        if one.newer or one.place in ("ready", "delayed", "newer") or lost:
            return "lost", 0, ""
        times = self.raised_times[name] = self.raised_times.get(name, 0) + 1
        if not called:
            return ("held", times, one.reason) if one.kind == "held" else ("answered", times, "")
        unsent = call == "unsent" or one.place == "granted"
        self._close(one, made=not unsent)
        self.unstarted.pop(name, None)
        one.calls -= unsent and one.place == "running"
        if one.place == "granted" and times < most:
            one.place, one.at_ms = "delayed", self.now_ms + 1000 * 2 ** (times - 1)
            return "again", times, ""
        del self.raised_times[name]
        one.place, one.kind, one.reason, one.at_ms = "held", "held", reason, self.now_ms + held_again_ms
        return "failed", times, reason

    def delay(self, name: str, *, fence: int, delay_ms: int, unsent: bool = False) -> bool:
        one = self._leased(name, fence)
        if one is None:
            return False
        self._close(one, made=not unsent)
        one.calls -= unsent
        if self._still_wanted(one):
            one.attempts += 1
            one.place, one.at_ms = "delayed", self.now_ms + delay_ms
        return True

    # --- 5 to 7: held, over, withdrawn ----------------------------------------------------------------------------

    def postpone(self, name: str, *, delay_ms: int, most_ms: int) -> int:
        one = self.records.get(name)
        if one is None or one.place != "held":
            return 0
        one.unstored, one.tries = one.unstored + 1, 0
        delay_ms = min(delay_ms * 2 ** (one.unstored - 1), most_ms)
        one.at_ms, self.away = self.now_ms + delay_ms, True
        return delay_ms

    def claim(
        self, names: Sequence[str], *, busy_ms: int, most_tried: int | None, newer: bool = False
    ) -> list[tuple[bytes | None, int]]:
        found: list[tuple[bytes | None, int]] = []
        for name in names:
            one = self.records.get(name)
            held = one is not None and one.place == "held" and one.kind == "held" and (newer or not one.newer)
            if one is None or not held or (most_tried is not None and one.tries > most_tried):
                found.append((None, 0))
            elif one.tries and self.now_ms < one.began_ms + busy_ms:
                found.append((None, -1))
            else:
                one.tries, one.began_ms, one.at_ms = one.tries + 1, self.now_ms, self.now_ms + busy_ms
                found.append((one.batch, one.tries))
        return found

    def release_claims(
        self, names: Sequence[str], *, again_ms: int, turn: StoreTurn | None = None, counted: bool = False
    ) -> int:
        if turn and self.turn == turn.name:
            self.turn = ""
        held = [one for name in names if (one := self.records.get(name)) and one.place == "held"]
        for one in held:
            one.tries, one.began_ms, one.at_ms = one.tries if counted else 0, 0, self.now_ms + again_ms
        return len(held)

    def settle_together(self, outcomes: Mapping[str, str], *, turn: StoreTurn, newer: bool = False) -> dict[str, bytes]:
        """Settles, and claims the next batches for who has the turn, or gets it as it is free."""
        # Who is woken for those that are told looks at everything; one of the others was what kept the gate from admitting.
        ended = [self.records[name] for name in outcomes if name in self.records]
        was_full, told_any = self.full, any(message for one in ended for message, _ in one.waiters.values())
        for name, outcome in outcomes.items():
            self.settle(name, outcome=outcome)
        self.full = was_full if told_any or (was_full or 0) > 1 else None
        if self.turn not in ("", turn.name):
            return {}
        waiting = [one for one in self.at("held")[:100] if one.kind == "held" and not one.tries and not one.message]
        waiting = [one for one in waiting if one.batch and (newer or not one.newer)]
        self.turn = turn.name if waiting and turn.most else ""
        if waiting and not turn.most:
            return {waiting[0].id: b""}
        found: dict[str, bytes] = {}
        for one in waiting:
            if len(found) == turn.most or sum(map(len, found.values())) >= turn.most_bytes:
                break
            one.tries, one.began_ms, one.at_ms = 1, self.now_ms, self.now_ms + turn.busy_ms
            found[one.id] = one.batch or b""
        return found

    def settle(self, name: str, *, outcome: str) -> bool:
        one = self.records.get(name)
        if one is None:
            return False
        if one.place == "held" and one.kind == "held":
            self.away = False
        self.stored_ms = self.now_ms if one.batch else self.stored_ms
        told_any = any(message for message, _ in one.waiters.values())
        if not told_any and self.full is not None and self.full <= 1:
            self.full = None  # who is woken for the told looks at everything
        self._close(one, made=one.place == "running")
        for who, (message, _) in one.waiters.items():
            if message:
                told = Record(who, "", 0, "", 0, who, place="held", kind="answered", message=message, reason=outcome)
                told.at_ms, self.records[who] = self.now_ms, told
                self.tasks[who.removeprefix("task:")] = who
        self.tasks.pop(one.owner.removeprefix("task:"), None)
        self._ended(one)
        return True

    def withdraw(self, name: str, *, who: str) -> tuple[str, str]:
        one = self.records.get(name)
        if one is None or (who != one.owner and who not in one.waiters):
            return "unknown", ""
        runs = one.place not in ("ready", "delayed", "newer", "granted")
        if who in one.waiters:
            message, _ = one.waiters.pop(who)
            if runs and one.page:
                self.withdraw(one.page, who=who)
            self._revoked(who, message)
            return "left", message
        if name == who and one.place == "held" and one.kind != "held":
            self._revoked(who, one.message)
            return "gone", one.message
        if runs:
            one.gone.add(who)
            if one.page:
                self.withdraw(one.page, who=who)
            return "stays", ""
        message = one.message
        if one.place == "granted":
            self._close(one, made=False)
            self._enter(one)
        what = "left" if self._promote(one) else "gone"
        if what == "gone":
            self._ended(one)
        self._revoked(who, message)
        return what, message

    def _revoked(self, who: str, message: str, *, in_ms: int = 10_000) -> None:
        """A task that was withdrawn is offered until it has been marked."""
        if message:
            told = Record(who, "", 0, "", 0, who, place="held", kind="revoked", message=message)
            told.at_ms, told.newer, self.records[who] = self.now_ms + in_ms, self.newer_asks, told

    def _still_wanted(self, one: Record) -> bool:
        """Before it goes back to the lane: its owner may have left while it ran. False, and it is gone, with the last one."""
        if one.owner not in one.gone:
            return True
        who, message = one.owner, one.message
        one.gone.clear()
        wanted = self._promote(one)
        if not wanted:
            self._forget(one)
        self._revoked(who, message, in_ms=0)
        return wanted

    def _promote(self, one: Record) -> bool:
        if not one.waiters:
            return False
        heir = next(iter(one.waiters))
        one.message, one.expires_ms = one.waiters.pop(heir)
        one.owner = heir
        return True
