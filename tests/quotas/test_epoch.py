"""A gate that can't account for its past is full: emptied, restarted, or with a clock that has stepped."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from redis import Redis

from marketfetch.local.valkey_server import start_valkey
from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.quotas.epoch import EndedRequests, Epoch
from marketfetch.quotas.reporting import report
from marketfetch.quotas.values import Counts, KeyHistory
from tests.waiting import eventually

KEY = key_limits("main", ["3/minute", "50/day@UTC"])
USED = KeyHistory("main", used=True, lost=3, days={})
NEW = replace(USED, used=False)


def begun(redis: Redis, past: KeyHistory = USED) -> Epoch:
    gate = Gate(redis, pool="polygon")
    gate.park([Parking(id=f"r{n}", arguments="{}") for n in range(9)], job="job")
    epoch = Epoch(gate, histories=lambda: [past], late_ms=0)
    epoch.begin()
    return epoch


def admit(epoch: Epoch, *, clock_us: int | None = None):
    return epoch.gate.admit(
        room=9, most_granted=9, keys=(KEY,), epoch=epoch.name, clock_us=epoch.clock_us() if clock_us is None else clock_us
    )


def test_a_key_without_a_past_starts_empty(redis):
    assert len(admit(begun(redis, NEW)).grants) == 3


def test_a_key_that_the_ledger_knows_is_full_when_redis_knows_nothing(redis):
    refused = admit(begun(redis))
    assert (refused.state, refused.grants) == ("ok", ())
    assert 58_000 < refused.wait_ms <= 60_001


def test_a_second_releaser_takes_part_in_the_epoch_in_force(redis):
    first = begun(redis, NEW)
    second = Epoch(first.gate, histories=lambda: [USED], late_ms=0)
    assert second.begin() is False
    assert second.name == first.name
    assert len(admit(second).grants) == 3


def test_an_emptied_redis_is_noticed_and_full(redis):
    epoch = begun(redis, NEW)
    assert len(admit(epoch).grants) == 3
    redis.flushall()
    epoch.gate.park([Parking(id="later", arguments="{}")], job="job")
    assert (admit(epoch).state, admit(epoch).grants) == ("epoch", ())
    epoch.histories = lambda: [USED]
    assert epoch.begin() is True
    assert admit(epoch).grants == ()


def test_a_restarted_redis_may_have_lost_its_last_second_and_is_full(tmp_path):
    with start_valkey(tmp_path) as server:
        port = server.port
        with Redis.from_url(server.url) as redis:
            assert len(admit(begun(redis, NEW)).grants) == 3
        server.kill()
    with start_valkey(tmp_path, port=port) as server, Redis.from_url(server.url) as redis:
        epoch = Epoch(Gate(redis, pool="polygon"), histories=lambda: [USED], late_ms=0)
        assert epoch.begin() is True
        assert admit(epoch).grants == ()


def test_a_clock_that_has_stepped_an_hour_grants_nothing_and_is_full(redis):
    for step_us in (3_600_000_000, -3_600_000_000):
        redis.flushall()
        epoch = begun(redis, NEW)
        stepped = admit(epoch, clock_us=epoch.clock_us() - step_us)
        assert (stepped.state, stepped.grants) == ("clock", ())
        epoch._offset_us -= step_us
        epoch.histories = lambda: [USED]
        before = epoch.name
        assert epoch.clock_has_stepped() is True
        assert epoch.name != before
        assert (admit(epoch).state, admit(epoch).grants) == ("ok", ())


def test_stamps_from_a_future_that_a_step_has_undone_do_not_block_for_an_hour(redis):
    epoch = begun(redis, NEW)
    now_us = epoch.clock_us()
    redis.zadd("mf:{polygon}:done:main", {f"x{n}": now_us + 3_600_000_000 for n in range(3)})
    assert admit(epoch).wait_ms > 3_600_000
    epoch._offset_us += 3_600_000_000
    epoch.histories = lambda: [USED]
    assert epoch.clock_has_stepped() is True
    assert admit(epoch).wait_ms <= 60_001


def test_a_slow_answer_is_no_step(redis):
    epoch = begun(redis, NEW)
    epoch._offset_us += 100_000
    assert epoch.clock_has_stepped() is False


def test_a_calendar_day_is_at_least_what_the_ledger_says(redis):
    today = KEY.calendars[0].periods(datetime.now(UTC))[1][0]
    counter = KEY.calendars[0].counter("main", today)
    epoch = begun(redis, replace(NEW, days={counter: 49}))
    assert len(admit(epoch).grants) == 1


# --- what was marked ------------------------------------------------------------------------------------------------------

NASDAQ = key_limits("main", ["300/10seconds", "2000/10minutes", "50000/day"], concurrency=1)
TEN_MINUTES_US, DAY_US = 600_000_000, 86_400_000_000


def use(gate: Gate) -> list[int]:
    return [one.used for one in report(gate, [NASDAQ])[0].limits]


def ready(gate: Gate, key=NASDAQ):
    gate.park([Parking(id=f"r{n}", arguments="{}") for n in range(9)], job="job")
    return gate.admit(room=9, most_granted=9, keys=(key,))


def test_a_long_window_is_as_full_as_it_was_marked_and_not_full_for_a_day(redis):
    gate = Gate(redis, pool="nasdaq")
    past = replace(USED, reserved={TEN_MINUTES_US: 1, DAY_US: 1})
    gate.restore(old="", new="run:1", histories=[past], late_ms=10_000)
    assert use(gate) == [300, 1, 1]
    assert 19_000 < ready(gate).wait_ms <= 20_001


def test_a_long_window_that_was_marked_full_stays_shut(redis):
    gate = Gate(redis, pool="nasdaq")
    past = replace(USED, reserved={TEN_MINUTES_US: 2_000, DAY_US: 2_000})
    gate.restore(old="", new="run:1", histories=[past], late_ms=10_000)
    assert use(gate) == [300, 2_000, 2_000]
    assert 609_000 < ready(gate).wait_ms <= 610_001


def test_a_long_window_of_which_nothing_was_marked_counts_as_full(redis):
    gate = Gate(redis, pool="nasdaq")
    gate.restore(old="", new="run:1", histories=[replace(USED, reserved={TEN_MINUTES_US: 1})], late_ms=10_000)
    assert use(gate) == [300, 1, 50_000]
    assert ready(gate).wait_ms > 86_400_000


def test_what_was_marked_counts_once_where_its_stamp_is_still_there(redis):
    gate = Gate(redis, pool="nasdaq")
    (grant,) = ready(gate).grants
    gate.start(grant.id, fence=grant.fence)
    gate.finish(grant.id, fence=grant.fence, batch=b"x")
    past = replace(USED, reserved={TEN_MINUTES_US: 3, DAY_US: 3})
    gate.restore(old="", new="run:1", histories=[past], late_ms=10_000)
    assert use(gate)[1:] == [3, 3]


def test_holes_add_up_in_a_long_window_as_long_as_it_reaches_back(redis):
    """Emptied, which the marks fill; then restarted twice, each time without its last two seconds."""
    gate = Gate(redis, pool="nasdaq")
    past = replace(USED, reserved={TEN_MINUTES_US: 7, DAY_US: 9})
    gate.restore(old="", new="run:1", histories=[past], late_ms=10_000)
    gate.restore(old="run:1", new="run:2", histories=[past], late_ms=10_000, kept=True)
    gate.restore(old="run:2", new="run:3", histories=[past], late_ms=10_000, kept=True)
    assert use(gate)[1:] == [13, 15]


def test_a_report_says_when_a_window_opens_that_marks_and_stamps_fill_together(redis):
    gate, key = Gate(redis, pool="nasdaq"), key_limits("main", ["6/10minutes"])
    gate.restore(old="", new="run:1", histories=[replace(USED, reserved={TEN_MINUTES_US: 4})], late_ms=10_000)
    for grant in ready(gate, key).grants:
        gate.start(grant.id, fence=grant.fence)
        gate.finish(grant.id, fence=grant.fence, batch=b"x")
    (limit,) = report(gate, [key])[0].limits
    assert limit.used == 6
    assert 590_000 < limit.resets_ms <= 600_000


# --- the clock ------------------------------------------------------------------------------------------------------------


def test_a_machine_that_slept_does_not_take_it_for_a_step_of_rediss_clock(redis, monkeypatch):
    """CLOCK_MONOTONIC has stood still for ten minutes: it shows less beside all other clocks than before."""
    real_s, real_ns, slept_s = time.monotonic, time.monotonic_ns, 600
    monkeypatch.setattr(time, "monotonic", lambda: real_s() + slept_s)
    monkeypatch.setattr(time, "monotonic_ns", lambda: real_ns() + slept_s * 10**9)
    epoch = begun(redis, NEW)
    monkeypatch.undo()
    assert len(admit(epoch).grants) == 3
    assert epoch.clock_has_stepped() is False


def hangs(monkeypatch, epoch: Epoch, *, answers: int) -> None:
    """So many answers to TIME from now on come 600 ms late."""
    real, left = epoch.gate.redis.time, [answers]

    def late():
        if left[0]:
            left[0] -= 1
            began = time.monotonic()
            eventually(lambda: time.monotonic() - began > 0.6)
        return real()

    monkeypatch.setattr(epoch.gate.redis, "time", late)


def test_a_redis_that_hung_while_its_clock_was_measured_has_not_stepped_it_afterwards(redis, monkeypatch):
    for answers in (1, 7):  # one slow answer; all that are looked at, and two more
        epoch = begun(redis, NEW)
        hangs(monkeypatch, epoch, answers=answers)
        name = epoch.name
        epoch.begin()
        while (state := admit(epoch).state) == "clock":
            assert epoch.clock_has_stepped() is False
        assert (state, epoch.name) == ("ok", name)
        monkeypatch.undo()


def test_a_step_is_noticed_also_by_who_has_measured_while_redis_hung(redis, monkeypatch):
    epoch = begun(redis, NEW)
    hangs(monkeypatch, epoch, answers=5)
    epoch.begin()
    epoch._offset_us -= 3_600_000_000
    assert admit(epoch).state == "clock"
    assert epoch.clock_has_stepped() is True


# --- restarted from its append-only file ----------------------------------------------------------------------------------


def test_what_is_over_is_not_made_again_when_the_append_only_file_lacks_that_it_was_settled(tmp_path):
    """One request is held again, one is in its lane. One that a task owns stays: the task asks the ledger, and is told."""
    with start_valkey(tmp_path) as server:
        port = server.port
        with Redis.from_url(server.url) as redis:
            epoch = begun(redis, NEW)
            (grant,) = epoch.gate.admit(room=1, most_granted=9, keys=(KEY,), epoch=epoch.name).grants
            epoch.gate.start(grant.id, fence=grant.fence)
            epoch.gate.finish(grant.id, fence=grant.fence, batch=b"x")
            epoch.gate.park([Parking(id="of a task", arguments="{}", task="t", message="m")], job="direct")
        server.kill()
    with start_valkey(tmp_path, port=port) as server, Redis.from_url(server.url) as redis:
        now_ms = epoch.clock_us() // 1000
        asked: list[int] = []

        def ended_since(since_ms: int) -> list[EndedRequests]:
            asked.append(since_ms)
            return [
                EndedRequests({grant.id: "{}", "r5": "{}"}, now_ms),
                EndedRequests({"of a task": "{}", "long gone": "{}"}, now_ms),
            ]

        gate = Gate(redis, pool="polygon")
        later = Epoch(gate, histories=lambda: [USED], late_ms=0, ended_since=ended_since)
        assert later.begin() is True
        assert now_ms - 70_000 < asked[0] < now_ms - 55_000
        assert [gate.knows([one]) for one in (grant.id, "r5", "r6", "of a task")] == [False, False, True, True]
        assert gate.counts() == Counts(parked=8, granted=0, running=0, held=0)


def test_an_old_copy_of_the_append_only_file_has_no_past_that_could_be_trusted(tmp_path):
    """The ledger knows of calls of a minute after its last word: it lacks more than two seconds of them."""
    with start_valkey(tmp_path) as server:
        port = server.port
        with Redis.from_url(server.url) as redis:
            admit(begun(redis, NEW))
        server.kill()
    with start_valkey(tmp_path, port=port) as server, Redis.from_url(server.url) as redis:
        gate = Gate(redis, pool="polygon")
        over = EndedRequests({"x": "{}"}, int(datetime.now(UTC).timestamp() * 1000) + 60_000)
        Epoch(gate, histories=lambda: [USED], late_ms=0, ended_since=lambda _since_ms: [over]).begin()
        assert redis.hget("mf:{polygon}:key:main", "lost") == b"-1"
