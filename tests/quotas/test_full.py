"""A Redis at its `maxmemory`: what frees memory, or ends a call that is paid for, goes through; nothing stops half-way."""

from __future__ import annotations

import json
import os

import pytest
from redis.exceptions import OutOfMemoryError

from marketfetch.quotas import Gate, Parking
from marketfetch.quotas.values import Counts, KeyHistory
from tests.quotas.steps import park
from tests.quotas.test_gate import admitted, asked_by_task, started

MB = 1 << 20


@pytest.fixture
def gate(redis):
    """A gate on a Valkey that has its memory back after the test."""
    yield Gate(redis, pool="polygon")
    redis.config_set("maxmemory", 0)


def fill(gate, *, by=MB):
    """The server has `by` bytes more than it may have."""
    gate.redis.config_set("maxmemory", gate.redis.info("memory")["used_memory"] - by)
    with pytest.raises(OutOfMemoryError):
        gate.redis.set("a key", "of a stranger")


def held(gate, *ids, size=1 << 18):
    """These are held, each with a batch of so many bytes."""
    park(gate, *ids)
    for grant in admitted(gate, len(ids)).grants:
        started(gate, grant)
        assert gate.finish(grant.id, fence=grant.fence, batch=os.urandom(size))


def test_a_full_redis_is_emptied_by_storing(gate):
    ids = [f"r{n}" for n in range(40)]
    held(gate, *ids)
    fill(gate, by=4 * MB)
    assert all(gate.settle(one) for one in ids)
    assert gate.counts() == Counts(parked=0, granted=0, running=0, held=0)
    assert gate.redis.hget(f"{gate.prefix}counts", "bytes") == b"0"
    gate.redis.set("a key", "of a stranger")


def test_who_waits_for_what_was_stored_is_told_while_redis_is_full(gate):
    park(gate, "a")
    gate.park([asked_by_task("t1")], job="direct")
    (grant,) = admitted(gate).grants
    gate.finish(started(gate, grant).id, fence=grant.fence, batch=b"rows")
    fill(gate)
    gate.settle("a", outcome='{"outcome": "stored"}')
    (told,) = admitted(gate).grants
    assert (told.id, told.kind) == ("task:t1", "answered")
    assert gate.start("task:t1", fence=0).verdict == "answered"
    gate.settle("task:t1")
    assert not gate.redis.keys("*req:*")


def test_a_held_batch_is_offered_postponed_and_offered_again_while_redis_is_full(gate):
    held(gate, "a")
    fill(gate)
    gate.postpone("a", delay_ms=0, most_ms=0)
    assert [one.kind for one in admitted(gate).grants] == ["held"]
    assert gate.postpone("a", delay_ms=2000, most_ms=9000) > 0
    assert gate.settle("a")


def test_a_call_that_runs_comes_to_its_end_while_redis_is_full(gate):
    park(gate, "kept", "given back", "delayed", "taken back", "expired", "withdrawn")
    grants = {one.id: one for one in admitted(gate, 5, limits=["9/minute"], concurrency=9).grants}
    for name in ("kept", "given back", "delayed"):
        started(gate, grants[name])
    fill(gate)
    page = Parking(id="kept/1", arguments="{}")
    assert gate.finish("kept", fence=grants["kept"].fence, batch=b"rows", next_page=page)
    assert gate.requeue(
        "given back", fence=grants["given back"].fence, key_label="main", pause_ms=60_000, why="429", then="grow"
    )
    assert gate.delay("delayed", fence=grants["delayed"].fence, delay_ms=60_000)
    assert gate.return_grants([grants["taken back"]]) == 1
    gate.resume("main")
    assert gate.start("expired", fence=grants["expired"].fence).verdict == "go"
    assert [one.what for one in gate.withdraw(["withdrawn"], who="job")] == ["gone"]
    assert gate.pause("main", pause_ms=90_000, why="by hand")
    assert gate.counts() == Counts(parked=4, granted=0, running=1, held=1)
    assert gate.batch("kept") == b"rows"


def test_a_gate_that_restarts_full_knows_its_past_again(gate):
    park(gate, "a")
    fill(gate)
    past = KeyHistory("main", used=True, lost=1, days={})
    assert gate.restore(old="", new="1", histories=[past], late_ms=1) == "1"
    assert admitted(gate, epoch="1").state == "ok"


def test_what_would_only_grow_is_refused_as_a_whole(gate):
    park(gate, "a")
    before = sorted(gate.redis.keys())
    fill(gate)
    with pytest.raises(OutOfMemoryError):
        gate.park([Parking(id=f"b{n}", arguments=json.dumps({"n": n})) for n in range(10)], job="job")
    assert sorted(gate.redis.keys()) == before
    assert gate.counts().parked == 1
