"""The keys of which the state machine takes one pool: every kind of window, day and cap, alone and together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from marketfetch.quotas.limits import KeyLimits
from marketfetch.quotas.values import StoreTurn

#: label -> limits, calls a day (0: no such limit), concurrency
POOLS: Final[dict[str, dict[str, tuple[list[str], int, int | None]]]] = {
    "one strict window": {"x": (["3/20seconds"], 0, None)},
    "a short window and a cap": {"x": (["2/2seconds"], 0, 2)},
    "two windows, one with slack": {"x": (["3/second;slack=300ms", "5/30seconds"], 0, None)},
    "two keys with days": {"x": (["3/20seconds"], 4, None), "y": ([], 3, 1)},
    "windows that are marked": {"x": (["2/5seconds", "4/90seconds"], 0, None), "y": (["3/70seconds"], 0, None)},
    "keys that share a marked window": {"x": (["4/90seconds;pool"], 0, None), "y": (["4/90seconds;pool"], 0, None)},
    "a day alone": {"x": ([], 3, None)},
    "keys that share a window": {"x": (["3/5seconds;pool", "2/5seconds"], 0, None), "y": (["3/5seconds;pool"], 5, None)},
    "no limit": {"x": ([], 0, None), "y": ([], 0, 3)},
}
LATE_MS: Final = 10_000
START_BY_MS: Final = 10_000
END_BY_MS: Final = 25_000
HELD_AGAIN_MS: Final = 20_000
UNSTORED_MS: Final = 7_000
IDS: Final = ("a", "b", "c", "d", "e", "f")
JOBS: Final = ("J1", "J2")
#: Two processes that store in turn, one that stores a large batch of its own, and one whose time is over. No turn expires by
#: itself, as the tests have a clock of their own.
TURNS: Final = tuple(
    StoreTurn(name, lasts_ms=1 << 40, busy_ms=HELD_AGAIN_MS, most=most, most_bytes=9, own=own)
    for name, most, own in (("child 1", 2, False), ("child 2", 9, False), ("child 3", 9, True), ("child 1", 0, False))
)
pick = st.integers(0, 11)


def may_hold(key: KeyLimits, marks: Sequence[int], now: int) -> dict[int, int]:
    """What each long window can hold: a call is at the vendor half a minute after its mark at the latest."""
    lengths = [one.window_ms * 1000 for one in key.reserved_windows]
    return {length: sum(at >= now - length - 30_000_000 for at in marks) for length in lengths}
