"""The gate's rows of the state machine, on a real Valkey and on fakeredis with real Lua."""

from __future__ import annotations

import json

import fakeredis
import pytest

from quotas import Gate, Parking, key_limits
from quotas.reporting import report, resume_key


@pytest.fixture(params=["valkey", "fakeredis"])
def gate(request):
    if request.param == "valkey":
        yield Gate(request.getfixturevalue("redis"), pool="polygon")
    else:
        with fakeredis.FakeRedis() as client:
            yield Gate(client, pool="polygon")


def parked(gate, *ids, job="job", **options):
    return gate.park([Parking(id=one, arguments=json.dumps({"symbol": one})) for one in ids], job=job, **options)


def admitted(gate, room=10, *, limits=(), concurrency=None, **options):
    key = key_limits("main", limits, concurrency=concurrency)
    return gate.admit(room=room, most_granted=100, keys=(key,), **options)


def started(gate, grant, **options):
    assert gate.start(grant.id, fence=grant.fence, **options).verdict == "go"
    return grant


def test_a_parked_request_is_granted_once_and_starts_once(gate):
    assert parked(gate, "a") == 1
    (grant,) = admitted(gate).grants
    assert (grant.id, grant.fence, grant.key_label, grant.attempts) == ("a", 1, "main", 0)
    assert json.loads(grant.arguments) == {"symbol": "a"}
    assert admitted(gate).grants == ()
    assert gate.start("a", fence=1).verdict == "go"
    assert gate.start("a", fence=1).verdict == "lost"


def test_a_known_id_is_not_parked_a_second_time(gate):
    assert parked(gate, "a", "b") == 2
    assert parked(gate, "b", "c") == 1
    assert gate.counts().parked == 3


def test_requests_of_one_job_come_in_the_order_in_which_they_were_parked(gate):
    names = [f"r{n:04}" for n in range(1200)]
    parked(gate, *names)
    order = [
        one.id for _ in range(12) for one in gate.admit(room=100, most_granted=10_000, keys=(key_limits("main", ()),)).grants
    ]
    assert order == names


def test_a_new_job_waits_at_most_one_turn_of_every_active_job(gate):
    parked(gate, *[f"big{n}" for n in range(50)], job="big")
    first = [one.id for one in admitted(gate, room=5).grants]
    assert first == [f"big{n}" for n in range(5)]
    parked(gate, "small0", "small1", job="small")
    order = [one.id for one in admitted(gate, room=6).grants]
    assert order.index("small0") <= 1
    assert order.index("small1") <= 3


def test_a_more_urgent_band_goes_first(gate):
    parked(gate, "later", priority=5)
    parked(gate, "first", priority=0)
    assert [one.id for one in admitted(gate).grants] == ["first", "later"]


def test_a_not_before_is_waited_for_and_told(gate):
    seconds, micros = gate.redis.time()
    now_ms = seconds * 1000 + micros // 1000
    parked(gate, "soon", not_before_ms=now_ms + 60_000)
    admission = admitted(gate)
    assert admission.grants == ()
    assert 55_000 < admission.wait_ms <= 60_000


def test_a_grant_that_never_started_returns_to_its_place_and_its_old_holder_has_lost(gate):
    parked(gate, "a", "b")
    (old,) = admitted(gate, room=1, start_by_ms=-1).grants
    (new,) = admitted(gate, room=1).grants
    assert (new.id, new.fence) == ("a", 2)
    assert gate.start("a", fence=old.fence).verdict == "lost"
    assert gate.start("a", fence=new.fence).verdict == "go"


def test_a_call_whose_worker_died_runs_again_and_the_third_death_ends_it(gate):
    parked(gate, "a")
    for fence in (1, 2, 3):
        (grant,) = admitted(gate).grants
        assert grant.fence == fence
        started(gate, grant, end_by_ms=-1)
    # The third expiry holds it at once, due now, so that the store task writes it off.
    (offered,) = admitted(gate).grants
    turn = gate.start(offered.id, fence=offered.fence)
    assert turn.verdict == "held"
    assert "three times" in turn.reason
    assert turn.calls == 3


def test_finishing_keeps_the_batch_parks_the_next_page_and_frees_the_slot_in_one_step(gate):
    parked(gate, "a")
    (grant,) = admitted(gate).grants
    started(gate, grant)
    assert gate.finish("a", fence=1, batch=b"\x00rows", next_page=Parking(id="a/1", arguments="{}"))
    assert gate.batch("a") == b"\x00rows"
    counts = gate.counts()
    assert (counts.parked, counts.running, counts.held) == (1, 0, 1)
    assert gate.start("a", fence=1).verdict == "held"
    assert [one.id for one in admitted(gate).grants] == ["a/1"]


def test_a_lost_lease_writes_nothing(gate):
    parked(gate, "a")
    started(gate, admitted(gate).grants[0], end_by_ms=-1)
    (again,) = admitted(gate).grants
    assert not gate.finish("a", fence=1, batch=b"late")
    assert gate.batch("a") is None
    started(gate, again)
    assert gate.finish("a", fence=2, batch=b"good")


def test_a_refused_call_goes_back_to_the_front_and_pauses_its_key_without_spending_a_retry(gate):
    parked(gate, "a", "b")
    (grant,) = admitted(gate, room=1).grants
    started(gate, grant)
    assert gate.give_back("a", fence=1, pause_ms=30_000, why="vendor said so")
    assert gate.counts().parked == 2
    (key,) = report(gate, (key_limits("main", ()),))
    assert 29_000 < key.paused_ms <= 30_000
    assert key.paused_why == "vendor said so"
    blocked = admitted(gate)
    assert blocked.grants == ()
    assert 29_000 < blocked.wait_ms <= 30_000
    resume_key(gate, "main")
    (first, *_) = admitted(gate).grants
    assert (first.id, first.attempts) == ("a", 0)


def test_a_shorter_pause_never_shortens_a_longer_one(gate):
    parked(gate, "a")
    for pause_ms, why in ((60_000, "long"), (1_000, "short")):
        resume = admitted(gate).grants
        for grant in resume:
            started(gate, grant)
        gate.give_back("a", fence=1, pause_ms=pause_ms, why=why)
    assert report(gate, (key_limits("main", ()),))[0].paused_why == "long"


def test_a_pause_that_the_vendor_did_not_name_grows_with_each_refusal_in_a_row(gate):
    parked(gate, "a")
    for fence, expected in ((1, 1_000), (2, 2_000), (3, 4_000)):
        started(gate, admitted(gate).grants[0])
        gate.give_back("a", fence=fence, pause_ms=1_000, why="429", then="grow")
        (key,) = report(gate, (key_limits("main", ()),))
        assert expected - 500 < key.paused_ms <= expected
        gate.redis.hdel(gate.prefix + "key:main", "until")
    started(gate, admitted(gate).grants[0])
    gate.finish("a", fence=4, batch=b"x")
    parked(gate, "b")
    started(gate, admitted(gate).grants[0])
    gate.give_back("b", fence=1, pause_ms=1_000, why="429", then="grow")
    assert report(gate, (key_limits("main", ()),))[0].paused_ms <= 1_000


def test_a_delayed_retry_spends_one_attempt_and_waits(gate):
    parked(gate, "a")
    started(gate, admitted(gate).grants[0])
    assert gate.delay("a", fence=1, delay_ms=0)
    (grant,) = admitted(gate).grants
    assert (grant.attempts, grant.fence) == (1, 2)
    assert not gate.delay("a", fence=1, delay_ms=0)


def test_a_held_batch_that_nobody_stored_is_offered_again_until_it_is_settled(gate):
    parked(gate, "a")
    started(gate, admitted(gate).grants[0])
    gate.finish("a", fence=1, batch=b"x", held_again_ms=0)
    (offered,) = admitted(gate, held_again_ms=0).grants
    assert offered.id == "a"
    assert gate.postpone("a", delay_ms=50_000)
    assert admitted(gate).grants == ()
    assert gate.settle("a")
    assert not gate.settle("a")
    assert not gate.postpone("a", delay_ms=1)
    assert gate.start("a", fence=1).verdict == "over"


def test_nothing_is_left_in_redis_of_requests_that_are_over(gate):
    parked(gate, "a", "b")
    for grant in admitted(gate).grants:
        started(gate, grant)
        gate.finish(grant.id, fence=grant.fence, batch=b"x")
        gate.settle(grant.id)
    left = {one.decode().removeprefix(gate.prefix) for one in gate.redis.keys("*")}
    assert left <= {"tags", "key:main", "done:main", "early:main", "done:*", "early:*"}


def test_the_concurrency_cap_counts_granted_and_running(gate):
    parked(gate, "a", "b", "c")
    (one,) = admitted(gate, concurrency=1).grants
    assert admitted(gate, concurrency=1).grants == ()
    started(gate, one)
    assert admitted(gate, concurrency=1).grants == ()
    gate.finish(one.id, fence=1, batch=b"x")
    assert len(admitted(gate, concurrency=1).grants) == 1


def test_admission_stops_while_too_many_batches_wait_to_be_stored(gate):
    parked(gate, "a", "b")
    (one,) = admitted(gate, room=1).grants
    started(gate, one)
    gate.finish(one.id, fence=1, batch=b"x")
    assert admitted(gate, most_held=1).grants == ()
    gate.settle(one.id)
    assert len(admitted(gate, most_held=1).grants) == 1


def test_keys_take_turns(gate):
    parked(gate, *"abcd")
    keys = (key_limits("x", ()), key_limits("y", ()))
    assert sorted(one.key_label for one in gate.admit(room=4, most_granted=10, keys=keys).grants) == ["x", "x", "y", "y"]


def test_moving_names_what_is_granted_running_or_held(gate):
    parked(gate, *"abcd")
    one, two, _three = admitted(gate, room=3).grants
    started(gate, one)
    started(gate, two)
    gate.finish(two.id, fence=1, batch=b"x")
    assert gate.moving() == {"a", "b", "c"}


def test_all_keys_of_a_gate_share_one_hash_slot(gate):
    parked(gate, "a", "b")
    started(gate, admitted(gate, room=1).grants[0])
    gate.finish("a", fence=1, batch=b"x")
    assert {key.decode()[: len(gate.prefix)] for key in gate.redis.keys("*")} == {"mf:{polygon}:"}


def test_only_what_has_not_started_can_be_withdrawn(gate):
    gate.park([Parking(id="a", arguments="", message="kept whole")], job="direct")
    parked(gate, "b", "c")
    assert gate.withdraw("a") == "kept whole"
    assert gate.withdraw("a") is None
    one, _ = admitted(gate).grants
    assert gate.withdraw("c") == ""
    started(gate, one)
    assert gate.withdraw("b") is None
    assert gate.start("c", fence=1).verdict == "over"
    assert gate.counts().parked == 0
