"""Limits of keys, decided in one script: windows, calendar days, concurrency, pools, pauses. Real Valkey and fakeredis."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic

import pytest

from marketfetch.quotas import key_limits
from marketfetch.quotas.limits import pool_argument
from marketfetch.quotas.reporting import report
from tests.quotas.steps import admit, park
from tests.waiting import eventually


@pytest.fixture
def gate(either_gate):
    return either_gate


def names(n, prefix="r"):
    return [f"{prefix}{i:03}" for i in range(n)]


def call(gate, grant):
    """A whole call, start to reply."""
    assert gate.start(grant.id, fence=grant.fence).verdict == "go"
    gate.finish(grant.id, fence=grant.fence, batch=b"x")
    gate.settle(grant.id)


def test_a_window_lets_through_exactly_its_count_and_says_when_the_next_call_is_free(gate):
    park(gate, *names(9))
    key = key_limits("main", ["5/minute"])
    first = admit(gate, key)
    assert len(first.grants) == 5
    for grant in first.grants:
        call(gate, grant)
    full = admit(gate, key)
    assert full.grants == ()
    assert 58_000 < full.wait_ms <= 60_001


def test_open_calls_count_as_now_however_long_they_take(gate):
    park(gate, *names(9))
    key = key_limits("main", ["3/second"])
    grants = admit(gate, key).grants
    assert len(grants) == 3
    assert admit(gate, key).grants == ()
    for grant in grants:
        gate.start(grant.id, fence=grant.fence)
    assert eventually(lambda: admit(gate, key).grants == ()), "an open call is younger than any window"


def test_a_slot_reopens_a_window_after_the_reply(gate):
    park(gate, *names(2))
    key = key_limits("main", ["1/second;strict"])
    (grant,) = admit(gate, key).grants
    began = monotonic()
    call(gate, grant)
    refused = admit(gate, key)
    took_ms = (monotonic() - began) * 1_000
    assert refused.grants == ()
    assert 999 - took_ms < refused.wait_ms <= 1_001
    again = eventually(lambda: admit(gate, key).grants, within_s=3)
    assert [one.id for one in again] == ["r001"]


def test_every_window_holds_and_a_refusal_by_one_spends_nothing_of_another(gate):
    park(gate, *names(20))
    key = key_limits("main", ["10/second", "4/minute", "15/day@UTC"])
    grants = admit(gate, key).grants
    assert len(grants) == 4
    for _ in range(5):
        admit(gate, key)
    (told,) = report(gate, (key,))
    assert [(use.text, use.used) for use in told.limits] == [("10/second", 4), ("4/minute", 4), ("15/day@UTC", 4)]


def test_a_calendar_day_waits_for_the_zones_midnight(gate):
    park(gate, *names(9))
    key = key_limits("main", ["2/day@America/New_York"])
    assert len(admit(gate, key).grants) == 2
    refused = admit(gate, key)
    assert refused.grants == ()
    (_, today, _) = key.calendars[0].periods(datetime.now(UTC))
    left_ms = today[2] / 1000 - datetime.now(UTC).timestamp() * 1000
    # The deadline of the two grants is nearer than midnight, unless midnight is that near.
    assert refused.wait_ms <= left_ms + 1_000
    (told,) = report(gate, (key,))
    assert told.opens_ms is not None
    assert abs(told.opens_ms - left_ms) < 2_000


def test_a_grant_that_never_started_gives_its_share_of_the_day_back(gate):
    park(gate, *names(9))
    key = key_limits("main", ["2/day@UTC"])
    assert len(admit(gate, key, start_by_ms=-1).grants) == 2
    assert len(admit(gate, key).grants) == 2
    assert admit(gate, key).grants == ()


def test_a_call_that_was_made_stays_counted_when_its_worker_died(gate):
    park(gate, *names(9))
    key = key_limits("main", ["2/day@UTC", "2/minute"])
    for grant in admit(gate, key).grants:
        gate.start(grant.id, fence=grant.fence, end_by_ms=-1)
    assert admit(gate, key).grants == ()
    (told,) = report(gate, (key,))
    assert [use.used for use in told.limits] == [2, 2]


def test_calendar_days_that_are_over_are_not_guessed(gate):
    park(gate, *names(1))
    key = key_limits("main", ["2/day@UTC"])
    stale = pool_argument((key,), int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) // 60)
    answer = gate._scripts.admit(
        keys=gate._keys("ready", "delayed", "granted", "running", "held", "tags", "epoch", "counts", "newer"),
        args=[gate.prefix, 9, 9, 1000, 1000, 99, 0, "", 0, stale, 1 << 20, 9, 10_000],
    )
    assert answer[0] == b"stale"
    assert gate.counts().granted == 0


def test_a_call_open_across_midnight_counts_in_both_days(gate):
    park(gate, *names(1))
    key = key_limits("main", ["5/day@UTC"])
    (grant,) = admit(gate, key).grants
    gate.start(grant.id, fence=grant.fence)
    (_, today, tomorrow) = key.calendars[0].periods(datetime.now(UTC))
    record = f"{gate.prefix}req:{grant.id}"
    days = gate.redis.hget(record, "d").decode()
    # The day ends while the call is open.
    gate.redis.hset(record, "d", days.replace(str(today[2]), "1"))
    gate.redis.set(f"{gate.prefix}{key.calendars[0].counter('main', tomorrow[0])}", 0)  # the new day has been looked at
    gate.finish(grant.id, fence=grant.fence, batch=b"x")
    counted = [gate.redis.get(gate.prefix + key.calendars[0].counter("main", day[0])) for day in (today, tomorrow)]
    assert counted == [b"1", b"1"]


def test_concurrency_is_per_key_and_a_pool_uses_all_its_keys(gate):
    park(gate, *names(9))
    keys = (key_limits("a", [], concurrency=1), key_limits("b", ["2/minute"], concurrency=3))
    labels = [one.key_label for one in admit(gate, *keys).grants]
    assert sorted(labels) == ["a", "b", "b"]


def test_a_limit_of_the_pool_counts_all_keys_together(gate):
    park(gate, *names(9))
    keys = tuple(key_limits(label, ["3/minute;pool", "2/minute"]) for label in "ab")
    assert len(admit(gate, *keys).grants) == 3


def test_the_key_that_can_serve_first_serves(gate):
    park(gate, *names(9))
    keys = (key_limits("slow", ["1/minute"]), key_limits("fast", ["1/second;strict"]))
    for grant in admit(gate, *keys).grants:
        call(gate, grant)
    wait_ms = admit(gate, *keys).wait_ms
    assert wait_ms < 1_001
    (grant,) = eventually(lambda: admit(gate, *keys).grants, within_s=3)
    assert grant.key_label == "fast"


def test_a_grant_may_be_ahead_of_its_slot_and_start_says_how_long_to_wait(gate):
    park(gate, *names(2))
    key = key_limits("main", ["1/second;strict"])
    call(gate, admit(gate, key).grants[0])
    (grant,) = admit(gate, key, ahead_ms=2_000).grants
    turn = gate.start(grant.id, fence=grant.fence)
    assert turn.verdict == "go"
    assert 800_000 < turn.wait_us <= 1_000_001


def test_changed_settings_take_effect_without_forgetting_what_was_counted(gate):
    park(gate, *names(20))
    for grant in admit(gate, key_limits("main", ["5/minute"])).grants:
        call(gate, grant)
    assert len(admit(gate, key_limits("main", ["8/minute"])).grants) == 3
    assert admit(gate, key_limits("main", ["2/hour"])).grants == ()


def test_an_operators_pause_stops_a_key(gate):
    park(gate, *names(1))
    key = key_limits("main", [])
    gate.pause("main", pause_ms=60_000, why="by hand")
    assert admit(gate, key).grants == ()
    gate.resume("main")
    assert len(admit(gate, key).grants) == 1


def test_without_a_key_nothing_is_granted(gate):
    park(gate, *names(1))
    assert gate.admit(room=50, most_granted=100, keys=()).grants == ()


def test_stamps_never_outgrow_what_the_largest_window_needs(gate):
    for first in range(0, 150, 50):
        park(gate, *names(50, f"n{first:05}-"))
        for grant in admit(gate, key_limits("main", ["300/second", "120/minute;slack=0ms"])).grants:
            call(gate, grant)
    assert gate.redis.zcard(gate.prefix + "done:main") <= 300


def test_the_time_it_took_to_read_a_reply_does_not_keep_its_slot(gate):
    park(gate, *names(1))
    key = key_limits("main", ["1/minute"])
    (grant,) = admit(gate, key).grants
    gate.start(grant.id, fence=grant.fence)
    gate.finish(grant.id, fence=grant.fence, batch=b"x", replied_ago_us=20_000_000)
    (told,) = report(gate, (key,))
    assert 39_000 < (told.opens_ms or 0) <= 40_001
