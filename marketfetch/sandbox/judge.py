"""The judge of limits: a plain log of monotonic arrival times, without tolerance, refused calls counted too.

It ignores refusals: a violation of a key's limits counts the same, refused or served.
A call is a violation of a limit N per W when, with it, more than N calls arrived within the window (t - W, t].
A call is a violation of a concurrency cap C when, with it, more than C calls were open; a call is open from its arrival until
its reply has been sent.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from marketfetch.sandbox.limiter import Limit


@dataclass(slots=True)
class Window:
    """The arrivals that still count for one limit of one key."""

    limit: Limit
    recent: deque[float] = field(default_factory=deque)
    period: int | None = None
    violations: int = 0
    most: int = 0

    def arrive(self, at: float, wall_s: float) -> int:
        """Counts an arrival; returns how many stand in its window, it included."""
        if self.limit.zone is not None:
            period = self.limit.period(wall_s)
            if period != self.period:
                self.recent.clear()
                self.period = period
        else:
            while self.recent and self.recent[0] <= at - self.limit.window_s:
                self.recent.popleft()
        self.recent.append(at)
        used = len(self.recent)
        self.most = max(self.most, used)
        self.violations += used > self.limit.count
        return used


@dataclass(slots=True)
class KeyLog:
    """The log of one key of one vendor. `cut`: good replies whose client disconnected before their last byte was sent."""

    windows: list[Window] = field(default_factory=list)
    concurrency: int | None = None
    open: int = 0
    most_open: int = 0
    over_concurrency: int = 0
    arrivals: list[tuple[float, str]] = field(default_factory=list)
    cut: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)

    def judge(self, limits: tuple[Limit, ...], concurrency: int | None) -> None:
        """Sets the limits from now on; a limit that was judged before keeps its history, a new one is judged from the log."""
        known = {window.limit: window for window in self.windows}
        self.windows = [known.get(limit) or self._replayed(limit) for limit in limits]
        self.concurrency = concurrency

    def arrive(self, at: float, wall_s: float, symbol: str) -> None:
        """Logs the arrival of a call at this monotonic time."""
        self.arrivals.append((at, symbol))
        for window in self.windows:
            window.arrive(at, wall_s)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.over_concurrency += self.concurrency is not None and self.open > self.concurrency

    def leave(self, status: str, served: str | None) -> None:
        """Logs the end of a call: its reply was sent, or abandoned. `served` is the symbol whose rows were sent, if any."""
        self.open -= 1
        self.statuses[status] += 1
        if served:
            self.served[served] += 1

    def over(self) -> Window | None:
        """The limit that the latest arrival broke; of several, the one that opens last."""
        broken = [window for window in self.windows if len(window.recent) > window.limit.count]
        return max(broken, key=lambda window: window.limit.window_s, default=None)

    @property
    def too_many_open(self) -> bool:
        return self.concurrency is not None and self.open > self.concurrency

    def report(self, *, full: bool) -> dict[str, Any]:
        """The log as JSON. Arrival times are seconds of the sandbox's monotonic clock."""
        found: dict[str, Any] = {
            "calls": len(self.arrivals),
            "violations": sum(window.violations for window in self.windows) + self.over_concurrency,
            "limits": {window.limit.text: {"violations": window.violations, "most": window.most} for window in self.windows},
            "concurrency": {"cap": self.concurrency, "most": self.most_open, "violations": self.over_concurrency},
            "open": self.open,
            "cut": self.cut,
            "statuses": dict(self.statuses),
            "served": dict(self.served),
        }
        if full:
            found["arrivals"] = [[round(at, 6), symbol] for at, symbol in self.arrivals]
        return found

    def _replayed(self, limit: Limit) -> Window:
        window = Window(limit)
        if limit.zone is None:
            for at, _ in self.arrivals:
                window.arrive(at, 0.0)
        return window


@dataclass(slots=True)
class Judge:
    """One log for each vendor's key."""

    keys: dict[tuple[str, str], KeyLog] = field(default_factory=dict)

    def of(self, vendor: str, key: str) -> KeyLog:
        return self.keys.setdefault((vendor, key), KeyLog())

    def report(self, *, full: bool = False) -> dict[str, Any]:
        """vendor -> key -> log, with totals on top."""
        vendors: dict[str, dict[str, Any]] = {}
        for (vendor, key), log in self.keys.items():
            vendors.setdefault(vendor, {})[key] = log.report(full=full)
        each = [log for logs in vendors.values() for log in logs.values()]
        totals = {name: sum(log[name] for log in each) for name in ("calls", "violations")}
        return {**totals, "providers": vendors}
