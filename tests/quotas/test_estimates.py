"""How long calls take at the limits: what a person is told."""

from __future__ import annotations

import pytest

from marketfetch.quotas import estimates, key_limits
from marketfetch.quotas.estimates import Timetable, calls_per_second, seconds_for
from marketfetch.quotas.values import KeyReport, LimitUse


@pytest.mark.parametrize(
    ("limits", "pace"),
    [
        ([["5/minute"]], 5 / 60),
        ([["50/second", "60/minute"]], 1.0),
        ([["5/minute"], ["10/minute"]], 15 / 60),
        ([["25/day@America/New_York", "1/second"]], 25 / 86_400),
        ([["2/second;pool"], ["2/second;pool"]], 2.0),
        ([["5/second", "8/second;pool"], ["5/second", "8/second;pool"]], 8.0),
        ([[]], None),
        ([], None),
        ([["5/minute"], []], None),
    ],
)
def test_the_pace_of_a_pool_is_its_keys_together_within_what_is_the_pools(limits, pace):
    keys = [key_limits(f"k{n}", texts) for n, texts in enumerate(limits)]
    assert calls_per_second(keys) == (None if pace is None else pytest.approx(pace))


def test_the_first_window_is_free_and_the_rest_wait():
    keys = [key_limits("main", ["5/minute"])]
    assert seconds_for(5, keys) == 0
    assert seconds_for(6, keys) == 60
    assert seconds_for(28, keys) == 300
    assert seconds_for(1000, [key_limits("main", [])]) == 0


def test_every_limit_of_every_key_counts_together():
    keys = [key_limits("a", ["2/second", "3/minute"]), key_limits("b", ["1/10seconds", "2/day@UTC"])]
    calls = {n: seconds_for(n, keys) for n in (3, 4, 5, 6)}
    # a: 0 0 1 | 60 60 61, b: 0 10, and no more today.
    assert calls == {3: 0, 4: 1, 5: 10, 6: 60}
    shared = [key_limits(label, ["3/minute;pool", "2/minute"]) for label in "ab"]
    assert seconds_for(4, shared) == 60


def test_what_is_used_now_and_a_pause_count():
    keys = [key_limits("main", ["5/minute"])]
    limit, counted = LimitUse("5/minute", 5, 5, 30_000), tuple(range(30_000, 80_000, 10_000))
    used = KeyReport("main", (limit,), 0, 0, "", "", 30_000, counted_ms=(counted,))
    assert [seconds_for(n, keys, [used]) for n in (1, 2, 3, 6)] == [30, 40, 50, 90]
    paused = KeyReport("main", (), 0, 45_000, "asked to", "", 45_000)
    assert seconds_for(1, [key_limits("main", [])], [paused]) == 45
    aside = KeyReport("main", (), 0, 0, "", "refused", None)
    assert Timetable(keys, [aside]).seconds(1) is None


def test_a_million_calls_are_no_more_work_than_two_thousand_and_continue_at_the_long_run_rate():
    table = Timetable([key_limits("main", ["50/second", "60000/hour", "1000000/day@UTC"])])
    far, farther = table.seconds(400_000), table.seconds(500_000)
    assert (farther or 0) - (far or 0) == pytest.approx(100_000 / (1_000_000 / 86_400))
    assert table.seconds(2_001) == pytest.approx(table.seconds(2_000), abs=0.1)


def test_calls_that_no_limit_keeps_apart_follow_one_another_at_the_pace_of_the_workers():
    table = Timetable([key_limits("main", ["20/2seconds"])], every_s=0.05)
    assert [table.seconds(n) for n in (1, 20, 21, 40, 100)] == [pytest.approx(one) for one in (0, 0.95, 2, 2.95, 8.95)]
    assert Timetable([key_limits("main", [])], every_s=0.05).seconds(101) == pytest.approx(5)
    slow = Timetable([key_limits("main", ["100/second"])], every_s=0.05)
    assert slow.seconds(10_000) == pytest.approx(0.05 * 9_999), "the workers are slower than the limit"


def test_tasks_behind_a_backlog_share_one_timetable_a_minute():
    keys = [key_limits("a", ["5/minute", "30/day@UTC"]), key_limits("b", ["7/10seconds", "100/hour"])]
    calls = [*range(40), *range(600, 700), 2_000, 5_000]
    before = estimates._unused.cache_info().misses
    for n in calls:
        seconds_for(n, keys)
    # A timetable for each of the sizes 8, 32, 128 and 2,000, twice where a minute ends meanwhile.
    assert estimates._unused.cache_info().misses - before <= 8
    limits = [key_limits("a", ["5/minute"]), key_limits("b", ["7/10seconds", "100/hour"])]
    assert [seconds_for(n, limits) for n in calls] == [Timetable(limits).seconds(n) for n in calls]
