"""Epoch: does this Redis still know its past, and does its clock go on? A gate that can't account for its past is full.

An epoch's name begins with the server's run id. It is over when the key is missing (an emptied Redis), when the run id is
another (a restart: the append-only file may lack its last second), or when Redis's clock has left our monotonic estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from quotas.gate import Gate
from quotas.values import KeyPast

#: What tells the past of a pool's keys, from the ledger.
Pasts = Callable[[], Sequence[KeyPast]]


@dataclass(slots=True)
class Epoch:
    """What one releaser knows of one gate, since it connected. Make a new one after every lost connection."""

    gate: Gate
    pasts: Pasts
    give_up_ms: int
    name: str = ""
    _offset_us: int = 0

    def clock_us(self) -> int:
        """Where Redis's clock should be now, by our monotonic clock."""
        return time.monotonic_ns() // 1000 + self._offset_us

    def begin(self) -> bool:
        """Takes part in the epoch in force, or begins one. True if the past had to be restored."""
        self._set_clock()
        standing = self.gate.epoch()
        run_id = str(self.gate.redis.info("server")["run_id"])
        if standing.startswith(f"{run_id}:"):
            self.name = standing
            return False
        self._restore(old=standing, run_id=run_id)
        return True

    def clock_has_stepped(self) -> bool:
        """Looks again, closely: a slow answer is no step. If it is one, the past is restored."""
        drift_us = min((abs(self._measured_offset_us() - self._offset_us) for _ in range(5)), default=0)
        if drift_us < 200_000:
            return False
        self._set_clock()
        self._restore(old=self.name, run_id=self.name.partition(":")[0])
        return True

    def _restore(self, *, old: str, run_id: str) -> None:
        self.name = self.gate.restore(
            old=old, new=f"{run_id}:{uuid4().hex[:12]}", pasts=self.pasts(), give_up_ms=self.give_up_ms
        )

    def _set_clock(self) -> None:
        self._offset_us = self._measured_offset_us()

    def _measured_offset_us(self) -> int:
        before = time.monotonic_ns()
        seconds, micros = self.gate.redis.time()
        after = time.monotonic_ns()
        return int(seconds) * 1_000_000 + int(micros) - (before + after) // 2000
