"""Epoch: does this Redis still know its past, and does its clock go on? A gate that can't account for its past is full.

An epoch's name begins with the server's run id. It is over when the key is missing (an emptied Redis), when the run id is
another (a restart: the append-only file may lack its last second), or when Redis's clock has left our monotonic estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from quotas.gate import Gate
from quotas.values import KeyPast

#: What tells the past of a pool's keys, from the ledger.
Pasts = Callable[[], Sequence[KeyPast]]

#: Clocks are compared this often; what they part by meanwhile, at most, is drift.
_LOOK_AGAIN_NS: Final = 10_000_000_000
_DRIFT_US: Final = 100_000


@dataclass(slots=True)
class Epoch:
    """What one releaser knows of one gate, since it connected. Make a new one after every lost connection."""

    gate: Gate
    pasts: Pasts
    late_ms: int
    name: str = ""
    _offset_us: int = 0
    _looked_ns: int = 0

    def clock_us(self) -> int:
        """Where Redis's clock should be now, by our monotonic clock. Two good clocks part by seconds a day: that is no step."""
        if time.monotonic_ns() - self._looked_ns > _LOOK_AGAIN_NS:
            measured_us = self._measured_offset_us()
            if abs(measured_us - self._offset_us) < _DRIFT_US:
                self._offset_us, self._looked_ns = measured_us, time.monotonic_ns()
        return time.monotonic_ns() // 1000 + self._offset_us

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
        kept = bool(standing) and self.gate.redis.info("persistence").get("aof_enabled") == 1
        self._restore(old=standing, run_id=run_id, kept=kept)
        return True

    def clock_has_stepped(self) -> bool:
        """Looks again, closely: a slow answer is no step. If it is one, the past is restored."""
        drift_us = min((abs(self._measured_offset_us() - self._offset_us) for _ in range(5)), default=0)
        if drift_us < 200_000:
            return False
        before_us = self._offset_us
        self._set_clock()
        step_ms = (self._offset_us - before_us) // 1000
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

    def _set_clock(self) -> None:
        self._offset_us, self._looked_ns = self._measured_offset_us(), time.monotonic_ns()

    def _measured_offset_us(self) -> int:
        before = time.monotonic_ns()
        seconds, micros = self.gate.redis.time()
        after = time.monotonic_ns()
        return int(seconds) * 1_000_000 + int(micros) - (before + after) // 2000
