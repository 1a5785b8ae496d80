"""The judge of limits: no tolerance, refused calls too, one violation for one call too many."""

from __future__ import annotations

import socket

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from marketfetch.local.sandbox_process import Sandbox, start_sandbox
from marketfetch.sandbox.judge import KeyLog
from marketfetch.sandbox.limiter import Limit
from tests.waiting import eventually


def judged(arrivals: list[float], *limits: str) -> KeyLog:
    log = KeyLog()
    log.judge(tuple(Limit.parse(text) for text in limits), None)
    for at in arrivals:
        log.arrive(at, at, "IBM")
    return log


def test_one_call_too_many_inside_a_window_is_exactly_one_violation() -> None:
    assert judged([0.0, 1.0, 2.0, 3.0, 4.0], "5/minute").windows[0].violations == 0
    assert judged([0.0, 1.0, 2.0, 3.0, 4.0, 59.999999], "5/minute").windows[0].violations == 1


def test_a_call_a_whole_window_after_the_first_is_within_the_limit() -> None:
    # The window is (t - W, t]: the arrival at 0 has left it at 60, and not a microsecond earlier.
    assert judged([0.0, 1.0, 2.0, 3.0, 4.0, 60.0], "5/minute").windows[0].violations == 0


def test_each_limit_is_judged_for_itself() -> None:
    log = judged([0.0, 0.5, 1.5], "1/second", "2/minute")
    assert {window.limit.text: window.violations for window in log.windows} == {"1/second": 1, "2/minute": 1}


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 5), st.sampled_from([1.0, 7.5, 30.0]))
def test_the_judge_agrees_with_counting_by_hand(times: list[float], count: int, window_s: float) -> None:
    times = sorted(times)
    log = judged(times, f"{count}/{window_s}seconds")
    expected = sum(sum(t - window_s < earlier for earlier in times[: i + 1]) > count for i, t in enumerate(times))
    assert log.windows[0].violations == expected


def test_a_calendar_limit_begins_anew_at_its_zones_midnight() -> None:
    evening, midnight = 1_700_000_000.0 // 86400 * 86400 + 4 * 3600, 1_700_000_000.0 // 86400 * 86400 + 5 * 3600
    log = judged([evening, evening + 1, midnight, midnight + 1], "2/day@America/New_York")
    assert log.windows[0].violations == 0
    log.arrive(midnight + 2, midnight + 2, "IBM")
    assert log.windows[0].violations == 1


def test_calls_are_open_until_their_reply_is_sent() -> None:
    log = KeyLog()
    log.judge((), 1)
    log.arrive(0.0, 0.0, "A")
    log.leave("200", "A")
    log.arrive(0.0, 0.0, "B")
    assert log.over_concurrency == 0
    log.arrive(0.0, 0.0, "C")
    assert (log.over_concurrency, log.most_open) == (1, 2)


def test_a_limit_set_later_judges_the_calls_before_it_too() -> None:
    log = judged([0.0, 1.0, 2.0])
    log.judge((Limit.parse("2/minute"),), None)
    assert log.windows[0].violations == 1


@pytest.mark.parametrize("text", ["5", "five/minute", "5/fortnight", "5/minute@Nowhere/City"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        Limit.parse(text)


@pytest.mark.parametrize("enforce", [True, False])
def test_the_call_after_the_limit_is_one_violation_whether_refused_or_served(sandbox: Sandbox, enforce: bool) -> None:
    sandbox.control.keys("polygon", "mine", limits=["3/minute"], enforce=enforce)
    url = f"{sandbox.url}/v2/aggs/ticker/IBM/range/1/day/2024-01-02/2024-01-05?apiKey=mine"
    statuses = [requests.get(url, timeout=300).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429 if enforce else 200]
    report = sandbox.control.log(full=True)
    mine = report["providers"]["polygon"]["mine"]
    assert report["violations"] == 1
    assert mine["limits"] == {"3/minute": {"violations": 1, "most": 4}}
    assert len(mine["arrivals"]) == mine["calls"] == 4
    assert [symbol for _, symbol in mine["arrivals"]] == ["IBM"] * 4


def test_a_reply_whose_client_has_gone_is_counted_as_cut() -> None:
    with start_sandbox(delay_out_ms=(300, 300)) as slow:
        host, _, port = slow.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(b"GET /v2/aggs/ticker/IBM/range/1/day/2024-01-02/2024-01-05?apiKey=k HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: slow.control.log()["calls"] == 1, what="the call has arrived")
        mine = eventually(lambda: (log := slow.control.log()["providers"]["polygon"]["k"])["cut"] and log, what="it is cut")
        assert (mine["cut"], mine["open"]) == (1, 0)
