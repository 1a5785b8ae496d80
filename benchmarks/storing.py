"""Reply bytes to stored rows, reply by reply, with the floors taken in turn so that a slow moment hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.floors import Floor
from benchmarks.replies import make, read
from storage.store import Store

FRESH, AGAIN = "reply to stored", "the same again"


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's median over all replies, in ms; `of_floor` is that divided by the first floor's."""

    name: str
    median_ms: float
    store_ms: float | None
    rows_per_second: float
    of_floor: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def measure(store: Store, floors: dict[str, Floor], *, replies: int, bars: int, told: Callable[[str], None]) -> list[Line]:
    """Stores `replies` replies of `bars` bars, then the same once more; the floors take the same rows in between."""
    store.create()
    whole: dict[str, list[float]] = {}
    stored: dict[str, list[float]] = {}

    def timed(name: str, number: int, called_at_ms: int) -> None:
        asked = make(number, bars)
        start = time.perf_counter()
        batch = read(asked, called_at_ms=called_at_ms)
        between = time.perf_counter()
        assert store.store([batch]) == [True]
        end = time.perf_counter()
        assert batch.ledger.rows == bars
        whole.setdefault(name, []).append(end - start)
        stored.setdefault(name, []).append(end - between)

    for number in range(replies):
        timed(FRESH, number, 1_000)
        batch = read(make(number, bars), called_at_ms=1_000)
        names = list(floors)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            whole.setdefault(name, []).append(floors[name](number, batch))
        told(f"{number + 1} of {replies} replies")
    for number in range(replies):
        timed(AGAIN, number, 2_000)
        told(f"again, {number + 1} of {replies} replies")

    floor = statistics.median(whole[next(iter(floors))])
    return [_line(name, whole[name], stored.get(name), bars, floor) for name in (FRESH, AGAIN, *floors)]


def _line(name: str, seconds: list[float], store_seconds: list[float] | None, bars: int, floor: float) -> Line:
    median = statistics.median(seconds)
    only_store = statistics.median(store_seconds) * 1000 if store_seconds else None
    return Line(name, median * 1000, only_store, bars / median, median / floor)
