"""What a newer release has made is left to its workers, loses nothing and blocks nobody."""

from __future__ import annotations

import pytest

from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.quotas.scripts import Scripts
from marketfetch.quotas.values import Counts, Start
from tests.quotas.stepped import FORMAT, of_a_newer_release
from tests.quotas.steps import admit, park
from tests.waiting import eventually


class NextScripts(Scripts):
    """The scripts of the release after this one: the same, but that their format is one higher."""

    def text(self, name):
        return of_a_newer_release(super().text(name), FORMAT + 1)


@pytest.fixture
def following(redis):
    gate = Gate(redis, pool="polygon")
    gate._scripts = NextScripts(redis)
    return gate


def granted(gate, **options):
    return [one.id for one in admit(gate, **options).grants]


def started(gate, *ids):
    park(gate, *ids)
    for one in admit(gate, start_by_ms=-1).grants:
        assert gate.start(one.id, fence=one.fence, end_by_ms=-1).verdict == "go"


def record(gate, name):
    return gate.redis.hgetall(f"{gate.prefix}req:{name}")


def members(gate, name):
    return [one.decode() for one in gate.redis.zrange(f"{gate.prefix}{name}", 0, -1)]


def tags(gate):
    return {name.decode(): int(value) for name, value in gate.redis.hgetall(f"{gate.prefix}tags").items()}


# --- in the lane ------------------------------------------------------------------------------------------------------


def test_what_a_newer_release_has_parked_lets_others_pass_and_spends_nothing(gate, following):
    key = key_limits("main", ["2/minute"])
    park(following, "new1", "new2", "new3")
    before = [record(gate, f"new{n}") for n in (1, 2, 3)]
    park(gate, "a", "b", priority=6)
    admission = admit(gate, key)
    assert [one.id for one in admission.grants] == ["a", "b"]
    assert admission.newer == 3
    assert [record(gate, f"new{n}") for n in (1, 2, 3)] == before
    assert gate.counts() == Counts(parked=3, granted=2, running=0, held=0)


def test_it_has_its_old_place_as_soon_as_somebody_looks_who_knows_it(gate, following):
    park(following, "new1", "new2", "new3", job="job")
    assert admit(gate).newer == 3
    assert tags(gate) == {}
    park(following, "new4", "new5", job="job")
    park(gate, "a", job="K")
    assert granted(following, room=4) == ["a", "new1", "new4", "new2"]
    assert admit(following, room=0).newer == 0
    assert members(gate, "ready") == ["new5", "new3"]
    assert tags(gate)["N:5:job"] == 2


def test_a_releaser_with_nothing_but_newer_requests_sleeps(gate, following):
    park(following, *(f"new{n}" for n in range(20)))
    assert admit(gate, room=8).wait_ms is None
    again = admit(gate, room=8)
    assert (again.grants, again.wait_ms, again.newer) == ((), None, 20)


def test_many_newer_requests_are_passed_a_hundred_at_a_look(gate, following):
    park(following, *(f"new{n}" for n in range(250)))
    park(gate, "a", priority=6)
    looks = [admit(gate, room=8) for _ in range(3)]
    assert [(len(one.grants), one.wait_ms) for one in looks[:2]] == [(0, 0), (0, 0)]
    assert [one.id for one in looks[2].grants] == ["a"]
    assert looks[2].newer == 250
    returned = [admit(following, room=0) for _ in range(3)]
    assert [one.newer for one in returned] == [150, 50, 0]
    assert [one.wait_ms == 0 for one in returned] == [True, True, False]
    assert len(members(gate, "ready")) == tags(gate)["N:5:job"] == 250


def test_a_newer_request_whose_moment_comes_or_whose_task_has_expired_is_left_alone_too(gate, following):
    following.park([Parking(id="task:t", arguments="", task="t", message="m", expires_ms=1)], job="direct")
    park(following, "later", not_before_ms=1)
    assert (admit(gate).grants, admit(gate).newer) == ((), 2)
    assert {one.id: one.kind for one in admit(following).grants} == {"task:t": "dropped", "later": "go"}


def test_who_ends_a_newer_request_may_be_of_any_release(gate, following):
    park(following, "settled", "withdrawn", "stays")
    admit(gate)
    assert gate.settle("settled", outcome="{}")
    assert [one.what for one in gate.withdraw(["withdrawn"], who="job")] == ["gone"]
    assert members(gate, "newer") == ["stays"]
    assert granted(following) == ["stays"]


def test_a_newer_request_gains_a_waiter_and_keeps_its_format(gate, following):
    park(following, "new")
    gate.park([Parking(id="new", arguments="{}", task="t", message="m")], job="direct", priority=2)
    assert record(gate, "new")[b"r"] == str(FORMAT + 1).encode()
    assert admit(gate).newer == 1
    assert granted(following) == ["new"]
    following.settle("new", outcome="{}")
    (told,) = admit(following).grants
    assert (told.id, told.kind) == ("task:t", "answered")


# --- deadlines --------------------------------------------------------------------------------------------------------


def due(gate, name):
    ((_, score),) = gate.redis.zrange(f"{gate.prefix}{name}", 0, -1, withscores=True)
    seconds, micros = gate.redis.time()
    return score - (seconds * 1000 + micros / 1000)


def in_place(gate, place):
    """A request of the next release that is past its deadline there; its fence."""
    park(gate, "new")
    (one,) = admit(gate, start_by_ms=-1).grants
    if place != "granted":
        gate.start("new", fence=one.fence, end_by_ms=-1)
    if place == "held":
        gate.finish("new", fence=one.fence, batch=b"x", held_again_ms=-1)
    return one.fence


@pytest.mark.parametrize("place", ["granted", "running", "held"])
def test_a_passed_deadline_of_a_newer_request_is_left_to_who_knows_it(gate, following, place):
    in_place(following, place)
    before, open_calls = record(gate, "new"), gate.redis.smembers(f"{gate.prefix}open:main")
    admission = admit(gate)
    assert (admission.grants, admission.newer) == ((), 1)
    assert (record(gate, "new"), gate.redis.smembers(f"{gate.prefix}open:main")) == (before, open_calls)
    assert members(gate, place) == ["new"]
    assert 2_000 < due(gate, place) <= 3_000
    wait_ms = admit(gate).wait_ms
    assert wait_ms is not None
    assert 2_000 < wait_ms <= 3_000
    (one,) = eventually(lambda: admit(following).grants, within_s=5, what="its own release takes it up")
    assert one.kind == ("held" if place == "held" else "go")


@pytest.mark.parametrize("place", ["granted", "running", "held"])
def test_nothing_is_sent_for_a_newer_request(gate, following, place):
    fence = in_place(following, place)
    before = record(gate, "new")
    assert gate.start("new", fence=fence, child="c") == Start("lost")
    assert record(gate, "new") == before
    assert members(gate, place) == ["new"]


def test_a_newer_request_that_has_passed_its_deadline_keeps_no_other_from_coming_back(gate, following):
    in_place(following, "running")
    started(gate, "a")
    assert [one.id for one in admit(gate).grants] == ["a"]
