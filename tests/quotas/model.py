"""The gate in plain Python: what quotas/lua must do, said a second time, in dicts and lists, with time as an argument.

Nothing here is cached or counted along: what is open, how many stand in the lane, and what a window or a day has used is worked
out anew from the records and the calls each time. Moments are microseconds of Redis's clock, `now`, unless they end in _ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from marketfetch.quotas.limits import Calendar, KeyLimits, Window

#: What `admit` grants: id, fence, key label, attempts, arguments, message, kind.
Granted = tuple[str, int, str, int, str, str, str]
#: The days of a test are told from the gate's clock.
NO_MATTER = datetime.fromtimestamp(0, UTC)
DAY_US = 86_400_000_000
#: So many unusable answers in a row to different requests, and a vendor counts as ill.
ILL = 3
#: A deadline of a newer release's request is looked at again after so long.
LEFT_FOR_MS = 3_000
_DIED = "its worker died three times while it ran"


@dataclass(slots=True, eq=False)  # two calls may look alike
class Call:
    """A call of a key: open until it has a stamp, `done`; `early` is the stamp for short windows."""

    label: str
    granted: int
    done: int | None = None
    early: int = 0


@dataclass(slots=True)
class Record:
    """A request, or a task that is to be told how its request ended.

    In one place: ready, delayed, newer, granted, running, held.
    """

    id: str
    job: str
    priority: int
    arguments: str
    fence: int
    owner: str
    place: str = "ready"
    #: Deadline, due, or not-before in ms; nothing for "ready", where `tag` orders.
    at_ms: int = 0
    kind: str = "held"
    tag: int = 0
    attempts: int = 0
    kills: int = 0
    calls: int = 0
    message: str = ""
    expires_ms: int = 0
    label: str = ""
    sent: int = 0
    child: str = ""
    reason: str = ""
    unstored: int = 0
    #: How often somebody has begun to store it, and when for the last time.
    tries: int = 0
    began_ms: int = 0
    batch: bytes | None = None
    call: Call | None = None
    #: Those whose wish has gone while it ran: they are not to get further pages.
    gone: set[str] = field(default_factory=set)
    #: Its next page, once that was parked.
    page: str = ""
    #: A newer release has made it.
    newer: bool = False
    #: who -> (message, expires); both empty for a job.
    waiters: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Key:
    """What is remembered of a key besides its calls. `lost` -1: as many calls as there may be, made at `full` at the latest.

    `lost_of`: the length of a long window -> instead of `lost`, where its calls were marked.
    """

    until_ms: int = 0
    why: str = ""
    aside: str = ""
    strikes: int = 0
    struck: int = 0
    ill: int = 0
    ill_by: str = ""
    trips: int = 0
    fastest: int = 0
    slack: int = -1
    full: float = float("-inf")
    lost: int = 0
    lost_of: dict[int, int] = field(default_factory=dict)


class Model:
    """One pool's gate. `now` is set by whoever lets time pass."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.records: dict[str, Record] = {}
        self.tasks: dict[str, str] = {}
        self.virtual: dict[int, int] = {}
        self.last: dict[tuple[int, str], int] = {}
        self.calls: list[Call] = []
        self.keys: dict[str, Key] = {}
        self.told: dict[str, int] = {}
        self.epoch = ""
        self.full = self.away = False
        #: It is the newer release whose script runs: what it makes is of its format.
        self.newer_asks = False
        self.stored_ms = now // 1000
        self.events = dict.fromkeys(("parked", "admitted", "paused", "refused", "expired"), 0)

    # --- what follows from the records ----------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self.now // 1000

    def at(self, place: str) -> list[Record]:
        """Everyone in a place, the first one first."""
        found = [one for one in self.records.values() if one.place == place]
        if place == "ready":
            return sorted(found, key=lambda one: (one.priority, one.tag, one.id))
        return sorted(found, key=lambda one: (one.at_ms, one.id))

    def in_lane(self, turn: tuple[int, str]) -> int:
        return sum((one.priority, one.job) == turn for one in self.at("ready"))

    def key(self, label: str) -> Key:
        return self.keys.setdefault(label, Key())

    def unstored_bytes(self) -> int:
        return sum(len(one.batch) for one in self.records.values() if one.batch)

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
                    one.place, one.at_ms, one.reason = "held", self.now_ms, _DIED
                elif self._still_wanted(one):
                    self._enter(one)
        for one in self.at("newer") if newer else []:
            self._enter(one)
        room = min(room, most_granted - len(self.at("granted")))
        shut = self.away or self.unstored_bytes() > most_held_bytes or len(self.at("held")) >= most_held
        shut = shut or (self.unstored_bytes() > 0 and self.now_ms - self.stored_ms > unstored_ms)
        room = 0 if shut else room
        self.full = self.full or (room <= 0 and bool(self.at("ready")))
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
        for priority, tag in tags.items():
            self.virtual[priority] = max(self.virtual.get(priority, 0), tag)
        self.newer_asks = False
        return "ok", max(0, min(waits) - self.now) if waits else None, left + len(self.at("newer")), answer

    def _expire(self, one: Record, held_again_ms: int) -> Granted:
        """Nobody's call: who else waits keeps the place, the task is told."""
        who, message = one.owner, one.message
        if not self._promote(one):
            self._forget(one)
        told = self.records[who] = Record(who, "", 0, "", 0, who, place="held", kind="expired", message=message)
        told.at_ms, told.newer = self.now_ms + held_again_ms, self.newer_asks
        self.events["expired"] += 1
        return who, 0, "", 0, "", message, "dropped"

    def _opens(self, key: KeyLimits, ahead: int) -> int | None:
        """From when this key may make one more call; None when only the end of an open call, or a person, can tell."""
        state = self.key(key.label)
        state.slack = min((one.slack_ms for one in key.windows if one.slack_ms is not None), default=-1) * 1000
        mine = [one for one in self.calls if one.label == key.label]
        if state.aside or (key.concurrency and sum(one.done is None for one in mine) >= key.concurrency):
            return None
        if state.ill >= ILL and any(one.done is None for one in mine):
            return None
        moments = [self.now, state.until_ms * 1000]
        for window in key.windows:
            opens = self._window_opens(window, self.calls if window.pool else mine, self.key("*") if window.pool else state)
            if opens is None:
                return None
            moments.append(opens)
        for day in key.calendars:
            name, start, end = next(one for one in day.periods(NO_MATTER) if one[1] <= self.now < one[2])
            if self.used(key.label, day, name, start, end) >= day.count:
                moments.append(end + ahead + 1)
        return max(moments)

    def _window_opens(self, window: Window, calls: list[Call], state: Key) -> int | None:
        """The first moment at which fewer calls than it allows are open, stamped within it, or unknown and maybe within it."""
        span, still_open = window.window_ms * 1000, sum(one.done is None for one in calls)
        stamps = [one.done if window.strict else one.early for one in calls if one.done is not None]
        if still_open >= window.count:
            return None
        ends = [int(one) + span + 1 for one in (*stamps, state.full) if one > self.now - span - 1]
        for moment in sorted({self.now, *ends}):
            lost = state.lost_of.get(span, state.lost)
            unknown = (window.count if lost < 0 else lost) if state.full + span >= moment else 0
            if still_open + sum(one + span >= moment for one in stamps) + unknown < window.count:
                return moment
        raise AssertionError("a window that opens at no moment")

    def used(self, label: str, day: Calendar, name: str, start: int, end: int) -> int:
        """Calls of a calendar day: those open in it, and those stamped in it, whichever day they were granted in."""
        ours = [one for one in self.calls if one.label == label and one.granted < end]
        return max(sum(one.done is None or one.done >= start for one in ours), 0) + self.told.get(day.counter(label, name), 0)

    def _close(self, one: Record, *, made: bool, replied: int | None = None, sent: int | None = None) -> None:
        """The end of a call. Not made: it leaves no trace."""
        call, one.call = one.call, None
        if call is None:
            return
        if not made:
            self.calls.remove(call)
            return
        call.done = call.early = replied if replied is not None else self.now
        if sent is not None and sent <= call.done:
            state, trip = self.key(call.label), call.done - sent
            state.fastest = trip if state.trips == 0 else min(state.fastest, trip)
            early = call.done - state.fastest * 0.9 * state.trips / (state.trips + 100)
            state.trips += 1
            if state.slack >= 0:
                early = min(early, sent + state.slack)
            call.early = round(early)

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
        if self.key(one.label).until_ms * 1000 > self.now:
            self._close(one, made=False)
            self._enter(one)
            return "lost", "", 0, 0, "", 0, 0
        one.sent, one.child = max(self.now, one.sent), child
        one.place, one.at_ms = "running", one.sent // 1000 + end_by_ms
        one.calls += 1
        self.full = False
        return "go", one.label, one.attempts, one.calls, "", one.sent - self.now, one.kills

    def finish(
        self, name: str, *, fence: int, batch: bytes, held_again_ms: int, page: str = "", replied_ago: int = 0,
        sent_ago: int | None = None, unsent: bool = False,
    ) -> bool:  # fmt: skip
        one = self._leased(name, fence)
        if one is None:
            return False
        self._close(
            one, made=not unsent, replied=self.now - replied_ago, sent=None if sent_ago is None else self.now - sent_ago
        )
        one.calls -= unsent
        state = self.key(one.label)
        state.strikes, state.ill, state.ill_by = 0, 0, ""
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
        return True

    def requeue(self, name: str, *, fence: int, label: str, pause_ms: int = 0, then: str = "", unsent: bool = False) -> bool:
        one, state = self.records.get(name), self.key(label)
        if then == "aside":
            state.aside = "why"
            self.events["refused"] += 1
        elif pause_ms:
            if then == "grow":
                sent = one.sent if one else 0
                rests = state.until_ms > self.now_ms
                if state.strikes == 0 or (not rests and sent > state.struck):
                    state.strikes, state.struck = state.strikes + 1, self.now
                pause_ms *= 2 ** min(state.strikes - 1, 6)
            self.pause(label, pause_ms=pause_ms)
            self.events["refused"] += 1
        if one is None or one.place not in ("granted", "running") or one.fence != fence:
            return False
        ran = one.place == "running"
        self._close(one, made=ran and not unsent)
        one.calls -= ran and unsent
        if self._still_wanted(one):
            self._enter(one)
        return True

    def rest_if_unhealthy(self, name: str, *, fence: int, label: str, rest_ms: int, unsent: bool = False) -> bool:
        state = self.key(label)
        if state.ill_by != name:
            state.ill, state.ill_by = state.ill + 1, name
        if state.ill < ILL:
            return False
        one = self.records.get(name)
        if state.strikes and state.until_ms <= self.now_ms and one and one.sent > state.struck:
            state.strikes, state.struck = state.strikes + 1, self.now
            self.pause(label, pause_ms=rest_ms * 2 ** min(state.strikes - 1, 6))
            self.events["refused"] += 1
            if self._leased(name, fence):
                one.tag = 0
            return False
        self.requeue(name, fence=fence, label=label, pause_ms=rest_ms, then="grow", unsent=unsent)
        return True

    def return_grants(self, grants: Sequence[tuple[str, int]]) -> int:
        taken = 0
        for name, fence in grants:
            one = self.records.get(name)
            if one and one.place == "granted" and one.fence == fence:
                self._close(one, made=False)
                self._enter(one)
                taken += 1
        return taken

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

    def _leased(self, name: str, fence: int) -> Record | None:
        one = self.records.get(name)
        return one if one and one.place == "running" and one.fence == fence else None

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

    def release_claims(self, names: Sequence[str], *, again_ms: int) -> int:
        held = [one for name in names if (one := self.records.get(name)) and one.place == "held"]
        for one in held:
            one.tries, one.at_ms = 0, self.now_ms + again_ms
        return len(held)

    def settle(self, name: str, *, outcome: str) -> bool:
        one = self.records.get(name)
        if one is None:
            return False
        if one.place == "held" and one.kind == "held":
            self.away = False
        self.stored_ms = self.now_ms if one.batch else self.stored_ms
        told_any = any(message for message, _ in one.waiters.values())
        self.full = self.full and told_any  # who is woken for the told looks at everything
        self._close(one, made=one.place == "running")
        for who, (message, _) in one.waiters.items():
            if message:
                told = Record(who, "", 0, "", 0, who, place="held", kind="answered", message=message, reason=outcome)
                told.at_ms, self.records[who] = self.now_ms, told
                self.tasks[who.removeprefix("task:")] = who
        self.tasks.pop(one.owner.removeprefix("task:"), None)
        self._forget(one)
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
            self._forget(one)
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

    # --- keys, and the past ---------------------------------------------------------------------------------------

    def pause(self, label: str, *, pause_ms: int) -> bool:
        state = self.key(label)
        if self.now_ms + pause_ms <= state.until_ms:
            return False
        state.until_ms = self.now_ms + pause_ms
        self.events["paused"] += 1
        return True

    def resume(self, label: str) -> None:
        state = self.key(label)
        state.until_ms = state.strikes = state.struck = state.ill = 0
        state.ill_by = ""
        state.aside = ""

    def restore(
        self, labels: dict[str, tuple[bool, int, dict[int, int]]], *, old: str, new: str, late_ms: int, step_ms: int, kept: bool
    ) -> str:
        """`labels`: label -> (was it ever called with, how many calls may have been lost, what long windows hold at most)."""
        if self.epoch and self.epoch != old:
            return self.epoch
        together = 0
        of_all = {length: 0 for _, _, marked in labels.values() for length in marked}
        for label, (used, may_be_lost, marked) in labels.items():
            seen = any(one.label == label for one in self.calls)
            lost = (may_be_lost if kept else -1) if used or seen else 0
            self._fill(label, lost, late_ms, step_ms, marked)
            together = -1 if -1 in (lost, together) else together + lost
            of_all = {length: calls + marked.get(length, 0) for length, calls in of_all.items() if not lost or length in marked}
        self._fill("*", together, late_ms, step_ms, of_all)
        if step_ms:
            self.calls = [one for one in self.calls if one.done is None]
            for one in self.records.values():
                if one.call:
                    one.sent += step_ms * 1000
                if one.place not in ("ready", "newer") and (one.place != "delayed" or one.tag):
                    one.at_ms += step_ms
        self.epoch = new
        return new

    def _fill(self, label: str, lost: int, late_ms: int, step_ms: int, marked: dict[int, int]) -> None:
        state = self.key(label)
        if step_ms:
            state.trips = state.struck = 0
            state.until_ms += step_ms if state.until_ms else 0
        if lost == 0:
            return
        if lost > 0:
            # What an append-only file lacks comes on top of what a window had lost before and may still hold.
            state.lost_of = {
                length: lost + (before if state.full + length >= self.now else 0) for length, before in state.lost_of.items()
            }
        else:
            # Open calls and stamps count by themselves; a step of the clock takes the stamps.
            own = [one for one in self.calls if label == one.label or (label == "*" and one.done is not None)]
            told = {
                length: sum(one.done is None or (one.early >= self.now - length and not step_ms) for one in own)
                for length in marked
            }
            state.lost_of = {length: max(0, calls - told[length]) for length, calls in marked.items()}
        # What an earlier hole may hide is not forgotten by a later one; a day on, no window of ours reaches back to it.
        if state.lost and state.full + DAY_US >= self.now:
            lost = -1 if -1 in (lost, state.lost) else lost + state.lost
        state.full, state.lost = self.now + late_ms * 1000, lost
