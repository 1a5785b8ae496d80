"""Requests of owners wait in lanes of their own: only the owner's keys serve them, and no lane holds another one up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketfetch.quotas import Parking, key_limits, lane_view
from marketfetch.quotas.lanes import lane, lane_of_id
from marketfetch.quotas.reporting import health, report
from tests.quotas.steps import admit, park

ACME, BETA = lane("acme"), lane("beta")
HOUSE = key_limits("house", ["100/minute"])


def key(label, *lanes, limits=("100/minute",), secret=""):
    return replace(key_limits(label, limits), lanes=lanes, secret_print=secret)


OF_ACME, OF_BETA = key("acme", ACME), key("beta", BETA)


def ids(name, many):
    return [f"{name}~{number:020x}" if name else f"{number:020x}" for number in range(many)]


def by_key(admission):
    found: dict[str, set[str]] = {}
    for one in admission.grants:
        found.setdefault(one.key_label, set()).add(lane_of_id(one.id))
    return found


def left(gate):
    kept = (b"counts", b"key:", b"done:", b"early:", b"over", b"secrets", b"lanes")
    return [
        one for one in gate.redis.scan_iter(f"{gate.prefix}*") if not one.removeprefix(gate.prefix.encode()).startswith(kept)
    ]


def test_each_lane_is_served_by_its_own_keys_alone(gate):
    for name, job in (("", "house"), (ACME, "acme"), (BETA, "beta")):
        park(gate, *ids(name, 3), job=job)
    assert by_key(admit(gate, HOUSE)) == {"house": {""}}
    assert admit(gate, HOUSE).grants == ()
    assert by_key(admit(gate, HOUSE, OF_ACME, OF_BETA)) == {"acme": {ACME}, "beta": {BETA}}
    assert gate.counts().parked == 0


def test_an_owner_whose_key_is_used_up_holds_up_nobody(gate):
    park(gate, *ids(ACME, 5), job="acme")
    park(gate, *ids(BETA, 2), job="beta")
    park(gate, *ids("", 2), job="house")
    found = admit(gate, HOUSE, replace(key_limits("acme", ["1/minute"]), lanes=(ACME,)), OF_BETA)
    assert sorted(one.key_label for one in found.grants) == ["acme", "beta", "beta", "house", "house"]
    assert (gate.counts().parked, gate.parked(ACME), gate.parked("")) == (4, 4, 0)


def test_room_is_shared_and_none_is_left_unused(gate):
    park(gate, *ids(ACME, 50), job="acme")
    park(gate, *ids(BETA, 2), job="beta")
    park(gate, *ids("", 50), job="house")
    labels = [one.key_label for one in admit(gate, HOUSE, OF_ACME, OF_BETA, room=12).grants]
    assert len(labels) == 12
    assert labels.count("beta") == 2
    assert min(labels.count("acme"), labels.count("house")) >= 4


def test_one_secret_in_two_owners_hands_has_its_limit_once(gate):
    park(gate, *ids(ACME, 5), job="acme")
    park(gate, *ids(BETA, 5), job="beta")
    shared = key("acme", ACME, BETA, limits=["4/minute"])
    assert len(admit(gate, HOUSE, shared).grants) == 4
    assert admit(gate, HOUSE, shared).grants == ()


def test_a_secret_brings_its_calls_along_to_another_label(gate):
    park(gate, *ids(ACME, 9), job="acme")
    limits = ["4/minute", "5/day@UTC"]
    was = key("acme", ACME, limits=limits, secret="a1")
    first, second = admit(gate, was, room=2).grants
    gate.start(first.id, fence=first.fence)
    gate.finish(first.id, fence=first.fence, batch=b"x")
    gate.start(second.id, fence=second.fence)
    now = key("other", ACME, limits=limits, secret="a1")
    assert len(admit(gate, now).grants) == 2, "two of four calls are counted under the label before"
    gate.finish(second.id, fence=second.fence, batch=b"x")
    (told,) = report(gate, [now])
    assert ([use.used for use in told.limits], told.open_calls) == ([4, 4], 2)
    # And back again: nothing is forgotten, nor counted twice for ever.
    assert admit(gate, was).grants == ()
    assert not gate.redis.exists(f"{gate.prefix}open:other")
    # Another secret under the old label starts with what that label had, as before.
    assert admit(gate, key("fresh", ACME, limits=limits, secret="b2")).grants != ()


def test_a_request_ends_whole_in_its_lane(gate):
    first, second, third, fourth = ids(ACME, 4)
    park(gate, first, second, third, fourth, job="acme")
    gate.withdraw([fourth], who="acme")
    gate.settle(third)
    for expected in (first, second):
        (one,) = admit(gate, OF_ACME, room=1).grants
        assert one.id == expected
        gate.start(one.id, fence=one.fence)
        gate.finish(one.id, fence=one.fence, batch=b"x", next_page=Parking(id=f"{one.id}/1", arguments="{}"))
        gate.settle(one.id)
        (page,) = admit(gate, OF_ACME, room=1).grants
        assert (page.id, page.key_label) == (f"{one.id}/1", "acme")
        gate.return_grants([page])
        found = lane_view.find(gate, page.id)
        assert found is not None
        assert found.position == 1
        (page,) = admit(gate, OF_ACME, room=1).grants
        gate.start(page.id, fence=page.fence)
        gate.requeue(page.id, fence=page.fence, key_label="acme")
        (page,) = admit(gate, OF_ACME, room=1).grants
        gate.settle(page.id)
    assert admit(gate, OF_ACME).grants == ()
    assert gate.redis.hkeys(f"{gate.prefix}tags") == [f"V:5:{ACME}".encode()]
    assert [one for one in left(gate) if not one.endswith(b"tags")] == []
    assert gate.redis.scard(f"{gate.prefix}lanes") == 0


def test_a_lane_that_stands_still_gives_later_jobs_of_it_no_late_turn(gate):
    park(gate, *ids(ACME, 3), job="first")
    for number in range(20):
        park(gate, f"{number:020x}", job="house")
        admit(gate, HOUSE)
    park(gate, f"{ACME}~{99:020x}", job="second")
    order = [one.id for one in admit(gate, OF_ACME).grants]
    assert order.index(f"{ACME}~{99:020x}") <= 1


@pytest.mark.parametrize("moved", ["ready", "delayed"])
def test_what_a_release_without_lanes_has_put_into_the_common_lane_is_granted_with_no_other_key(gate, moved):
    """The release before moves what is due to `ready`, and leaves a record of format 3 in `newer` when it comes to it."""
    (one,) = ids(ACME, 1)
    park(gate, one, job="acme")
    assert gate.redis.hget(f"{gate.prefix}req:{one}", "r") == b"3"
    gate.redis.zrem(f"{gate.prefix}ready:{ACME}", one)
    gate.redis.srem(f"{gate.prefix}lanes", ACME)
    gate.redis.zadd(f"{gate.prefix}{moved}", {one: 1})
    assert admit(gate, HOUSE).grants == ()
    assert by_key(admit(gate, HOUSE, OF_ACME)) == {"acme": {ACME}}


def test_what_waits_without_a_key_is_counted_and_is_no_stuck_gate(gate):
    park(gate, *ids(ACME, 2), job="acme")
    assert admit(gate, HOUSE).grants == ()
    found = health(gate, [HOUSE])
    assert (found.ok, found.waiting, gate.counts().parked) == (True, 2, 2)
    assert [one.id for one in lane_view.first(gate, 9)] == ids(ACME, 2)
    assert set(lane_view.waiters(gate, 9)) == {"acme"}
