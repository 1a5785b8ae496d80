"""The machine of a measurement, and the CPU of its processes by the kernel's account."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import psutil


def busy() -> str:
    """The load of the last minute and the cores, as a report says it."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {platform.python_version()}"


def family(pid: int) -> list[int]:
    """A process and all that it has started, as process ids."""
    return [pid, *(one.pid for one in psutil.Process(pid).children(recursive=True))]


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds of these processes, without those that have ended. The kernel counts nanoseconds per thread."""
    threads = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9
