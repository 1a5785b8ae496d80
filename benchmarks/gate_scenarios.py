"""The judged scenarios: limits, number of calls, and the time of an ideal caller without any delay."""

from __future__ import annotations

from dataclasses import dataclass

from marketfetch.quotas import key_limits


@dataclass(frozen=True, slots=True)
class Scenario:
    """`keys`: each key's limits, as settings write them. `calls` is n, at least ten times what one window holds."""

    name: str
    keys: tuple[tuple[str, ...], ...]
    calls: int
    concurrency: int | None = None

    @property
    def limits(self) -> dict[str, tuple[str, ...]]:
        """Label -> limits."""
        return {f"key{number}": texts for number, texts in enumerate(self.keys, 1)}

    @property
    def window_s(self) -> float:
        """The shortest window of the first key."""
        return min(window for _, window in _windows(self.keys[0]))

    @property
    def count(self) -> int:
        """The calls that all keys together may make in that window."""
        return sum(min(_windows(texts), key=lambda one: one[1])[0] for texts in self.keys)

    def ideal_s(self, calls: int | None = None) -> float:
        """Seconds from the first to the last of n calls that arrive the moment every window of a key allows them."""
        moments: list[float] = []
        calls = calls or self.calls
        for texts in self.keys:
            moments += _earliest(_windows(texts), calls)
        return sorted(moments)[calls - 1]

    def shortened(self, by: int) -> Scenario:
        return Scenario(self.name, self.keys, max(self.calls // by, self.count + 1), self.concurrency)


SCENARIOS = (
    Scenario("50/s", (("50/second",),), 6000),
    Scenario("20/6 s + 100/60 s", (("20/6seconds", "100/60seconds"),), 400),
    Scenario("20/6 s", (("20/6seconds",),), 2400),
    Scenario("5/6 s", (("5/6seconds",),), 600),
    Scenario("30/10 s, 3 at once", (("30/10seconds",),), 1500, concurrency=3),
    Scenario("5 + 10 + 20 per 6 s", (("5/6seconds",), ("10/6seconds",), ("20/6seconds",)), 4200),
)


def _windows(texts: tuple[str, ...]) -> list[tuple[int, float]]:
    return [(window.count, window.window_ms / 1000) for window in key_limits("x", texts).windows]


def _earliest(windows: list[tuple[int, float]], calls: int) -> list[float]:
    """Arrival k may follow arrival k - N by W: for all windows at once, the earliest possible moments."""
    moments: list[float] = []
    for number in range(calls):
        moments.append(max((moments[number - n] + s for n, s in windows if number >= n), default=0.0))
    return moments
