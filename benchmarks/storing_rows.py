"""Reply bytes to stored rows, reply by reply; the floors are measured in between, so that a slow moment hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.floors import Floor
from benchmarks.reply_generator import make, read
from marketfetch.storage.store import Store

FRESH, AGAIN = "reply to stored", "the same again"


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's medians over all replies. `ms` is from a reply's bytes to stored rows, `database_ms` the part after
    reading; a floor is given our reading. Against the first floor: `of_floor` with our reading on both sides,
    `database_of_floor` without any, `of_bare_floor` with reading on our side only. `replies`: how many this contender took."""

    name: str
    ms: float
    database_ms: float
    rows_per_second: float
    of_floor: float
    database_of_floor: float
    of_bare_floor: float
    replies: int

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def measure(
    store: Store, floors: dict[str, Floor], *, replies: int, peers: int, bars: int, told: Callable[[str], None]
) -> list[Line]:
    """Stores `replies` replies of `bars` bars, then the same once more; the floors take the same rows in between.

    The first floor takes every reply, the others, which are slow, `peers` of them.
    """
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
        first, *others = floors
        # Spread over the whole run, as all tables grow.
        names = [first, *(others if number * peers // replies != (number - 1) * peers // replies else [])]
        for name in names[number % len(names) :] + names[: number % len(names)]:
            stored.setdefault(name, []).append(floors[name](number, batch))
        told(f"{number + 1} of {replies} replies")
    for number in range(replies):
        timed(AGAIN, number, 2_000)
        told(f"again, {number + 1} of {replies} replies")

    return _lines(whole, stored, list(floors), bars)


def _lines(whole: dict[str, list[float]], stored: dict[str, list[float]], floors: list[str], bars: int) -> list[Line]:
    # The reading of the run in which the floors were measured, since the load of the machine is the same there.
    reading = statistics.median(a - b for a, b in zip(whole[FRESH], stored[FRESH], strict=True))
    base = statistics.median(stored[floors[0]])
    lines = []
    for name in (FRESH, AGAIN, *floors):
        database = statistics.median(stored[name])
        total = statistics.median(whole[name]) if name in whole else reading + database
        ratios = (total / (reading + base), database / base, (total if name in whole else database) / base)
        lines.append(Line(name, total * 1000, database * 1000, bars / total, *ratios, len(stored[name])))
    return lines
