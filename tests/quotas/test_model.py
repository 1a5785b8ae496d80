"""The Lua gate and its model in plain Python, driven with the same steps, answer the same and keep the same books.

MARKETFETCH_TEST_EXAMPLES=5000 makes a long run, each time with other steps; the default run repeats the same ones. What such
runs have found stands below them, as plain examples.
"""

from __future__ import annotations

import os
from typing import Final

import fakeredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis

from marketfetch.quotas import Gate, KeyLimits, Parking, key_limits
from marketfetch.quotas.values import KeyHistory
from tests.quotas.machine import BEGINS, GateMachine
from tests.quotas.stepped import CLOCK, DAY, ShortDays, SteppedGate
from tests.quotas.steps import park

EXAMPLES: Final = int(os.environ.get("MARKETFETCH_TEST_EXAMPLES", "0"))  # noqa: TID251 (how long a test run is)


@pytest.fixture(params=["valkey", "fakeredis"])
def any_redis(request):
    if request.param == "valkey":
        yield request.getfixturevalue("redis")
    else:
        with fakeredis.FakeRedis() as client:
            yield client


@pytest.mark.timeout(3600 if EXAMPLES else 900)
def test_lua_and_model_agree_step_by_step(any_redis):
    agree_step_by_step(any_redis, many_keys=Gate.many_keys)


@pytest.mark.timeout(3600 if EXAMPLES else 900)
def test_they_agree_too_where_closed_keys_are_skipped(redis):
    agree_step_by_step(redis, many_keys=1)


def agree_step_by_step(redis: Redis, *, many_keys: int) -> None:
    machine = type("Machine", (GateMachine,), {"redis": redis, "many_keys": many_keys})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 60,
            phases=[p for p in __import__("hypothesis").Phase if p.name != "shrink"],
            stateful_step_count=40,
            derandomize=not EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=bool(EXAMPLES),
        ),
    )


# --- found by it ------------------------------------------------------------------------------------------------------

FREE = key_limits("x", [])


@pytest.fixture
def gate(any_redis):
    any_redis.flushall()
    any_redis.set(CLOCK, BEGINS)
    return SteppedGate(any_redis, pool="p")


def started(gate, key=FREE, **options):
    grants = gate.admit(**{"room": 10, "most_granted": 99, "keys": (key,), **options}).grants
    for one in grants:
        assert gate.start(one.id, fence=one.fence).verdict == "go"
    return grants


def finished(gate, grant, **options):
    assert gate.finish(grant.id, fence=grant.fence, batch=b"x", **options)


def passes(gate, ms):
    gate.redis.incrby(CLOCK, ms * 1000)


def three_a_day(gate):
    return KeyLimits("x", calendars=(ShortDays("3/day@UTC", 3, "UTC", around=int(gate.redis.get(CLOCK)) // DAY),))


def test_a_request_that_a_job_took_over_from_a_task_can_be_settled(gate):
    gate.park([Parking(id="a", arguments="{}", task="t", message="m")], job="direct")
    park(gate, "a")
    assert gate.withdraw(["a"], who="task:t")[0].what == "left"
    (grant,) = started(gate)
    finished(gate, grant)
    assert gate.settle("a", outcome="{}")


def test_nobody_gets_the_pages_of_a_request_when_all_who_wanted_it_have_left_while_it_ran(gate):
    park(gate, "a", job="J1")
    park(gate, "a", job="J2")
    (grant,) = started(gate)
    assert [gate.withdraw(["a"], who=one)[0].what for one in ("J1", "J2")] == ["stays", "left"]
    finished(gate, grant, next_page=Parking(id="a/1", arguments="{}"))
    assert gate.counts().parked == 0


def test_a_page_is_not_wanted_by_a_job_that_has_left_while_its_request_ran(gate):
    """J1 was cancelled; J2 alone wants the page, and cancelling J2 leaves nobody."""
    park(gate, "a", job="J1")
    park(gate, "a", job="J2")
    (grant,) = started(gate)
    gate.withdraw(["a"], who="J1")
    finished(gate, grant, next_page=Parking(id="a/1", arguments="{}"))
    assert gate.withdraw(["a/1"], who="J2")[0].what == "gone"


def test_of_two_calls_open_across_midnight_the_second_counts_when_the_first_has_ended(gate):
    """Both may have reached the vendor after midnight: of the new day's three calls one is left."""
    park(gate, *"abcdef")
    first, _second = started(gate, three_a_day(gate), room=2)
    passes(gate, 9_000)
    finished(gate, first)
    assert len(started(gate, three_a_day(gate))) == 1


def test_a_grant_that_nobody_took_for_days_leaves_no_counter_below_zero(gate):
    """No worker ran for four days; the counter of that day has ended meanwhile."""
    park(gate, "a")
    gate.admit(room=1, most_granted=9, keys=(three_a_day(gate),))
    (counter,) = gate.redis.keys(f"{gate.prefix}day:*")
    gate.redis.delete(counter)
    passes(gate, 4 * 86_400_000)
    gate.admit(room=0, most_granted=9, keys=(three_a_day(gate),))
    assert int(gate.redis.get(counter) or 0) == 0


def test_a_grant_ahead_of_a_restored_window_looks_at_calls_that_ended_after_the_restore(gate):
    """The hole's calls leave the window in 10 ms, but one that was open then ended five seconds later and is still in it."""
    key = key_limits("x", ["1/20seconds"])
    park(gate, "a", "b")
    (grant,) = started(gate, key)
    gate.restore(old="", new="1", histories=[KeyHistory("x", used=True, lost=1, days={})], late_ms=10_000)
    passes(gate, 15_000)
    finished(gate, grant)
    passes(gate, 14_990)
    assert started(gate, key, ahead_ms=20) == ()


def test_a_second_hole_does_not_make_the_first_one_smaller(gate):
    """Redis was emptied: three calls that nobody knows of. Then it is restarted and lacks two seconds: one call at most."""
    key = key_limits("x", ["3/minute"])
    gate.restore(old="", new="1", histories=[KeyHistory("x", used=True, lost=1, days={})], late_ms=10_000)
    gate.restore(old="1", new="2", histories=[KeyHistory("x", used=True, lost=1, days={})], late_ms=10_000, kept=True)
    park(gate, *"abc")
    assert started(gate, key) == ()


def test_a_task_that_was_revoked_while_it_ran_is_told_so_when_its_call_is_refused(gate):
    """Its record is its own, so what is told stands where the request stood."""
    gate.park([Parking(id="task:t", arguments="", task="t", message="m")], job="direct")
    (grant,) = started(gate)
    assert gate.withdraw(["task:t"], who="task:t")[0].what == "stays"
    gate.requeue("task:t", fence=grant.fence, key_label="x", pause_ms=1_000, why="429")
    (told,) = gate.admit(room=0, most_granted=99, keys=(FREE,)).grants
    assert (told.id, told.kind) == ("task:t", "dropped")
