"""The yardstick of the gate's benchmark: the earliest moments at which the sandbox's own judge allows calls."""

from __future__ import annotations

import math

import pytest

from benchmarks.gate_scenarios import SCENARIOS, Scenario
from marketfetch.sandbox.judge import KeyLog
from marketfetch.sandbox.limiter import Limit


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_ten_windows_are_called_and_windows_of_one_length_take_the_formula(scenario):
    assert scenario.calls >= 10 * scenario.count
    if len(scenario.keys[0]) == 1:
        expected = scenario.window_s * (math.ceil(scenario.calls / scenario.count) - 1)
        assert scenario.ideal_s() == pytest.approx(expected)


def test_two_windows_of_a_key_hold_together():
    """Five bursts of 20 fill the minute's 100; the sixth must wait for it."""
    both = Scenario("both", (("20/6seconds", "100/60seconds"),), 400)
    assert [both.ideal_s(calls) for calls in (20, 21, 100, 101, 121, 400)] == [0, 6, 24, 60, 66, 204]


@pytest.mark.parametrize("hurry_s", [0.0, 0.001])
def test_the_judge_allows_the_ideal_and_nothing_earlier(hurry_s):
    scenario = Scenario("both", (("20/6seconds", "100/60seconds"),), 400)
    log = KeyLog()
    log.judge(tuple(Limit.parse(text) for text in scenario.keys[0]), None)
    for calls in range(1, scenario.calls + 1):
        log.arrive(scenario.ideal_s(calls) - hurry_s * (calls > 20), 0.0, "AAPL")
    assert (log.report(full=False)["violations"] > 0) == (hurry_s > 0)
