"""What a vendor says it has counted can only lower what is left; a reserve leaves its share alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import fakeredis
import pytest

from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.quotas.values import VendorCount


@pytest.fixture(params=["valkey", "fakeredis"])
def gate(request):
    if request.param == "valkey":
        yield Gate(request.getfixturevalue("redis"), pool="nasdaq")
    else:
        with fakeredis.FakeRedis() as client:
            yield Gate(client, pool="nasdaq")


def admitted(gate, key, room=100):
    return gate.admit(room=room, most_granted=1000, keys=(key,)).grants


def one_call(gate, key, counted):
    gate.park([Parking(id=f"r{n}", arguments=json.dumps({})) for n in range(50)], job="job")
    (grant,) = admitted(gate, key, room=1)
    gate.start(grant.id, fence=grant.fence)
    gate.finish(grant.id, fence=grant.fence, batch=b"x", counted=counted)


@pytest.mark.parametrize(("said", "left"), [(7, 3), (1, 9), (0, 9), (10, 0), (500, 0)])
def test_a_window_is_as_full_as_the_vendor_says_and_never_emptier_than_we_know(gate, said, left):
    key = key_limits("main", ["10/minute"])
    one_call(gate, key, VendorCount(said, window_us=60_000_000, strict=True) if said else None)
    assert len(admitted(gate, key)) == left


@pytest.mark.parametrize(("said", "left"), [(7, 3), (1, 9), (12, 0)])
def test_a_calendar_day_is_as_full_as_the_vendor_says(gate, said, left):
    key = key_limits("main", ["10/day@UTC"])
    (_, (today, _, _), _) = key.calendars[0].periods(datetime.now(UTC))
    one_call(gate, key, VendorCount(said, counter=key.calendars[0].counter("main", today)))
    assert len(admitted(gate, key)) == left


def test_calls_that_are_open_are_not_counted_twice(gate):
    """The vendor has seen two: one has answered, one is on its way back."""
    key = key_limits("main", ["10/minute"])
    gate.park([Parking(id=f"r{n}", arguments="{}") for n in range(50)], job="job")
    one, two = admitted(gate, key, room=2)
    for grant in (one, two):
        gate.start(grant.id, fence=grant.fence)
    gate.finish(one.id, fence=one.fence, batch=b"x", counted=VendorCount(2, window_us=60_000_000, strict=True))
    assert len(admitted(gate, key)) == 8


def test_a_reserve_takes_its_share_of_every_limit(gate):
    key = key_limits("main", ["10/minute", "100/day@UTC"], reserve=0.25)
    assert [one.count for one in key.limits] == [7, 75]
    gate.park([Parking(id=f"r{n}", arguments="{}") for n in range(50)], job="job")
    assert len(admitted(gate, key)) == 7
    assert key_limits("main", ["1/second"], reserve=0.9).windows[0].count == 1


def test_two_numbers_for_the_days_of_one_zone_are_the_smaller_one():
    assert [one.count for one in key_limits("main", ["25/day@UTC", "10/day@UTC", "30/day@UTC"]).calendars] == [10]
