"""The model's keys: when one may make its next call, what a window or a day has used, and what an emptied Redis may hide."""

from __future__ import annotations

from marketfetch.quotas.limits import Calendar, KeyLimits, Window
from tests.quotas.model_records import DAY_US, ILL, NO_MATTER, Call, Key, ModelOfRecords, Record


class ModelOfKeys(ModelOfRecords):
    """What is known of one pool's keys."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.calls: list[Call] = []
        self.keys: dict[str, Key] = {}
        self.told: dict[str, int] = {}
        self.epoch = ""
        self.events = dict.fromkeys(("parked", "admitted", "paused", "refused", "expired"), 0)

    def key(self, label: str) -> Key:
        return self.keys.setdefault(label, Key())

    # --- how many calls there may be --------------------------------------------------------------------------------

    def _opens(self, key: KeyLimits, ahead: int) -> int | None:
        """From when this key may make one more call; None when only the end of an open call, or a person, can tell."""
        state = self.key(key.label)
        state.slack = min((one.slack_ms for one in key.windows if one.slack_ms is not None), default=-1) * 1000
        mine = [one for one in self.calls if one.label == key.label]
        if state.aside or (key.concurrency and sum(one.done is None for one in mine) >= key.concurrency):
            return None
        if (state.ill >= ILL or state.suspect) and any(one.done is None for one in mine):
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

    # --- what a person says, and what an epoch begins with ----------------------------------------------------------

    def pause(self, label: str, *, pause_ms: int) -> bool:
        state = self.key(label)
        if self.now_ms + pause_ms <= state.until_ms:
            return False
        state.until_ms = self.now_ms + pause_ms
        self.events["paused"] += 1
        return True

    def resume(self, label: str) -> None:
        state = self.key(label)
        state.until_ms = state.strikes = state.struck = state.ill = state.suspect = state.unknown = state.sentences = 0
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
            state.suspect += step_ms * 1000 if state.suspect else 0
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
