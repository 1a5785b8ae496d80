"""Bad days of the gate, each test named for what is true all the same."""

from __future__ import annotations

import itertools
import json
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from marketfetch.quotas import Parking, key_limits
from marketfetch.quotas.epoch import Epoch
from marketfetch.quotas.key_state import WAKE_CHANNEL
from marketfetch.quotas.limits import Calendar, KeyLimits
from marketfetch.quotas.reporting import report
from marketfetch.quotas.values import Counts, KeyHistory
from tests.quotas import steps
from tests.quotas.steps import busy_s, park
from tests.waiting import eventually


def admit(gate, *keys, room=100, **options):
    return steps.admit(gate, *keys, room=room, most_held=100_000, **options)


def called(gate, grants):
    """Each grant is started, the vendor is called, its reply is kept."""
    for one in grants:
        assert gate.start(one.id, fence=one.fence).verdict == "go"
        assert gate.finish(one.id, fence=one.fence, batch=b"batch")
    return len(grants)


def all_called(gate, key, *, most=100_000):
    """Calls all that the gate lets through at once; how many."""
    made = 0
    # Nothing is stored meanwhile, which stops the gate after ten seconds: a busy machine may need longer for a thousand calls.
    while made < most and (grants := admit(gate, key, unstored_ms=120_000).grants):
        made += called(gate, grants)
    return made


def ids(n, name="r"):
    return [f"{name}{i}" for i in range(n)]


def past(stamps, *, used=False):
    """`stamps`: as many as make every window full."""
    return KeyHistory("main", used=used, lost=stamps, days={})


def redis_us(gate):
    seconds, micros = gate.redis.time()
    return seconds * 1_000_000 + micros


@dataclass(frozen=True, slots=True)
class Days(Calendar):
    """A calendar whose midnight is where the test wants it."""

    midnight: int = 0

    def periods(self, now):
        day = 86_400_000_000
        starts = [self.midnight + n * day for n in (-2, -1, 0, 1, 2)]
        return [(f"d{n}", start, end) for n, (start, end) in enumerate(pairwise(starts))]


def with_midnight_in(gate, ms, count):
    return KeyLimits("main", calendars=(Days(f"{count}/day@UTC", count, "UTC", midnight=redis_us(gate) + ms * 1000),))


# --- limits, as the vendor counts them -------------------------------------------------------------------------------


def test_a_window_of_the_pool_holds_above_a_thousand_calls(gate):
    park(gate, *ids(1300))
    assert all_called(gate, key_limits("main", ["1100/hour;pool"])) == 1100


def test_a_restored_window_is_full_above_a_thousand_calls(gate):
    key = key_limits("main", ["1500/hour"])
    Epoch(gate, histories=lambda: [past(1500, used=True)], late_ms=10_000).begin()
    park(gate, *ids(20))
    assert len(admit(gate, key).grants) == 0


def test_a_redis_restart_does_not_empty_the_windows_of_a_key_that_the_ledger_has_not_seen_yet(gate):
    key = key_limits("main", ["5/minute"])
    epoch = Epoch(gate, histories=lambda: [past(5)], late_ms=10_000)  # nothing stored yet
    epoch.begin()
    park(gate, *ids(20))
    assert all_called(gate, key) == 5
    gate.restore(old=epoch.name, new="another-run-id:1", histories=epoch.histories(), late_ms=10_000)
    assert all_called(gate, key) == 0


def test_calls_open_while_redis_was_emptied_count_from_their_end(gate):
    """4 of 5 are on their way when Redis is emptied: sent up to 5 s after their start, connected within 5 s more."""
    key = key_limits("main", ["5/minute"])
    epoch = Epoch(gate, histories=lambda: [past(5, used=True)], late_ms=10_000)
    park(gate, *ids(4))
    for one in admit(gate, key).grants:
        assert gate.start(one.id, fence=one.fence).verdict == "go"
    gate.redis.flushall()
    epoch.begin()
    park(gate, "a")
    assert admit(gate, key).wait_ms >= 69_000


def test_at_midnight_no_more_than_the_new_days_calls_are_granted_ahead(gate):
    key = with_midnight_in(gate, 60_000, 3)
    park(gate, *ids(20))
    assert len(admit(gate, key).grants) == 3
    # The day is full; the next grants are for midnight, and there are three of them.
    assert len(admit(gate, key, ahead_ms=60_000).grants) <= 3


def test_a_call_open_across_midnight_counts_in_the_new_day_while_it_is_open(gate):
    key = with_midnight_in(gate, 400, 3)
    park(gate, *ids(20))
    yesterday = admit(gate, key, room=2).grants
    for one in yesterday:
        assert gate.start(one.id, fence=one.fence).verdict == "go"
    eventually(lambda: redis_us(gate) > key.calendars[0].midnight, within_s=5)
    assert len(admit(gate, key).grants) == 1


def test_a_day_remembers_its_calls_when_its_limit_is_changed(gate):
    park(gate, *ids(100))
    assert all_called(gate, key_limits("main", ["25/day@UTC"])) == 25
    assert all_called(gate, key_limits("main", ["30/day@UTC"])) == 5


@pytest.mark.parametrize("label", ["my key", "a|b c"])
def test_a_label_with_a_space_keeps_its_calendar_limit(gate, label):
    park(gate, *ids(20))
    assert all_called(gate, key_limits(label, ["3/day@UTC"])) == 3


def test_a_window_of_more_than_two_days_remembers_for_as_long(gate):
    park(gate, "a")
    called(gate, admit(gate, key_limits("main", ["1/7days"])).grants)
    assert gate.redis.ttl(f"{gate.prefix}done:main") >= 7 * 86_400


def test_a_slack_that_was_made_longer_takes_effect(gate):
    """A person saw 429s and allows for more jitter: the next call's slot opens no earlier than that."""
    park(gate, *ids(3))
    called(gate, admit(gate, key_limits("main", ["100/second;slack=0ms"]), room=1).grants)
    (grant,) = admit(gate, key_limits("main", ["100/second;slack=1000ms"]), room=1).grants
    gate.start(grant.id, fence=grant.fence)
    sent = redis_us(gate)
    eventually(lambda: redis_us(gate) > sent + 200_000, within_s=5)
    assert gate.finish(grant.id, fence=grant.fence, batch=b"")
    ((_, latest),) = gate.redis.zrevrange(f"{gate.prefix}early:main", 0, 0, withscores=True)
    assert latest > sent + 150_000


def test_two_calls_of_one_request_leave_two_stamps_also_when_it_was_cancelled_between(gate):
    key = key_limits("main", ["5/minute"])
    for _ in range(2):
        park(gate, "a")
        (grant,) = admit(gate, key).grants
        assert gate.start("a", fence=grant.fence).verdict == "go"
        assert gate.delay("a", fence=grant.fence, delay_ms=60_000)  # the vendor answered 500
        assert gate.withdraw(["a"], who="job")[0].what == "gone"
    assert gate.redis.zcard(f"{gate.prefix}done:main") == 2


def test_a_call_from_before_redis_was_emptied_does_not_end_the_call_after_it(gate):
    key = key_limits("main", [], concurrency=1)
    park(gate, "a")
    (old,) = admit(gate, key).grants
    assert gate.start("a", fence=old.fence).verdict == "go"
    gate.redis.flushall()
    park(gate, "a")
    (new,) = admit(gate, key).grants
    assert gate.start("a", fence=new.fence).verdict == "go"
    assert not gate.finish("a", fence=old.fence, batch=b"old")
    assert admit(gate, key).grants == ()


def test_a_clock_stepped_back_does_not_stamp_calls_into_the_future(gate):
    """Sent at an hour that a step of the clock has undone: its round trip is not minus one hour."""
    key = key_limits("main", ["2/second"])
    park(gate, *ids(60))
    for _ in range(8):  # enough round trips to be believed
        grants = eventually(lambda: admit(gate, key, room=1).grants, within_s=5)
        if _ == 7:
            assert gate.start(grants[0].id, fence=grants[0].fence).verdict == "go"
            gate.redis.hset(f"{gate.prefix}req:{grants[0].id}", "b", redis_us(gate) + 3_600_000_000)
            assert gate.finish(grants[0].id, fence=grants[0].fence, batch=b"")
        else:
            called(gate, grants)
    ((_, latest),) = gate.redis.zrevrange(f"{gate.prefix}early:main", 0, 0, withscores=True)
    assert latest <= redis_us(gate)


# --- pauses and keys --------------------------------------------------------------------------------------------------


def test_an_operators_pause_outlives_a_restart_of_redis(gate):
    epoch = Epoch(gate, histories=lambda: [past(5)], late_ms=10_000)
    epoch.begin()
    gate.pause("main", pause_ms=3_600_000, why="a person said so")
    gate.restore(old=epoch.name, new="another-run-id:1", histories=epoch.histories(), late_ms=10_000)
    assert report(gate, [key_limits("main", [])])[0].paused_ms > 3_500_000


def test_a_late_refusal_of_one_key_does_not_stop_another(gate):
    one, two = key_limits("one", []), key_limits("two", [])
    park(gate, "a")
    (old,) = admit(gate, one).grants
    assert gate.start("a", fence=old.fence, end_by_ms=0).verdict == "go"
    (new,) = eventually(lambda: admit(gate, two).grants, within_s=5)
    assert (old.key_label, new.key_label) == ("one", "two")
    gate.suspect("a", fence=old.fence, key_label="one", why="key one is wrong", others=("two",))
    assert [key.suspected_why for key in report(gate, [one, two])] == ["key one is wrong", ""]


# --- the lane ---------------------------------------------------------------------------------------------------------


def order(gate, n):
    return [one.id for one in admit(gate, key_limits("main", []), room=n).grants]


def test_a_job_that_was_cancelled_and_parks_again_takes_its_turn(gate):
    park(gate, *ids(300, "old"), job="direct")
    gate.withdraw(ids(300, "old"), who="direct")
    park(gate, *ids(300, "b"), job="b")
    park(gate, "mine", job="direct")
    assert "mine" in order(gate, 4)


def test_a_job_with_many_delayed_requests_still_takes_turns_with_what_may_run_now(gate):
    later = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000)
    park(gate, *ids(300, "tomorrow"), job="direct", not_before_ms=later)
    park(gate, *ids(300, "b"), job="b")
    park(gate, "mine", job="direct")
    assert "mine" in order(gate, 4)


def test_a_cancelled_job_leaves_nothing_in_redis(gate):
    park(gate, *ids(3), job="job-1")
    gate.withdraw(ids(3), who="job-1")
    assert gate.redis.hgetall(f"{gate.prefix}tags") == {}


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_start_wakes_a_releaser_that_had_no_room(gate):
    """`granted` is counted over all workers: one's grants fill another's room, and nothing tells it that they started."""
    park(gate, *ids(20))
    key = key_limits("main", [])
    first = gate.admit(room=4, most_granted=4, keys=(key,)).grants
    refused = gate.admit(room=4, most_granted=4, keys=(key,))
    assert refused.grants == ()
    with gate.redis.pubsub(ignore_subscribe_messages=True) as wakes:
        wakes.subscribe(WAKE_CHANNEL)
        wakes.get_message(timeout=1)
        for one in first:
            gate.start(one.id, fence=one.fence)
        told = wakes.get_message(timeout=1)
    assert told or refused.wait_ms < 100


def wakes_of(gate, step):
    """How often the releasers are woken while `step` runs."""
    with gate.redis.pubsub(ignore_subscribe_messages=True) as wakes:
        wakes.subscribe(WAKE_CHANNEL)
        wakes.get_message(timeout=1)
        step()
        gate.redis.publish(WAKE_CHANNEL, "the last one")
        found = iter(lambda: wakes.get_message(timeout=1), None)
        return sum(1 for _ in itertools.takewhile(lambda one: one["data"] != b"the last one", found))


def test_releasers_without_room_are_woken_once_when_half_of_what_was_granted_has_started(gate):
    """Each look costs every worker a round trip, and grants for one look go out in one."""
    park(gate, *ids(20))
    grants = gate.admit(room=8, most_granted=8, keys=(key_limits("main", []),)).grants
    woken = [wakes_of(gate, lambda one=one: gate.start(one.id, fence=one.fence)) for one in grants]
    assert woken == [0, 0, 0, 1, 0, 0, 0, 0]


def test_the_end_of_a_call_wakes_the_releasers_where_they_wait_for_it_or_a_page_follows(gate):
    def ends(one, **options):
        return wakes_of(gate, lambda: gate.finish(one.id, fence=one.fence, batch=b"x", **options))

    park(gate, *ids(4))
    free, capped = key_limits("main", []), key_limits("main", [], concurrency=1)
    first, second = gate.admit(room=2, most_granted=9, keys=(free,)).grants
    for one in (first, second):
        gate.start(one.id, fence=one.fence)
    assert ends(first) == 0, "no key was shut"
    assert gate.admit(room=2, most_granted=9, keys=(capped,)).grants == ()
    assert ends(second) == 1
    (third,) = gate.admit(room=1, most_granted=9, keys=(free,)).grants
    gate.start(third.id, fence=third.fence)
    assert ends(third, next_page=Parking(id="a/1", arguments="{}")) == 1


def test_a_clock_that_drifts_slowly_is_no_step(gate):
    """Two machines' clocks part by 20 ppm: 250 ms in 3.5 hours. Nothing is forgotten by that, so nothing is to be restored."""
    epoch = Epoch(gate, histories=lambda: [past(3, used=True)], late_ms=10_000)
    epoch.begin()
    park(gate, *ids(3))
    key = key_limits("main", ["3/minute"])
    for _ in range(30):  # 10 ms per look, as slowly as a test may
        epoch._offset_us -= 10_000
        epoch._compared_ns = 0
        answer = admit(gate, key, epoch=epoch.name, clock_us=epoch.clock_us())
        if answer.state == "clock":
            assert not epoch.clock_has_stepped()


# --- the child: what is counted, and until when it may send -----------------------------------------------------------


class Child:
    """A fetch task in a child, whose gate is the test's."""

    def __init__(self, gate, monkeypatch):
        from marketfetch import connections
        from marketfetch.jobs import recorded_outcomes
        from marketfetch.settings import get_settings
        from tasks import attempt, fetch

        monkeypatch.setenv("MARKETFETCH_PROVIDERS__POLYGON__API_KEYS", '["main:secret"]')
        get_settings.cache_clear()
        monkeypatch.setattr(connections, "gate", lambda _provider: gate)
        monkeypatch.setattr(attempt, "send_to_store", lambda _ref: None)
        monkeypatch.setattr(recorded_outcomes, "from_ledger", lambda _request: None)
        self.fetch, self.run_, self.gate = fetch, attempt, gate

    def run(self, grant, **query):
        header = {"id": grant.id, "fence": grant.fence, "user": None}
        request = SimpleNamespace(get=lambda _name: header, chain=None, id="t")
        task = SimpleNamespace(request=request, max_retries=3, app=self.fetch.app)
        with pytest.raises(Exception):  # noqa: B017
            self.fetch.fetch(task, "polygon", ("AAPL",), query)


def test_a_wish_that_is_not_understood_costs_no_call(gate, monkeypatch):
    gate.park([Parking(id="task:t", arguments="")], job="direct")
    (grant,) = admit(gate, key_limits("main", ["25/day@UTC"])).grants
    Child(gate, monkeypatch).run(grant, start="nonsense", end="2024-01-02")
    assert gate.counts().held == 1
    assert gate.redis.zcard(f"{gate.prefix}done:main") == 0


def test_a_key_that_this_worker_does_not_know_costs_no_call(gate, monkeypatch):
    gate.park([Parking(id="task:t", arguments="")], job="direct")
    (grant,) = admit(gate, key_limits("other", ["25/day@UTC"])).grants
    Child(gate, monkeypatch).run(grant, start="2024-01-02", end="2024-01-03")
    assert gate.redis.zcard(f"{gate.prefix}done:other") == 0


def test_send_by_is_counted_from_before_start_was_asked(gate, monkeypatch):
    """A child that is stopped for 30 s after `start` (a sleeping laptop, a full machine) must not send: its lease is over."""
    gate.park([Parking(id="task:t", arguments="")], job="direct")
    (grant,) = admit(gate, key_limits("main", [])).grants
    child, at, seen = Child(gate, monkeypatch), [1000.0], []
    asked_for = child.fetch.asked_for

    def stopped(*args, **more):
        at[0] += 30
        return asked_for(*args, **more)

    def send(*_args, send_by, **_options):
        seen.append(send_by)
        raise child.fetch.SendTooLate("stop here")

    monkeypatch.setattr(child.fetch, "asked_for", stopped)
    for module in (child.fetch, child.run_):
        monkeypatch.setattr(module, "steady_s", lambda: at[0])
    monkeypatch.setattr(child.run_.transport, "send", send)
    child.run(grant, start="2024-01-02", end="2024-01-03")
    assert len(seen) == 1
    assert seen[0] < at[0]  # past send-by: nothing may go out


def test_a_days_calls_that_the_ledger_does_not_know_yet_are_counted_after_redis_was_emptied(gate, monkeypatch):
    """The ledger knows one call; 24 replies were held in Redis (the database was slow) when it was emptied."""
    from tasks.worker import key_history

    monkeypatch.setattr(
        "marketfetch.connections.store",
        lambda: SimpleNamespace(
            calls=lambda *_args, **_options: 1, last_call=lambda *_: 1, reserved_calls=lambda *_args, **_options: None
        ),
    )
    monkeypatch.setattr(key_history, "keys", lambda _provider: (key_limits("main", ["25/day@UTC"]),))
    park(gate, *ids(60))
    made = all_called(gate, key_limits("main", ["25/day@UTC"]))
    gate.redis.flushall()
    Epoch(gate, histories=lambda: key_history.key_histories("polygon", used=True), late_ms=10_000).begin()
    park(gate, *ids(60))
    assert made + all_called(gate, key_limits("main", ["25/day@UTC"])) <= 25


def test_one_message_that_cannot_be_read_does_not_stop_the_others(gate, monkeypatch):
    from tasks.app import app
    from tasks.worker import releaser

    published = []
    producer: Any = SimpleNamespace(
        publish=lambda message, **_options: published.append(message.headers["id"]), together=nullcontext
    )
    for name in ("bad", "good"):
        sent = app.amqp.as_task_v2(name, "tasks.fetch.polygon", ("AAPL",), {})
        kept = json.dumps({"headers": sent.headers, "body": sent.body, "properties": {}})
        message = kept[:40] if name == "bad" else kept
        gate.park([Parking(id=f"task:{name}", arguments="", task=name, message=message)], job="direct")
    monkeypatch.setattr(releaser, "keys", lambda _pool: (key_limits("main", []),))
    epoch = Epoch(gate, histories=list, late_ms=10_000)
    epoch.begin()
    loop = releaser.ReleasingLoop(app, consumed=lambda: ("polygon",), slots=1)
    loop._serve(epoch, producer)
    assert published == ["good"]
    assert gate.counts() == Counts(parked=0, granted=1, running=0, held=0)


# --- more of the same -------------------------------------------------------------------------------------------------


def test_refusals_of_calls_that_were_open_together_double_the_pause_once(gate):
    """Eight calls at once, all refused: that is one refusal of the key, not eight in a row."""
    park(gate, *ids(8))
    grants = admit(gate, key_limits("main", [])).grants
    for one in grants:
        assert gate.start(one.id, fence=one.fence).verdict == "go"
    for one in grants:
        gate.requeue(one.id, fence=one.fence, key_label="main", pause_ms=1000, why="429", then="grow")
    assert report(gate, [key_limits("main", [])])[0].paused_ms <= 2000


def test_a_persons_short_pause_does_not_end_the_vendors_long_one(gate):
    park(gate, "a")
    (grant,) = admit(gate, key_limits("main", [])).grants
    assert gate.start("a", fence=grant.fence).verdict == "go"
    gate.requeue("a", fence=grant.fence, key_label="main", pause_ms=3_600_000, why="429, Retry-After: 3600")
    gate.pause("main", pause_ms=60_000, why="a person said so")
    assert report(gate, [key_limits("main", [])])[0].paused_ms > 3_500_000


def test_a_slack_begins_when_the_call_is_sent_not_when_it_was_started(gate):
    """Between `start` and the socket lie building the request, connecting (up to 5 s) and a full machine's scheduler."""
    key = key_limits("main", ["1/second;slack=100ms"])
    park(gate, "a", "b")
    (grant,) = admit(gate, key).grants
    assert gate.start("a", fence=grant.fence).verdict == "go"
    started = redis_us(gate)
    eventually(lambda: redis_us(gate) > started + 700_000, within_s=5)
    sent = redis_us(gate)  # the vendor counts it here
    assert gate.finish("a", fence=grant.fence, batch=b"")
    eventually(lambda: admit(gate, key).grants, within_s=5)
    assert redis_us(gate) >= sent + 1_000_000


def test_a_clock_that_was_set_back_while_no_worker_ran_does_not_block_for_an_hour(gate):
    key = key_limits("main", ["1/minute"])
    pasts = [past(1, used=True)]
    Epoch(gate, histories=lambda: pasts, late_ms=10_000).begin()
    park(gate, "a", "b")
    called(gate, admit(gate, key).grants) or None
    for name in ("done", "early"):
        for member in gate.redis.zrange(f"{gate.prefix}{name}:main", 0, -1):
            gate.redis.zadd(f"{gate.prefix}{name}:main", {member: redis_us(gate) + 3_600_000_000})
    later = Epoch(gate, histories=lambda: pasts, late_ms=10_000)
    later.begin()
    assert admit(gate, key, epoch=later.name, clock_us=later.clock_us()).wait_ms <= 90_000


def test_restoring_a_large_window_does_not_stop_redis_for_long(gate):
    """Redis serves nobody else meanwhile: the broker, the other gates, and every child's `start` wait."""
    before = busy_s(gate)
    gate.restore(old="", new="run-id:1", histories=[past(20_000, used=True)], kept=True, late_ms=10_000)
    assert busy_s(gate) - before < 0.2


def test_a_strict_slot_does_not_reopen_early_when_a_slow_network_becomes_fast(gate):
    """Round trips took 400 ms (200 each way); then congestion clears while a call is out: 200 ms there, 2 ms back."""
    key = key_limits("main", ["1/second;strict"])
    gate.redis.hset(f"{gate.prefix}key:main", mapping={"n": 200, "r": 400_000})
    park(gate, "a", "b")
    (grant,) = admit(gate, key).grants
    assert gate.start("a", fence=grant.fence).verdict == "go"
    started = redis_us(gate)
    eventually(lambda: redis_us(gate) > started + 200_000, within_s=5)
    arrived = redis_us(gate)  # at the vendor, which answers at once
    assert gate.finish("a", fence=grant.fence, batch=b"", sent_ago_us=202_000)
    eventually(lambda: admit(gate, key).grants, within_s=5)
    assert redis_us(gate) >= arrived + 1_000_000
