"""Epoch: does this Redis still know its past, and does its clock go on? A gate that can't account for its past is full.

An epoch's name begins with the server's run id. It is over when the key is missing (an emptied Redis), when the run id is
another (a restart: the append-only file may lack its last second), or when Redis's clock has left our estimate by a clock that
never steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import uuid4

from marketfetch.quotas.gate import Gate
from marketfetch.quotas.values import KeyPast

#: What tells the past of a pool's keys, from the ledger.
Pasts = Callable[[], Sequence[KeyPast]]


class Over(NamedTuple):
    """Requests that the ledger shows as over: id -> its answer, JSON. `called_ms`: when the last of them was called."""

    answers: Mapping[str, str]
    called_ms: int


#: What tells, in pieces, the requests that were over at a Unix time in ms or later, from the ledger.
OverSince = Callable[[int], Iterable[Over]]

#: Clocks are compared this often; what they part by meanwhile, at most, is drift.
_LOOK_AGAIN_NS: Final = 10_000_000_000
_DRIFT_US: Final = 100_000
_STEP_US: Final = 200_000
#: An answer is looked for that came as quickly as this, so often at most.
_QUICK_US: Final = 20_000
_LOOKS: Final = 5

#: The ledger's clock and Redis's are two, and the gate is told a moment after the ledger.
_OVER_BEFORE_MS: Final = 60_000
#: An append-only file lacks two seconds at most. The rest is for a worker's clock.
_LACKS_MS: Final = 10_000

#: It goes on while this machine sleeps, as Redis's clock does: Linux's CLOCK_MONOTONIC stands still then, macOS's does not.
#: https://man7.org/linux/man-pages/man2/clock_gettime.2.html
_STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_ns() -> int:
    """A clock that never steps and never stands still."""
    return time.clock_gettime_ns(_STEADY)


def _nothing(_since_ms: int) -> Iterable[Over]:
    return ()


@dataclass(slots=True)
class Epoch:
    """What one releaser knows of one gate, since it connected. Make a new one after every lost connection."""

    gate: Gate
    pasts: Pasts
    late_ms: int
    name: str = ""
    over_since: OverSince = _nothing
    _offset_us: int = 0
    #: By how much the offset may be wrong: half the round trip in which it was measured.
    _doubt_us: int = 0
    _looked_ns: int = 0

    def clock_us(self) -> int:
        """Where Redis's clock should be now, by a steady one. Two good clocks part by seconds a day: that is no step."""
        if steady_ns() - self._looked_ns > _LOOK_AGAIN_NS:
            measured_us, doubt_us = self._measured()
            if abs(measured_us - self._offset_us) < _DRIFT_US:
                self._take(measured_us, doubt_us)
        return steady_ns() // 1000 + self._offset_us

    def begin(self) -> bool:
        """Takes part in the epoch in force, or begins one. True if the past had to be restored."""
        self._set_clock()
        standing = self.gate.epoch()
        run_id = str(self.gate.redis.info("server")["run_id"])
        if standing.startswith(f"{run_id}:"):
            self.name = standing
            ahead_ms = self._stamped_ahead_ms()
            if ahead_ms:
                # The clock was set back while nobody looked.
                self._restore(old=standing, run_id=run_id, step_ms=-ahead_ms)
            return bool(ahead_ms)
        kept = bool(standing) and self.gate.redis.info("persistence").get("aof_enabled") == 1 and self._settle_what_is_over()
        self._restore(old=standing, run_id=run_id, kept=kept)
        return True

    def clock_has_stepped(self) -> bool:
        """Looks again, closely: a slow answer, now or when the offset was measured, is no step. If it is one, the past is
        restored.
        """
        measured_us, doubt_us = self._measured()
        step_us, could_be_us = measured_us - self._offset_us, doubt_us + self._doubt_us
        if doubt_us < self._doubt_us or abs(step_us) >= _STEP_US + could_be_us:
            self._take(measured_us, doubt_us)
        if abs(step_us) < _STEP_US + could_be_us:
            return False
        step_ms = step_us // 1000
        self._restore(old=self.name, run_id=self.name.partition(":")[0], step_ms=step_ms)
        return True

    def _stamped_ahead_ms(self) -> int:
        """By how much the latest stamp lies in a future that can't be; 0 if it does not."""
        latest = self.gate.redis.zrevrange(f"{self.gate.prefix}done:*", 0, 0, withscores=True)
        if not latest:
            return 0
        ahead_ms = (int(float(latest[0][1])) - self.clock_us()) // 1000
        return ahead_ms if ahead_ms > self.late_ms + 1_000 else 0

    def _restore(self, *, old: str, run_id: str, step_ms: int = 0, kept: bool = False) -> None:
        new, pasts = f"{run_id}:{uuid4().hex[:12]}", self.pasts()
        self.name = self.gate.restore(old=old, new=new, pasts=pasts, late_ms=self.late_ms, step_ms=step_ms, kept=kept)

    def _settle_what_is_over(self) -> bool:
        """What an append-only file lacks may be that a request was settled: it would be made again, though it is stored.

        Before the epoch begins, so that nobody admits meanwhile. A request that a user's task owns stays: the task asks the
        ledger itself, and is told. False when the file is much older than the server's end: an old copy was put back.
        """
        remembered_ms = self._remembered_ms()
        whole = True
        for some in self.over_since(remembered_ms - _OVER_BEFORE_MS):
            whole = whole and some.called_ms <= remembered_ms + _LACKS_MS
            with self.gate.redis.pipeline(transaction=False) as pipe:
                for one in some.answers:
                    pipe.hmget(f"{self.gate.prefix}req:{one}", "s", "m")
                records = pipe.execute()
            for (one, answer), (state, message) in zip(some.answers.items(), records, strict=True):
                if state and not message:
                    self.gate.settle(one, answer=answer)
        return whole

    def _remembered_ms(self) -> int:
        """The latest moment of which this Redis knows: of its last call, or of its last look when there was none to make."""
        latest = self.gate.redis.zrevrange(f"{self.gate.prefix}done:*", 0, 0, withscores=True)
        fine_ms = self.gate.redis.hget(f"{self.gate.prefix}counts", "fine")
        return max(int(float(latest[0][1])) // 1000 if latest else 0, int(fine_ms or 0))

    def _set_clock(self) -> None:
        self._take(*self._measured())

    def _take(self, offset_us: int, doubt_us: int) -> None:
        self._offset_us, self._doubt_us, self._looked_ns = offset_us, doubt_us, steady_ns()

    def _measured(self) -> tuple[int, int]:
        """Redis's clock less ours, and by how much that may be wrong, from the quickest of some answers."""
        best = self._answer()
        for _ in range(_LOOKS - 1):
            if best[1] <= _QUICK_US:
                break
            best = min(best, self._answer(), key=lambda one: one[1])
        return best

    def _answer(self) -> tuple[int, int]:
        before = steady_ns()
        seconds, micros = self.gate.redis.time()
        after = steady_ns()
        return int(seconds) * 1_000_000 + int(micros) - (before + after) // 2000, (after - before) // 2000
