"""Epoch: detects that Redis has lost its call history or that its clock has stepped; the gate then counts as full.

An epoch's name begins with the server's run id. It ends when the key is missing (an emptied Redis), when the run id differs
(a restart: the append-only file may lack its last second; a failover: the replica may lack more), or when Redis's clock departs
from our estimate by a clock that never steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import uuid4

from marketfetch.quotas.gate import Gate
from marketfetch.quotas.values import KeyHistory

#: Returns the histories of a pool's keys, from the ledger.
KeyHistories = Callable[[], Sequence[KeyHistory]]


class EndedRequests(NamedTuple):
    """Requests in the ledger: id -> outcome, JSON. `called_ms`: the Unix time of the latest call among them."""

    outcomes: Mapping[str, str]
    called_ms: int


#: Returns, in pieces, the requests that had ended at a Unix time in ms or later, from the ledger.
EndedSince = Callable[[int], Iterable[EndedRequests]]

#: Clocks are compared this often; a smaller difference than _DRIFT_US is drift, a larger one than _STEP_US a step.
_COMPARE_EVERY_NS: Final = 10_000_000_000
_DRIFT_US: Final = 100_000
_STEP_US: Final = 200_000
#: A measurement with at most this half round trip is good enough, after at most so many attempts.
_QUICK_US: Final = 20_000
_ATTEMPTS: Final = 5

#: The ledger's clock and Redis's differ, and the gate settles a request a moment after the ledger has its row.
_ENDED_BEFORE_MS: Final = 60_000
#: An append-only file lacks two seconds at most; the rest allows for a worker's clock.
_LACKS_MS: Final = 10_000

#: CLOCK_BOOTTIME runs while the machine sleeps, as Redis's clock does. Linux's CLOCK_MONOTONIC stands still then, macOS's
#: does not. https://man7.org/linux/man-pages/man2/clock_gettime.2.html
_STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_ns() -> int:
    """Nanoseconds of a clock that never steps and never stands still."""
    return time.clock_gettime_ns(_STEADY)


def _nothing(_since_ms: int) -> Iterable[EndedRequests]:
    return ()


@dataclass(slots=True)
class Epoch:
    """One releaser's view of one gate, for the life of its connection. The releaser creates a new one after every reconnect."""

    gate: Gate
    histories: KeyHistories
    late_ms: int
    name: str = ""
    ended_since: EndedSince = _nothing
    _offset_us: int = 0
    #: The measurement error of the offset: half the round trip in which it was measured.
    _error_us: int = 0
    _compared_ns: int = 0

    def clock_us(self) -> int:
        """The expected time of Redis's clock, by a steady one. Two good clocks drift by seconds a day, which is no step."""
        if steady_ns() - self._compared_ns > _COMPARE_EVERY_NS:
            measured_us, error_us = self._measured()
            if abs(measured_us - self._offset_us) < _DRIFT_US:
                self._set_offset(measured_us, error_us)
        return steady_ns() // 1000 + self._offset_us

    def begin(self) -> bool:
        """Joins the epoch in force, or begins one. True if the call history had to be restored."""
        self._set_clock()
        standing = self.gate.epoch()
        run_id = str(self.gate.redis.info("server")["run_id"])
        if standing.startswith(f"{run_id}:"):
            self.name = standing
            ahead_ms = self._stamped_ahead_ms()
            if ahead_ms:
                # The clock was set back while no releaser was connected.
                self._restore(old=standing, run_id=run_id, step_ms=-ahead_ms)
            return bool(ahead_ms)
        kept = bool(standing) and self._settle_ended() and self._lacks_seconds_at_most()
        self._restore(old=standing, run_id=run_id, kept=kept)
        return True

    def clock_has_stepped(self) -> bool:
        """Measures the clock again: a slow round trip, now or at the earlier measurement, is no step. A step restores the
        call history.
        """
        measured_us, error_us = self._measured()
        step_us, tolerance_us = measured_us - self._offset_us, error_us + self._error_us
        if error_us < self._error_us or abs(step_us) >= _STEP_US + tolerance_us:
            self._set_offset(measured_us, error_us)
        if abs(step_us) < _STEP_US + tolerance_us:
            return False
        step_ms = step_us // 1000
        self._restore(old=self.name, run_id=self.name.partition(":")[0], step_ms=step_ms)
        return True

    def _lacks_seconds_at_most(self) -> bool:
        """True for a server that has loaded its append-only file. A replica that was promoted may lack any number of calls."""
        promoted = set(str(self.gate.redis.info("replication").get("master_replid2", ""))) - {"0"}
        return self.gate.redis.info("persistence").get("aof_enabled") == 1 and not promoted

    def _stamped_ahead_ms(self) -> int:
        """By how much the latest stamp lies in an impossible future; 0 if it does not."""
        latest = self.gate.redis.zrevrange(f"{self.gate.prefix}done:*", 0, 0, withscores=True)
        if not latest:
            return 0
        ahead_ms = (int(float(latest[0][1])) - self.clock_us()) // 1000
        return ahead_ms if ahead_ms > self.late_ms + 1_000 else 0

    def _restore(self, *, old: str, run_id: str, step_ms: int = 0, kept: bool = False) -> None:
        new, histories = f"{run_id}:{uuid4().hex[:12]}", self.histories()
        self.name = self.gate.restore(old=old, new=new, histories=histories, late_ms=self.late_ms, step_ms=step_ms, kept=kept)

    def _settle_ended(self) -> bool:
        """Settles requests that the ledger has: an append-only file may lack their settling, and they would be fetched again.

        This runs before the epoch begins, so that no releaser admits meanwhile. A request that a user's task owns stays: the
        task reads the ledger itself. False when the file is much older than the server's end: an old copy was restored.
        """
        remembered_ms = self._remembered_ms()
        whole = True
        for some in self.ended_since(remembered_ms - _ENDED_BEFORE_MS):
            whole = whole and some.called_ms <= remembered_ms + _LACKS_MS
            with self.gate.redis.pipeline(transaction=False) as pipe:
                for one in some.outcomes:
                    pipe.hmget(f"{self.gate.prefix}req:{one}", "s", "m")
                records = pipe.execute()
            for (one, outcome), (state, message) in zip(some.outcomes.items(), records, strict=True):
                if state and not message:
                    self.gate.settle(one, outcome=outcome)
        return whole

    def _remembered_ms(self) -> int:
        """The latest moment that this Redis remembers: of its last call, or of its last admit when there was none to make."""
        latest = self.gate.redis.zrevrange(f"{self.gate.prefix}done:*", 0, 0, withscores=True)
        fine_ms = self.gate.redis.hget(f"{self.gate.prefix}counts", "fine")
        return max(int(float(latest[0][1])) // 1000 if latest else 0, int(fine_ms or 0))

    def _set_clock(self) -> None:
        self._set_offset(*self._measured())

    def _set_offset(self, offset_us: int, error_us: int) -> None:
        self._offset_us, self._error_us, self._compared_ns = offset_us, error_us, steady_ns()

    def _measured(self) -> tuple[int, int]:
        """Redis's clock minus ours, with the measurement error, from the quickest of some round trips."""
        best = self._measure()
        for _ in range(_ATTEMPTS - 1):
            if best[1] <= _QUICK_US:
                break
            best = min(best, self._measure(), key=lambda one: one[1])
        return best

    def _measure(self) -> tuple[int, int]:
        before = steady_ns()
        seconds, micros = self.gate.redis.time()
        after = steady_ns()
        return int(seconds) * 1_000_000 + int(micros) - (before + after) // 2000, (after - before) // 2000
