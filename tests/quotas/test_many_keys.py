"""A pool with many keys: those that are closed are skipped, no limit is passed, and what opens a key is seen."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from marketfetch.quotas import Gate, KeyLimits, key_limits
from tests.quotas.steps import admit, park
from tests.waiting import eventually

MANY: Final = 40
LOOKS_AGAIN_MS: Final = 5_000


def keys(*limits: str, concurrency: int | None = None) -> tuple[KeyLimits, ...]:
    return tuple(key_limits(f"key{number}", limits, concurrency=concurrency) for number in range(MANY))


def commands(gate: Gate) -> int:
    """How many commands the server has run inside of scripts and without."""
    return sum(int(stat["calls"]) for stat in gate.redis.info("commandstats").values())


def test_each_key_serves_up_to_its_limit_and_then_none_is_looked_at(gate):
    park(gate, *(f"r{number}" for number in range(200)))
    pool = keys("3/hour")
    served = Counter(one.key_label for one in admit(gate, *pool, room=200).grants)
    assert served == {one.label: 3 for one in pool}
    full = admit(gate, *pool)
    gate.redis.config_resetstat()
    assert full.grants == admit(gate, *pool).grants == ()
    assert commands(gate) < MANY  # each look at a key takes three or more
    assert gate.redis.zcard(f"{gate.prefix}closed") == MANY


def test_few_grants_look_at_few_keys(gate):
    pool = keys("100000/hour")
    park(gate, *(f"r{number}" for number in range(200)))
    admit(gate, *pool, room=1)
    gate.redis.config_resetstat()
    assert len(admit(gate, *pool, room=4).grants) == 4
    assert commands(gate) < 2 * MANY
    assert len({one.key_label for one in admit(gate, *pool, room=MANY).grants}) == MANY  # and all take turns


def test_a_wait_is_until_a_key_opens_or_five_seconds(gate):
    park(gate, *(f"r{number}" for number in range(MANY + 2)))
    pool = keys("1/2seconds")
    for one in admit(gate, *pool).grants:
        gate.start(one.id, fence=one.fence)
        gate.finish(one.id, fence=one.fence, batch=b"rows", sent_ago_us=0)
    waits = [admit(gate, *pool).wait_ms for _ in range(2)]
    assert all(wait is not None and 1_000 < wait <= 2_001 for wait in waits), waits
    hourly = (*pool[:-1], key_limits("hourly", ["1/hour"]))
    gate.pause(pool[0].label, pause_ms=3_600_000, why="tried")
    found = admit(gate, *hourly)
    assert [one.key_label for one in found.grants] == ["hourly"]


def test_a_call_that_was_not_made_opens_its_key_at_once(gate):
    park(gate, *(f"r{number}" for number in range(MANY + 1)))
    pool = keys("1/hour", concurrency=1)
    grants = admit(gate, *pool).grants
    assert len(grants) == MANY
    assert admit(gate, *pool).grants == ()
    assert gate.return_grants(grants[7:8]) == 1
    (again,) = admit(gate, *pool).grants
    assert again.key_label == grants[7].key_label


def test_the_end_of_a_call_opens_a_key_that_makes_one_at_a_time(gate):
    park(gate, *(f"r{number}" for number in range(MANY + 1)))
    pool = keys(concurrency=1)
    grants = admit(gate, *pool).grants
    assert admit(gate, *pool).grants == ()
    gate.start(grants[3].id, fence=grants[3].fence)
    gate.finish(grants[3].id, fence=grants[3].fence, batch=b"rows", sent_ago_us=0)
    assert [one.key_label for one in admit(gate, *pool).grants] == [grants[3].key_label]


def test_an_operator_who_resumes_a_key_does_not_wait(gate):
    pool = keys()
    for one in pool:
        gate.pause(one.label, pause_ms=3_600_000, why="paused by an operator")
    park(gate, "r")
    assert admit(gate, *pool).wait_ms > 3_500_000
    assert 4_000 < admit(gate, *pool).wait_ms <= LOOKS_AGAIN_MS
    gate.resume("key9")
    assert [one.key_label for one in admit(gate, *pool).grants] == ["key9"]


def test_a_pause_holds_for_a_key_that_was_open(gate):
    pool = keys("1000/hour")
    park(gate, *(f"r{number}" for number in range(2 * MANY)))
    admit(gate, *pool, room=1)
    gate.pause("key5", pause_ms=3_600_000, why="the vendor asked for it")
    served = Counter(one.key_label for one in admit(gate, *pool).grants)
    assert "key5" not in served
    assert len(served) == MANY - 1


def test_a_higher_limit_is_in_force_within_five_seconds(gate):
    park(gate, *(f"r{number}" for number in range(2 * MANY)))
    assert len(admit(gate, *keys("1/hour")).grants) == MANY
    assert admit(gate, *keys("1/hour")).grants == ()
    began = time.monotonic()
    found = eventually(lambda: admit(gate, *keys("2/hour")).grants, within_s=LOOKS_AGAIN_MS / 1000)
    assert len(found) == MANY
    assert time.monotonic() - began < 3 * LOOKS_AGAIN_MS / 1000


def test_a_clock_that_steps_back_closes_no_key_for_longer(gate):
    pool = keys("5/hour")
    park(gate, "r")
    # As an admit left it before the step.
    gate.redis.zadd(f"{gate.prefix}closed", {one.label: gate.now_us() + 3_600_000_000 for one in pool})
    assert len(admit(gate, *pool).grants) == 1
