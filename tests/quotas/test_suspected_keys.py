"""A key is suspected by one verdict and condemned by the next; five unknown refusals in a row set it aside. Real scripts."""

from __future__ import annotations

import pytest

from marketfetch.quotas import key_limits
from marketfetch.quotas.reporting import health, report
from marketfetch.quotas.values import KeyHistory
from tests.quotas.steps import admit, park

ONE, TWO = key_limits("one", []), key_limits("two", [])


def started(gate, *keys, room=100):
    """Grants that have started."""
    grants = [one for one in admit(gate, *keys, room=room).grants if one.kind == "go"]
    return [one for one in grants if gate.start(one.id, fence=one.fence).verdict == "go"]


def rejects(gate, grant, *, others=()):
    return gate.suspect(grant.id, fence=grant.fence, key_label=grant.key_label, why="unknown key", others=others)


def refuses(gate, grant, *, unknown="refusal", delay_ms=-1):
    """An unusable reply; a request that spends an attempt comes back at once, unless it is delayed."""
    found = gate.rest_if_unhealthy(
        *(grant.id,), fence=grant.fence, key_label=grant.key_label, rest_ms=1_000, why="403", unknown=unknown, words="not today"
    )
    if found == "spends":
        gate.delay(grant.id, fence=grant.fence, delay_ms=delay_ms)
    # The pause is over.
    gate.redis.hset(f"{gate.prefix}key:{grant.key_label}", "until", 0)
    return found


def key(gate, limits=ONE):
    (found,) = report(gate, [limits])
    return found


def test_one_verdict_suspects_the_key_and_its_request_goes_first_again_without_a_spent_attempt(gate):
    park(gate, "a", "b")
    (grant,) = started(gate, ONE, room=1)
    assert rejects(gate, grant, others=("two",)) == "suspected"
    assert (key(gate).suspected_why, key(gate).aside_why) == ("unknown key", "")
    (again,) = admit(gate, ONE).grants
    assert (again.id, again.attempts) == ("a", 0)


def test_a_second_call_that_says_the_same_sets_it_aside_and_another_key_goes_on(gate):
    park(gate, "a", "b")
    (grant,) = started(gate, ONE, room=1)
    rejects(gate, grant, others=("two",))
    (grant,) = started(gate, ONE)
    assert rejects(gate, grant, others=("two",)) == "aside"
    assert (key(gate).suspected_why, key(gate).aside_why) == ("", "unknown key")
    assert admit(gate, ONE).grants == ()
    assert {one.key_label for one in admit(gate, ONE, TWO).grants} == {"two"}


def test_a_suspected_key_makes_one_call_at_a_time(gate):
    park(gate, *"abcdef")
    (grant,) = started(gate, ONE, room=1)
    rejects(gate, grant)
    (probe,) = admit(gate, ONE).grants
    assert admit(gate, ONE).grants == ()
    gate.start(probe.id, fence=probe.fence)
    assert admit(gate, ONE).grants == ()
    assert key(gate).opens_ms is None
    gate.finish(probe.id, fence=probe.fence, batch=b"x")
    assert len(admit(gate, ONE).grants) == 5


def test_grants_from_before_the_suspicion_return_to_the_lane_while_a_call_is_running(gate):
    park(gate, "a", "b", "c")
    first, second, third = admit(gate, ONE).grants
    gate.start(first.id, fence=first.fence)
    rejects(gate, first)
    # None is running: this one decides. The next must wait for it.
    assert gate.start(second.id, fence=second.fence).verdict == "go"
    assert gate.start(third.id, fence=third.fence).verdict == "lost"
    assert gate.counts().granted == 0
    assert rejects(gate, second, others=("two",)) == "aside"


def test_calls_that_were_open_together_are_one_verdict(gate):
    park(gate, "a", "b", "c")
    for grant in started(gate, ONE):
        assert rejects(gate, grant, others=("two",)) == "suspected"
    assert gate.counts().parked == 3
    assert key(gate).aside_why == ""


@pytest.mark.parametrize("reply", ["rows", "failure"])
def test_a_usable_reply_between_clears_the_key_and_a_failed_request_does_not(gate, reply):
    park(gate, "a", "b", "c")
    (grant,) = started(gate, ONE, room=1)
    rejects(gate, grant)
    (grant,) = started(gate, ONE)
    gate.finish(grant.id, fence=grant.fence, batch=b"x", failed="no such symbol" if reply == "failure" else "")
    (grant, *_) = started(gate, ONE)
    assert rejects(gate, grant, others=("two",)) == ("suspected" if reply == "rows" else "aside")


def test_the_last_key_in_service_is_not_set_aside_and_the_request_fails(gate):
    park(gate, "a", "b")
    for label in ("one", "two"):
        limits = key_limits(label, [])
        (grant,) = started(gate, limits, room=1)
        assert rejects(gate, grant, others={"one": ("two",), "two": ("one",)}[label]) == "suspected"
        (grant,) = started(gate, limits)
        said = rejects(gate, grant, others={"one": ("two",), "two": ("one",)}[label])
        assert said == {"one": "aside", "two": "refused"}[label]
    assert gate.counts().running == 1
    gate.finish(grant.id, fence=grant.fence, batch=b"x", failed="unknown key")
    # Each further request costs one call.
    (grant,) = started(gate, TWO)
    assert rejects(gate, grant, others=("one",)) == "refused"


def test_a_report_that_comes_twice_condemns_no_key(gate):
    """Redis's reply to the first was lost, and the request has been granted again meanwhile."""
    park(gate, "a")
    (grant,) = started(gate, ONE)
    rejects(gate, grant, others=("two",))
    (again,) = started(gate, ONE)
    assert rejects(gate, grant, others=("two",)) == "suspected"
    assert key(gate).aside_why == ""
    assert rejects(gate, again, others=("two",)) == "aside"


def test_an_operator_clears_a_suspicion(gate):
    park(gate, "a")
    (grant,) = started(gate, ONE)
    rejects(gate, grant)
    gate.resume("one")
    assert key(gate).suspected_why == ""
    (grant,) = started(gate, ONE)
    assert rejects(gate, grant, others=("two",)) == "suspected"


def test_a_key_of_the_release_before_has_no_suspicion_and_its_aside_stays(gate):
    gate.redis.hset(f"{gate.prefix}key:one", mapping={"aside": "old reason", "ill": 1, "illby": "x"})
    park(gate, "a")
    assert admit(gate, ONE).grants == ()
    assert (key(gate).aside_why, key(gate).suspected_why, key(gate).refusals) == ("old reason", "", 0)
    gate.resume("one")
    assert len(admit(gate, ONE).grants) == 1


def test_five_unknown_refusals_in_a_row_set_the_key_aside_with_the_words(gate):
    park(gate, *"abcdefgh")
    verdicts = [refuses(gate, started(gate, ONE, room=1)[0], delay_ms=60_000) for _ in range(5)]
    # The circuit breaker opens with the third, and the fourth was its probe.
    assert verdicts == ["spends", "spends", "rests", "spends", "aside"]
    assert key(gate).aside_why == "refused, reason not recognised: not today"
    assert admit(gate, ONE).grants == ()
    assert len(admit(gate, ONE, TWO).grants) == 5
    gate.resume("one")
    assert key(gate).refusals == 0


def test_five_of_one_request_are_five_in_a_row(gate):
    park(gate, "a")
    assert [refuses(gate, started(gate, ONE)[0]) for _ in range(5)] == ["spends"] * 4 + ["aside"]
    # The request waits, and the fifth call has spent no attempt of it.
    assert gate.counts().parked == 1
    (grant,) = admit(gate, TWO).grants
    assert (grant.id, grant.attempts) == ("a", 4)


def test_a_usable_reply_between_begins_the_row_anew(gate):
    park(gate, *"abcdefghijkl")
    for _ in range(2):
        for _ in range(4):
            assert refuses(gate, started(gate, ONE, room=1)[0]) != "aside"
        (good,) = started(gate, ONE, room=1)
        gate.finish(good.id, fence=good.fence, batch=b"x")
    assert (key(gate).aside_why, key(gate).refusals) == ("", 0)


def test_calls_that_were_open_when_the_breaker_opened_count_no_further(gate):
    """A moment's block refuses all open calls at once: that is no row of five."""
    park(gate, *"abcdefgh")
    found = [
        gate.rest_if_unhealthy(
            one.id, fence=one.fence, key_label="one", rest_ms=1_000, why="403", unknown="refusal", words="no"
        )
        for one in started(gate, ONE)
    ]
    assert found == ["spends", "spends", *["rests"] * 6]
    assert (key(gate).refusals, key(gate).aside_why) == (3, "")


def test_what_is_known_and_sentences_count_as_no_refusal_and_sentences_are_counted(gate):
    park(gate, "a")
    for unknown in ("", "sentence", "sentence", "", "sentence", "sentence", "sentence"):
        (grant,) = started(gate, ONE)
        refuses(gate, grant, unknown=unknown)
    assert (key(gate).refusals, key(gate).aside_why) == (0, "")
    # `refuses` has words each time.
    assert (key(gate).unknown_sentences, key(gate).last_sentence) == (7, "not today")


def test_suspicion_and_circuit_breaker_end_with_the_same_usable_reply(gate):
    park(gate, *"abcdef")
    for _ in range(3):
        refuses(gate, started(gate, ONE, room=1)[0], unknown="", delay_ms=60_000)
    (probe,) = started(gate, ONE)
    assert rejects(gate, probe, others=("two",)) == "suspected"
    (probe,) = started(gate, ONE)
    assert admit(gate, ONE).grants == ()
    gate.finish(probe.id, fence=probe.fence, batch=b"x")
    # Two have spent an attempt and are delayed.
    assert len(admit(gate, ONE).grants) == 3


def test_a_suspicion_moves_with_the_clock(gate):
    park(gate, "a")
    (grant,) = started(gate, ONE)
    rejects(gate, grant)
    was = int(gate.redis.hget(f"{gate.prefix}key:one", "suspect"))
    histories = [KeyHistory("one", used=True, lost=0, days={})]
    gate.restore(old="", new="e", histories=histories, late_ms=0, step_ms=3_000)
    assert int(gate.redis.hget(f"{gate.prefix}key:one", "suspect")) == was + 3_000_000


def test_a_pool_whose_only_key_is_suspected_is_not_stuck(gate):
    park(gate, "a", "b")
    (grant,) = started(gate, ONE, room=1)
    rejects(gate, grant)
    assert health(gate, [ONE]).ok
    admit(gate, ONE)
    assert health(gate, [ONE]).stuck_ms == 0
