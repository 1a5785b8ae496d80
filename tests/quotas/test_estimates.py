"""How long calls take at the limits: what a person is told."""

from __future__ import annotations

import pytest

from marketfetch.quotas import key_limits
from marketfetch.quotas.estimates import calls_per_second, seconds_for
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
    assert seconds_for(28, keys) == pytest.approx(23 * 12)
    assert seconds_for(1000, [key_limits("main", [])]) == 0


def test_what_is_used_now_and_a_pause_count():
    keys = [key_limits("main", ["5/minute"])]
    used = KeyReport("main", (LimitUse("5/minute", 5, 5, 30_000),), 0, 0, "", "", 30_000)
    assert seconds_for(1, keys, [used]) == pytest.approx(30 + 12)
