"""The gate's rows of the state machine, on a real Valkey and on fakeredis with real Lua."""

from __future__ import annotations

import json
import time

import pytest

from marketfetch.quotas import Parking, key_limits
from marketfetch.quotas.reporting import health, report
from marketfetch.quotas.values import Counts, Events, Kept, StoreTurn, Withdrawn
from tests.quotas.steps import park
from tests.waiting import eventually


@pytest.fixture
def gate(either_gate):
    return either_gate


def admitted(gate, room=10, *, limits=(), concurrency=None, **options):
    key = key_limits("main", limits, concurrency=concurrency)
    return gate.admit(room=room, most_granted=100, keys=(key,), **options)


def latest(gate, request_id):
    """The fence of its latest grant; 0 when it is gone."""
    return int(gate.redis.hget(f"{gate.prefix}req:{request_id}", "f") or 0)


def started(gate, grant, **options):
    assert gate.start(grant.id, fence=grant.fence, **options).verdict == "go"
    return grant


def test_a_parked_request_is_granted_once_and_starts_once(gate):
    assert park(gate, "a") == 1
    (grant,) = admitted(gate).grants
    assert (grant.id, grant.fence, grant.key_label, grant.attempts) == ("a", latest(gate, "a"), "main", 0)
    assert json.loads(grant.arguments) == {"symbol": "a"}
    assert admitted(gate).grants == ()
    assert gate.start("a", fence=latest(gate, "a")).verdict == "go"
    assert gate.start("a", fence=latest(gate, "a")).verdict == "lost"


def test_what_nobody_has_started_is_taken_back_to_its_place_and_what_runs_goes_on(gate):
    park(gate, "a", "b", "c", "d")
    grants = admitted(gate, 3, limits=["3/day@UTC"]).grants
    started(gate, grants[0])
    assert gate.return_grants(grants) == 2
    assert gate.counts() == Counts(parked=3, granted=0, running=1, held=0)
    assert gate.return_grants(grants) == 0
    # Nothing was counted for them, they come first again, and their old messages start nothing.
    assert [one.id for one in admitted(gate, 3, limits=["3/day@UTC"]).grants] == ["b", "c"]
    assert [gate.start(one.id, fence=one.fence).verdict for one in grants[1:]] == ["lost", "lost"]


def unanswered(gate, grant):
    found = gate.rest_if_unhealthy(grant.id, fence=grant.fence, key_label="main", rest_ms=1_000, why="no usable answer")
    return found == "rests"


def test_a_vendor_that_answers_nobody_is_asked_by_one_call_at_a_time_until_it_answers(gate):
    park(gate, *"abcdefgh")
    one, two, three, four = (started(gate, grant) for grant in admitted(gate, 4).grants)
    assert [unanswered(gate, grant) for grant in (one, one, two)] == [False, False, False]
    assert [unanswered(gate, grant) for grant in (three, four)] == [True, True]
    for tried_again in (one, two):
        gate.delay(tried_again.id, fence=tried_again.fence, delay_ms=60_000)
    # Those two stand in front again, no attempt spent, and the key rests.
    assert admitted(gate).grants == ()
    assert "no usable answer" in report(gate, (key_limits("main", []),))[0].paused_why
    gate.redis.hset("mf:{polygon}:key:main", "until", 0)
    (probe,) = admitted(gate).grants
    assert (probe.id, probe.attempts) == ("c", 0)
    assert admitted(gate).grants == ()
    # It may be itself what is never answered: it spends an attempt, and another one asks next.
    assert not unanswered(gate, started(gate, probe))
    gate.delay("c", fence=probe.fence, delay_ms=-1)
    gate.redis.hset("mf:{polygon}:key:main", "until", 0)
    (probe,) = admitted(gate).grants
    assert probe.id == "d"
    gate.finish(started(gate, probe).id, fence=probe.fence, batch=b"rows")
    found = admitted(gate).grants
    assert [(grant.id, grant.attempts) for grant in found] == [("e", 0), ("f", 0), ("g", 0), ("h", 0), ("c", 1)]


def test_what_was_granted_before_its_key_was_paused_is_not_sent(gate):
    park(gate, "a", "b")
    refused, granted = admitted(gate, limits=["2/day@UTC"]).grants
    gate.requeue(started(gate, refused).id, fence=refused.fence, key_label="main", pause_ms=30_000, why="429", then="grow")
    assert gate.start("b", fence=granted.fence).verdict == "lost"
    assert gate.counts() == Counts(parked=2, granted=0, running=0, held=0)
    gate.redis.hset("mf:{polygon}:key:main", "until", 0)
    # The refused one has been counted by the vendor, the other one has not.
    assert [one.id for one in admitted(gate, limits=["2/day@UTC"]).grants] == ["a"]


def test_a_single_request_that_is_never_answered_makes_no_vendor_ill(gate):
    park(gate, "a")
    for _ in range(5):
        (grant,) = admitted(gate).grants
        assert not unanswered(gate, started(gate, grant))
        gate.delay("a", fence=grant.fence, delay_ms=-1)


def test_a_known_id_is_not_parked_a_second_time(gate):
    assert park(gate, "a", "b") == 2
    assert park(gate, "b", "c") == 1
    assert gate.counts().parked == 3


def test_requests_of_one_job_come_in_the_order_in_which_they_were_parked(gate):
    names = [f"r{n:04}" for n in range(1200)]
    park(gate, *names)
    order = [
        one.id for _ in range(12) for one in gate.admit(room=100, most_granted=10_000, keys=(key_limits("main", ()),)).grants
    ]
    assert order == names


def test_a_new_job_waits_at_most_one_turn_of_every_active_job(gate):
    park(gate, *[f"big{n}" for n in range(50)], job="big")
    first = [one.id for one in admitted(gate, room=5).grants]
    assert first == [f"big{n}" for n in range(5)]
    park(gate, "small0", "small1", job="small")
    order = [one.id for one in admitted(gate, room=6).grants]
    assert order.index("small0") <= 1
    assert order.index("small1") <= 3


def test_a_more_urgent_band_goes_first(gate):
    park(gate, "later", priority=5)
    park(gate, "first", priority=0)
    assert [one.id for one in admitted(gate).grants] == ["first", "later"]


def test_a_not_before_is_waited_for_and_told(gate):
    seconds, micros = gate.redis.time()
    now_ms = seconds * 1000 + micros // 1000
    park(gate, "soon", not_before_ms=now_ms + 60_000)
    admission = admitted(gate)
    assert admission.grants == ()
    assert 55_000 < admission.wait_ms <= 60_000


def test_a_grant_that_never_started_returns_to_its_place_and_its_old_holder_has_lost(gate):
    park(gate, "a", "b")
    (old,) = admitted(gate, room=1, start_by_ms=-1).grants
    (new,) = admitted(gate, room=1).grants
    assert (new.id, new.fence) == ("a", old.fence + 1)
    assert gate.start("a", fence=old.fence).verdict == "lost"
    assert gate.start("a", fence=new.fence).verdict == "go"


def test_a_call_whose_worker_died_runs_again_and_the_third_death_ends_it(gate):
    park(gate, "a")
    for _ in range(3):
        (grant,) = admitted(gate).grants
        started(gate, grant, end_by_ms=-1)
    # The third expiry holds it at once, due now, so that the store task writes it off.
    (offered,) = admitted(gate).grants
    turn = gate.start(offered.id, fence=offered.fence)
    assert turn.verdict == "held"
    assert "three times" in turn.reason
    assert turn.calls == 3


def test_finishing_keeps_the_batch_parks_the_next_page_and_frees_the_slot_in_one_step(gate):
    park(gate, "a")
    (grant,) = admitted(gate).grants
    started(gate, grant)
    assert gate.finish("a", fence=latest(gate, "a"), batch=b"\x00rows", next_page=Parking(id="a/1", arguments="{}"))
    assert gate.batch("a") == b"\x00rows"
    counts = gate.counts()
    assert (counts.parked, counts.running, counts.held) == (1, 0, 1)
    assert gate.start("a", fence=latest(gate, "a")).verdict == "held"
    assert [one.id for one in admitted(gate).grants] == ["a/1"]


def test_a_lost_lease_writes_nothing(gate):
    park(gate, "a")
    started(gate, admitted(gate).grants[0], end_by_ms=-1)
    (again,) = admitted(gate).grants
    assert not gate.finish("a", fence=again.fence - 1, batch=b"late")
    assert gate.batch("a") is None
    started(gate, again)
    assert gate.finish("a", fence=latest(gate, "a"), batch=b"good")


def test_a_refused_call_goes_back_to_the_front_and_pauses_its_key_without_spending_a_retry(gate):
    park(gate, "a", "b")
    (grant,) = admitted(gate, room=1).grants
    started(gate, grant)
    assert gate.requeue("a", fence=latest(gate, "a"), key_label="main", pause_ms=30_000, why="vendor said so")
    assert gate.counts().parked == 2
    (key,) = report(gate, (key_limits("main", ()),))
    assert 29_000 < key.paused_ms <= 30_000
    assert key.paused_why == "vendor said so"
    blocked = admitted(gate)
    assert blocked.grants == ()
    assert 29_000 < blocked.wait_ms <= 30_000
    gate.resume("main")
    (first, *_) = admitted(gate).grants
    assert (first.id, first.attempts) == ("a", 0)


def test_a_shorter_pause_never_shortens_a_longer_one(gate):
    park(gate, "a")
    for pause_ms, why in ((60_000, "long"), (1_000, "short")):
        resume = admitted(gate).grants
        for grant in resume:
            started(gate, grant)
        gate.requeue("a", fence=latest(gate, "a"), key_label="main", pause_ms=pause_ms, why=why)
    assert report(gate, (key_limits("main", ()),))[0].paused_why == "long"


def test_a_pause_that_the_vendor_did_not_name_grows_with_each_refusal_in_a_row(gate):
    park(gate, "a")
    for expected in (1_000, 2_000, 4_000):
        started(gate, admitted(gate).grants[0])
        gate.requeue("a", fence=latest(gate, "a"), key_label="main", pause_ms=1_000, why="429", then="grow")
        (key,) = report(gate, (key_limits("main", ()),))
        assert expected - 500 < key.paused_ms <= expected
        gate.redis.hdel(gate.prefix + "key:main", "until")
    started(gate, admitted(gate).grants[0])
    gate.finish("a", fence=latest(gate, "a"), batch=b"x")
    park(gate, "b")
    started(gate, admitted(gate).grants[0])
    gate.requeue("b", fence=latest(gate, "b"), key_label="main", pause_ms=1_000, why="429", then="grow")
    assert report(gate, (key_limits("main", ()),))[0].paused_ms <= 1_000


def test_a_delayed_retry_spends_one_attempt_and_waits(gate):
    park(gate, "a")
    started(gate, admitted(gate).grants[0])
    assert gate.delay("a", fence=latest(gate, "a"), delay_ms=0)
    (grant,) = admitted(gate).grants
    assert grant.attempts == 1
    assert not gate.delay("a", fence=grant.fence - 1, delay_ms=0)


def test_a_held_batch_that_nobody_stored_is_offered_again_until_it_is_settled(gate):
    park(gate, "a")
    started(gate, admitted(gate).grants[0])
    gate.finish("a", fence=latest(gate, "a"), batch=b"x", held_again_ms=0)
    (offered,) = admitted(gate, held_again_ms=0).grants
    assert offered.id == "a"
    assert gate.postpone("a", delay_ms=50_000, most_ms=60_000) == 50_000
    assert admitted(gate).grants == ()
    assert gate.settle("a")
    assert not gate.settle("a")
    assert not gate.postpone("a", delay_ms=1, most_ms=1)
    assert gate.start("a", fence=latest(gate, "a")).verdict == "over"


def test_nothing_is_left_in_redis_of_requests_that_are_over(gate):
    park(gate, "a", "b")
    for grant in admitted(gate).grants:
        started(gate, grant)
        gate.finish(grant.id, fence=grant.fence, batch=b"x")
        gate.settle(grant.id)
    left = {one.decode().removeprefix(gate.prefix) for one in gate.redis.keys("*")}
    assert left <= {"tags", "counts", "key:main", "key:*", "done:main", "early:main", "done:*", "early:*", "over"}


def test_the_concurrency_cap_counts_granted_and_running(gate):
    park(gate, "a", "b", "c")
    (one,) = admitted(gate, concurrency=1).grants
    assert admitted(gate, concurrency=1).grants == ()
    started(gate, one)
    assert admitted(gate, concurrency=1).grants == ()
    gate.finish(one.id, fence=latest(gate, one.id), batch=b"x")
    assert len(admitted(gate, concurrency=1).grants) == 1


def test_admission_stops_while_too_many_batches_wait_to_be_stored(gate):
    park(gate, "a", "b")
    (one,) = admitted(gate, room=1).grants
    started(gate, one)
    gate.finish(one.id, fence=latest(gate, one.id), batch=b"x")
    assert admitted(gate, most_held=1).grants == ()
    gate.settle(one.id)
    assert len(admitted(gate, most_held=1).grants) == 1


def test_keys_take_turns(gate):
    park(gate, *"abcd")
    keys = (key_limits("x", ()), key_limits("y", ()))
    assert sorted(one.key_label for one in gate.admit(room=4, most_granted=10, keys=keys).grants) == ["x", "x", "y", "y"]


def test_moving_names_what_is_granted_running_or_held(gate):
    park(gate, *"abcd")
    one, two, _three = admitted(gate, room=3).grants
    started(gate, one)
    started(gate, two)
    gate.finish(two.id, fence=latest(gate, two.id), batch=b"x")
    assert gate.moving() == {"a", "b", "c"}


def test_all_keys_of_a_gate_share_one_hash_slot(gate):
    park(gate, "a", "b")
    started(gate, admitted(gate, room=1).grants[0])
    gate.finish("a", fence=latest(gate, "a"), batch=b"x")
    assert {key.decode()[: len(gate.prefix)] for key in gate.redis.keys("*")} == {"mf:{polygon}:"}


def test_only_what_has_not_started_can_be_withdrawn(gate):
    gate.park([Parking(id="a", arguments="", task="t", message="kept whole")], job="direct")
    park(gate, "b", "c")
    assert gate.withdraw(["a"], who="task:t") == [Withdrawn("gone", "kept whole")]
    assert gate.withdraw(["a"], who="task:t") == [Withdrawn("unknown", "")]
    assert gate.settle("task:t")
    one, _ = admitted(gate).grants
    started(gate, one)
    assert [each.what for each in gate.withdraw(["b", "c"], who="job")] == ["stays", "gone"]
    assert gate.start("c", fence=latest(gate, "c")).verdict == "over"
    assert gate.counts().parked == 0


def asked_by_task(name, *, id="a", message=None, expires_ms=0):  # noqa: A002
    return Parking(id=id, arguments="{}", task=name, message=message or f"message of {name}", expires_ms=expires_ms)


def test_two_who_want_the_same_make_one_call_and_both_are_answered(gate):
    park(gate, "a")
    assert gate.park([asked_by_task("t1"), asked_by_task("t2")], job="direct") == 0
    (grant,) = admitted(gate).grants
    assert grant.message == ""
    started(gate, grant)
    gate.finish("a", fence=latest(gate, "a"), batch=b"x")
    gate.settle("a", outcome='{"rows": 3}')
    answered = admitted(gate).grants
    assert {(one.id, one.kind, one.message) for one in answered} == {
        ("task:t1", "answered", "message of t1"),
        ("task:t2", "answered", "message of t2"),
    }
    turn = gate.start("task:t1", fence=latest(gate, "task:t1"))
    assert (turn.verdict, turn.reason) == ("answered", '{"rows": 3}')
    for one in answered:
        gate.settle(one.id)
    assert gate.start("task:t1", fence=latest(gate, "task:t1")).verdict == "over"
    assert gate.request_of("t1") is None


def test_the_next_who_waits_takes_over_from_one_who_leaves(gate):
    gate.park([asked_by_task("t1"), asked_by_task("t2")], job="direct")
    park(gate, "a", job="J")
    assert gate.withdraw([gate.request_of("t1")], who="task:t1") == [Withdrawn("left", "message of t1")]
    # The heir may be a job or a task: whoever it is, both are told apart by their message.
    (grant,) = admitted(gate).grants
    assert gate.withdraw(["a"], who="J")[0].what == "left"
    assert grant.message == "message of t2"
    assert gate.withdraw(["a"], who="task:t2") == [Withdrawn("gone", "message of t2")]
    assert gate.settle("task:t1")
    assert gate.settle("task:t2")
    assert gate.counts() == Counts(parked=0, granted=0, running=0, held=0)
    assert not gate.redis.exists(f"{gate.prefix}req:a")


def test_a_page_is_wanted_by_every_job_that_wants_its_request(gate):
    park(gate, "a", job="J1")
    park(gate, "a", job="J2")
    started(gate, admitted(gate).grants[0])
    gate.finish("a", fence=latest(gate, "a"), batch=b"x", next_page=Parking(id="a/1", arguments="{}"))
    assert gate.withdraw(["a/1"], who="J1")[0].what == "left"
    assert gate.withdraw(["a/1"], who="J2")[0].what == "gone"


def test_a_waiter_that_is_more_urgent_moves_the_request_forward(gate):
    park(gate, "a", "b", "c")
    park(gate, "c", job="urgent", priority=1)
    assert [one.id for one in admitted(gate).grants] == ["c", "a", "b"]


def test_a_task_past_its_expiry_spends_nothing_and_is_told_until_it_is_settled(gate):
    gate.park([asked_by_task("t1", expires_ms=1)], job="direct")
    (told,) = admitted(gate, limits=["1/day@UTC"], held_again_ms=-1).grants
    assert (told.id, told.kind, told.message) == ("task:t1", "dropped", "message of t1")
    assert report(gate, [key_limits("main", ["1/day@UTC"])])[0].limits[0].used == 0
    assert [one.kind for one in admitted(gate).grants] == ["dropped"]
    gate.settle("task:t1")
    assert admitted(gate).grants == ()
    assert gate.events().expired == 1


def test_who_else_waits_keeps_the_place_of_a_task_that_expired(gate):
    gate.park([asked_by_task("t1", expires_ms=1)], job="direct")
    park(gate, "a", job="J")
    assert [(one.id, one.kind) for one in admitted(gate).grants] == [("task:t1", "dropped"), ("a", "go")]


def test_events_are_counted(gate):
    park(gate, "a", "b")
    one, two = (started(gate, grant) for grant in admitted(gate).grants)
    gate.requeue(one.id, fence=latest(gate, one.id), key_label="main", pause_ms=50, why="refused")
    gate.suspect(two.id, fence=latest(gate, two.id), key_label="main", why="bad key", others=())
    assert gate.events() == Events(parked=2, admitted=2, paused=1, refused=2, expired=0)


def test_while_the_database_is_away_nothing_is_admitted_and_each_wait_is_longer(gate):
    park(gate, "a", "b")
    (grant,) = admitted(gate, room=1).grants
    started(gate, grant)
    gate.finish("a", fence=grant.fence, batch=b"x", held_again_ms=-1)
    assert [gate.postpone("a", delay_ms=1_000, most_ms=3_000) for _ in range(3)] == [1_000, 2_000, 3_000]
    assert admitted(gate).grants == ()
    gate.settle("a")
    assert [one.id for one in admitted(gate).grants] == ["b"]


def test_batches_that_wait_to_be_stored_stop_admission_by_their_size(gate):
    park(gate, "a", "b")
    (grant,) = admitted(gate, room=1).grants
    started(gate, grant)
    gate.finish("a", fence=grant.fence, batch=b"x" * 5000)
    assert admitted(gate, most_held_bytes=4000).grants == ()
    gate.settle("a")
    assert [one.id for one in admitted(gate, most_held_bytes=4000).grants] == ["b"]


def test_nobody_wants_the_pages_of_a_request_that_was_cancelled_while_it_ran(gate):
    park(gate, "a", "b", job="J")
    one, two = (started(gate, grant) for grant in admitted(gate).grants)
    assert [left.what for left in gate.withdraw(["a", "b"], who="J")] == ["stays", "stays"]
    park(gate, "b", job="J")
    for grant in (one, two):
        gate.finish(grant.id, fence=grant.fence, batch=b"x", next_page=Parking(id=f"{grant.id}/1", arguments="{}"))
    assert [grant.id for grant in admitted(gate).grants] == ["b/1"]


def test_a_start_whose_answer_was_lost_is_answered_again_to_the_same_child_only(gate):
    park(gate, "a")
    (grant,) = admitted(gate).grants
    assert gate.start("a", fence=grant.fence, child="one").verdict == "go"
    again = gate.start("a", fence=grant.fence, child="one")
    assert (again.verdict, again.calls) == ("go", 1)
    assert gate.start("a", fence=grant.fence, child="two").verdict == "lost"


def test_the_gate_is_unhealthy_when_what_may_run_is_not_admitted_for_a_minute(gate):
    keys = [key_limits("main", ["5/minute"])]
    assert health(gate, keys).ok
    park(gate, "a")
    assert health(gate, keys).ok
    long_ago = now_ms(gate) - 61_000
    gate.redis.hset(f"{gate.prefix}counts", "fine", long_ago)
    stuck = health(gate, keys)
    assert (stuck.ok, stuck.waiting) == (False, 1)
    assert 60_000 < stuck.stuck_ms < 65_000
    # What a key's pause keeps back is not stuck, nor is it in the minute after the pause.
    gate.pause("main", pause_ms=30_000, why="by hand")
    assert health(gate, keys).ok
    gate.redis.hset(f"{gate.prefix}key:main", "until", now_ms(gate) - 5_000)
    assert health(gate, keys).ok
    gate.resume("main")
    assert not health(gate, keys).ok
    assert [one.id for one in gate.admit(room=1, most_granted=9, keys=keys).grants] == ["a"]
    assert health(gate, keys).ok


def now_ms(gate):
    seconds, micros = gate.redis.time()
    return seconds * 1000 + micros // 1000


def test_a_task_that_was_withdrawn_is_offered_until_it_is_marked_as_revoked(gate):
    gate.park([asked_by_task("t1")], job="direct")
    gate.withdraw(["a"], who="task:t1")
    gate.redis.zadd(f"{gate.prefix}held", {"task:t1": 0})
    (told,) = admitted(gate).grants
    assert (told.id, told.kind, told.message) == ("task:t1", "dropped", "message of t1")
    gate.settle("task:t1")
    assert not gate.redis.keys("*req*")


def turn(name, **options):
    return StoreTurn(**{"name": name, "lasts_ms": 60_000, "busy_ms": 1_000, "most": 3, "most_bytes": 1_000, **options})


def keeps(gate, grant, **options):
    started(gate, grant)
    return gate.finish(grant.id, fence=grant.fence, batch=grant.id.encode(), **options)


def test_one_child_has_the_turn_to_store_and_gets_what_the_others_keep_until_nothing_is_left(gate):
    park(gate, *[f"r{n}" for n in range(7)])
    first, *others = admitted(gate).grants
    assert keeps(gate, first, turn=turn("r0")) is Kept.CLAIMED
    assert [keeps(gate, one, turn=turn(one.id)) for one in others[:4]] == [Kept.FOR_OTHERS] * 4
    found = gate.settle_together({"r0": "{}"}, turn=turn("r0"))
    assert found == {f"r{n}": f"r{n}".encode() for n in (1, 2, 3)}, "those that have waited longest"
    assert [one.tries for one in gate.claim(list(found), busy_ms=1_000)] == [-1, -1, -1]
    assert gate.settle_together(dict.fromkeys(found, "{}"), turn=turn("r0")) == {"r4": b"r4"}
    assert keeps(gate, others[4], turn=turn("r5", own=True)) is Kept.CLAIMED, "a large one is stored at once"
    assert gate.settle_together({"r4": "{}", "r5": "{}"}, turn=turn("r0")) == {}
    assert keeps(gate, others[5], turn=turn("r6")) is Kept.CLAIMED, "the turn was free again"


def test_a_turn_that_ends_names_one_that_is_left_and_a_wave_has_so_many_bytes(gate):
    park(gate, *[f"r{n}" for n in range(4)])
    for grant in admitted(gate).grants:
        keeps(gate, grant, turn=turn("r0"))
    assert gate.settle_together({"r0": "{}"}, turn=turn("r0", most_bytes=3)) == {"r1": b"r1", "r2": b"r2"}
    assert gate.settle_together({"r1": "{}"}, turn=turn("r0", most=0)) == {"r3": b""}
    (claim,) = gate.claim(["r3"], busy_ms=1_000)
    assert (claim.data, claim.tries) == (b"r3", 1), "its store task is the first to claim it"
    assert not gate.redis.exists(f"{gate.prefix}storing")


def test_a_batch_that_its_process_could_not_store_is_left_to_its_own_store_task_at_once(gate):
    park(gate, *"ab")
    a, b = admitted(gate).grants
    keeps(gate, a, turn=turn("a"))
    keeps(gate, b, turn=turn("b"))
    assert gate.release_claims(["a"], turn=turn("a"), counted=True) == 1
    assert list(gate.settle_together({}, turn=turn("x"))) == ["b"], "no wave meets it again"
    (claim,) = gate.claim(["a"], busy_ms=60_000)
    assert (claim.data, claim.tries) == (b"a", 2)


def test_what_a_users_task_has_fetched_is_left_to_the_message_that_its_chain_follows(gate):
    gate.park([asked_by_task("t1")], job="direct")
    park(gate, "b")
    for grant in admitted(gate).grants:
        keeps(gate, grant)
    assert list(gate.settle_together({}, turn=turn("x"))) == ["b"]


def test_a_turn_is_lost_when_its_holder_gives_up_or_dies(gate):
    park(gate, *"abcd")
    a, b, c, d = admitted(gate).grants
    assert keeps(gate, a, turn=turn("a")) is Kept.CLAIMED
    gate.release_claims(["a"], turn=turn("another"))
    assert keeps(gate, b, turn=turn("b")) is Kept.FOR_OTHERS
    gate.release_claims(["a"], turn=turn("a"))
    assert keeps(gate, c, turn=turn("c", lasts_ms=1)) is Kept.CLAIMED
    eventually(lambda: not gate.redis.exists(f"{gate.prefix}storing"), what="the turn is over")
    assert keeps(gate, d, turn=turn("d")) is Kept.CLAIMED
    assert list(gate.settle_together({"d": "{}"}, turn=turn("d"))) == ["a", "b"], "what the dead one has claimed stays claimed"


def test_a_try_to_store_that_is_never_heard_of_counts_and_one_without_a_database_does_not(gate):
    park(gate, "a")
    (grant,) = admitted(gate).grants
    gate.finish(started(gate, grant).id, fence=grant.fence, batch=b"rows")
    assert [gate.claim(["a"], busy_ms=-1)[0].tries for _ in range(3)] == [1, 2, 3]
    # Who takes only what few have tried has not tried it.
    assert [gate.claim(["a"], busy_ms=-1, most_tried=2)[0].tries for _ in range(2)] == [0, 0]
    assert gate.claim(["a"], busy_ms=-1, most_tried=3)[0].tries == 4
    gate.postpone("a", delay_ms=1, most_ms=1)
    (taken,) = gate.claim(["a"], busy_ms=60_000)
    assert (taken.data, taken.tries) == (b"rows", 1)
    # It is offered when that try should have ended.
    assert gate.redis.zscore("mf:{polygon}:held", "a") > time.time() * 1000 + 50_000
    gate.settle("a")
    assert gate.claim(["a"], busy_ms=1)[0].tries == 0


def test_the_replies_of_the_latest_that_killed_their_workers_are_kept(gate):
    for n in range(25):
        gate.keep_raw(f"r{n}", f"reply {n}".encode())
    gate.keep_raw("r24", b"once more")
    assert [n for n in range(25) if gate.raw(f"r{n}")] == list(range(5, 25))
    assert gate.raw("r24") == b"once more"


def test_a_call_that_has_lost_its_lease_keeps_no_reply_that_would_stay_for_a_week(gate):
    park(gate, "a")
    (old,) = admitted(gate).grants
    started(gate, old, end_by_ms=-1)
    (grant,) = admitted(gate).grants
    started(gate, grant)
    gate.keep_raw("a", b"late", fence=old.fence)
    assert gate.raw("a") is None
    gate.keep_raw("a", b"its own", fence=grant.fence)
    assert gate.raw("a") == b"its own"
    gate.finish("a", fence=grant.fence, batch=b"x")
    gate.keep_raw("a", b"behind its finish", fence=grant.fence)
    assert gate.raw("a") is None
    gate.settle("a")
    gate.keep_raw("a", b"behind its end", fence=grant.fence)
    assert not list(gate.redis.scan_iter("mf:{polygon}:raw*"))
