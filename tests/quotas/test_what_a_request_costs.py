"""What one request costs, in things that can be counted: Redis commands and round trips.

Times and instructions differ from machine to machine, these do not. A step that costs a tenth more than it did fails; one that
has become cheaper should be written down here. The figures in time are in docs/benchmarks.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from marketfetch.quotas import Gate, key_limits
from marketfetch.quotas.values import Kept, StoreTurn
from tests.quotas.steps import park

KEY: Final = key_limits("main", ["100000/second", "1000000/minute"])
TURN: Final = StoreTurn("r0", lasts_ms=60_000, busy_ms=60_000, most=50, most_bytes=1 << 20)
MANY: Final = 20
#: Of each request: commands inside of Redis, and round trips to it. 20 requests are parked and admitted at once; all but one
#: are stored in one wave.
COMMANDS: Final = {"park": 3.45, "admit": 3.3, "start": 10.0, "finish": 32.1, "settle": 13.7}
ROUND_TRIPS: Final = {"park": 0.1, "admit": 0.05, "start": 1.0, "finish": 1.0, "settle": 0.1}
SLACK: Final = 1.1


@pytest.fixture
def costs(gate):
    """Runs a step for all requests, and notes what each of them has cost."""
    commands, trips = dict[str, float](), dict[str, float]()

    def counted(name: str, step: Callable[[], Any]) -> Any:
        gate.redis.config_resetstat()
        found = step()
        stats = Counter({one: stat["calls"] for one, stat in gate.redis.info("commandstats").items()})
        of_the_test = stats["cmdstat_config|resetstat"] + stats["cmdstat_info"]
        trips[name] = (stats["cmdstat_evalsha"] + stats["cmdstat_publish"]) / MANY
        commands[name] = (stats.total() - of_the_test) / MANY
        return found

    counted.commands, counted.trips = commands, trips  # type: ignore[attr-defined]
    return counted


def test_no_step_of_a_request_asks_more_of_redis_than_it_did(gate: Gate, costs):
    life(gate, lambda _, step: step())  # the scripts are loaded
    gate.redis.flushdb()
    life(gate, costs)
    assert {name: costs.commands[name] for name, most in COMMANDS.items() if costs.commands[name] > most * SLACK} == {}
    assert costs.trips == ROUND_TRIPS


def life(gate: Gate, counted: Callable[[str, Callable[[], Any]], Any]) -> None:
    ids = [f"r{n}" for n in range(MANY)]
    counted("park", lambda: park(gate, *ids))
    grants = counted("admit", lambda: gate.admit(room=MANY, most_granted=64, keys=(KEY,))).grants
    turns = counted("start", lambda: [gate.start(one.id, fence=one.fence, child="c") for one in grants])
    assert {one.verdict for one in turns} == {"go"}

    def finish() -> list[Kept]:
        return [gate.finish(one.id, fence=one.fence, batch=b"rows", sent_ago_us=1_000, turn=TURN) for one in grants]

    assert counted("finish", finish) == [Kept.CLAIMED, *[Kept.FOR_OTHERS] * (MANY - 1)]

    def settle() -> None:
        others = gate.settle_together({"r0": "{}"}, turn=TURN)
        assert gate.settle_together(dict.fromkeys(others, "{}"), turn=TURN) == {}

    counted("settle", settle)
    assert gate.counts().held == 0
