"""A request is in the lane or has a deadline; one that is nowhere, as a fault may leave it, is seen and gets a place again."""

from __future__ import annotations

import pytest

from marketfetch.quotas import Parking
from tests.quotas.steps import FREE, busy_s, park

PLACES = ("ready", "delayed", "granted", "running", "held")


def admit(gate):
    return [one for one in gate.admit(room=9, most_granted=99, keys=(FREE,)).grants if one.kind == "go"]


def brought_to(gate, place):
    """Request "a" in this place."""
    park(gate, "a", not_before_ms=1 << 45 if place == "delayed" else 0)
    if place in ("granted", "running", "held"):
        (grant,) = admit(gate)
        if place != "granted":
            gate.start("a", fence=grant.fence)
        if place == "held":
            gate.finish("a", fence=grant.fence, batch=b"x")
    assert gate.redis.zscore(f"{gate.prefix}{place}", "a") is not None


@pytest.mark.parametrize("place", PLACES)
def test_a_record_that_is_in_no_place_is_seen_and_parking_it_again_gives_it_one(gate, place):
    brought_to(gate, place)
    assert gate.knows(["a"])
    assert park(gate, "a") == 0, "it has a place"
    gate.redis.zrem(f"{gate.prefix}{place}", "a")
    assert not gate.knows(["a"])
    assert park(gate, "b", "a", "c") == 3
    assert gate.knows(["a", "b", "c"])
    assert gate.redis.smembers(f"{gate.prefix}open:main") == set()
    if place == "held":
        assert [(one.id, one.kind) for one in gate.admit(room=0, most_granted=99, keys=(FREE,)).grants] == [("a", "held")]
        assert gate.batch("a") == b"x"
    else:
        assert [one.id for one in admit(gate)] == ["b", "a", "c"]


def test_a_record_of_another_job_or_priority_that_is_in_no_place_takes_its_own_turn(gate):
    park(gate, "a", job="J1", priority=2)
    gate.redis.zrem(f"{gate.prefix}ready", "a")
    assert park(gate, "b", "a", job="J2") == 2
    (first, *_rest) = admit(gate)
    assert first.id == "a", "it was the more urgent one"
    assert gate.withdraw(["a"], who="J2")[0].what == "left", "J2 waits for it too"


def test_looking_for_ten_thousand_requests_takes_a_moment(gate):
    ids = [f"{n:064x}" for n in range(10_000)]
    park(gate, *ids, wake=False)
    before = busy_s(gate)
    assert gate.knows(ids)
    assert busy_s(gate) - before < 1
    gate.redis.zrem(f"{gate.prefix}ready", ids[-1])
    assert not gate.knows(ids)


# --- a look at the ledger that is late ------------------------------------------------------------------------------------


def test_what_was_over_after_the_look_is_not_parked_and_what_was_before_is(gate):
    gate.settle("before", outcome="{}")
    looked = gate.now_us()
    park(gate, "a")
    gate.settle("a", outcome="{}")
    assert park(gate, "a", "before", "b", looked_at_us=looked) == 2
    assert gate.redis.zrange(f"{gate.prefix}ready", 0, -1) == [b"before", b"b"]
    assert park(gate, "a", looked_at_us=gate.now_us()) == 1, "who looks later wants it again"
    gate.settle("a", outcome="{}")
    assert park(gate, "a") == 1, "a user's task asks the ledger itself"


def test_of_a_job_that_was_cancelled_after_the_look_nothing_is_parked(gate):
    looked = gate.now_us()
    gate.exclude_job("job")
    assert park(gate, "a", job="job", looked_at_us=looked) == 0
    assert park(gate, "a", job="other", looked_at_us=looked) == 1
    assert park(gate, "b", job="job", looked_at_us=gate.now_us()) == 1, "somebody has let it go on"


def test_what_is_remembered_of_requests_that_are_over_is_bounded_and_ends(gate):
    name = f"{gate.prefix}over"
    gate.redis.zadd(name, {f"{n:064x}": gate.now_us() for n in range(20_100)})
    gate.redis.zadd(name, {"old": gate.now_us() - 61_000_000})
    gate.settle("a")
    assert gate.redis.zcard(name) == 20_000
    assert gate.redis.zscore(name, "a")
    assert gate.redis.zscore(name, "old") is None
    assert 0 < gate.redis.ttl(name) <= 60
    assert gate.redis.memory_usage(name, samples=0) < 4 << 20


def test_a_parked_request_takes_little_memory(gate):
    # The arguments of a planned request, of the longer kind.
    arguments = '{"symbol":"AAPL","timespan":"5m","adjustment":"split","start":"2020-01-01","end":"2024-12-31"}'
    before = gate.redis.info("memory")["used_memory"]
    gate.park([Parking(f"{n:020x}", arguments) for n in range(2_000)], job="4402eabaee9a4f02")
    assert (gate.redis.info("memory")["used_memory"] - before) / 2_000 < 380


# --- batches that nobody stores -------------------------------------------------------------------------------------------


def held(gate, name):
    park(gate, name)
    (grant,) = admit(gate)
    gate.start(name, fence=grant.fence)
    assert gate.finish(name, fence=grant.fence, batch=b"x")


def stored_ago(gate, s):
    gate.redis.hset(f"{gate.prefix}counts", "stored", gate.now_us() // 1000 - s * 1000)


def test_nothing_is_admitted_while_batches_wait_and_none_is_stored(gate):
    held(gate, "a")
    held(gate, "b")
    park(gate, "c", "d")
    stored_ago(gate, 11)
    assert admit(gate) == []
    gate.settle("a")
    assert [one.id for one in admit(gate)] == ["c", "d"], "one was stored, so the database does its work"


def test_a_gate_that_was_idle_for_long_admits_while_its_first_batch_waits(gate):
    held(gate, "a")
    gate.settle("a")
    stored_ago(gate, 3_600)
    park(gate, "b", "c")
    (first, _second) = admit(gate)
    gate.start(first.id, fence=first.fence)
    assert gate.finish(first.id, fence=first.fence, batch=b"x")
    park(gate, "d")
    assert [one.id for one in admit(gate)] == ["d"]


def test_who_is_told_and_has_no_batch_stops_nobody(gate):
    """A revoked task is offered until it is marked, for ten seconds and more."""
    gate.park([Parking(id="a", arguments="{}", task="t", message="m")], job="direct")
    gate.withdraw(["a"], who="task:t")
    stored_ago(gate, 60)
    park(gate, "b")
    assert [one.id for one in admit(gate)] == ["b"]
