"""How much more memory this process needed at its worst than when the measurement began, as the kernel counts it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


class PeakMemory:
    """Linux can forget an earlier peak (https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html); elsewhere only a
    peak above all earlier ones is seen."""

    def __init__(self) -> None:
        if _STATUS.exists():
            Path("/proc/self/clear_refs").write_text("5")
        self._began_mb = self._now_mb()

    def grown_mb(self) -> float:
        """The peak since the beginning, less what was there then."""
        return self._now_mb() - self._began_mb

    @staticmethod
    def _now_mb() -> float:
        if _STATUS.exists():
            (line,) = (one for one in _STATUS.read_text().splitlines() if one.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024 / 1e6
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
