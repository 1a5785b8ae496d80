"""The vendor's own judgement: with 20 to 120 ms of delay each way, no call is over any limit of any key, and all is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from marketfetch.local.sandbox_process import start_sandbox
from tests.flow.conftest import a_place
from tests.quotas.steps import NOON
from tests.waiting import eventually

SYMBOLS = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ"]


@pytest.fixture(scope="module")
def far_vendors() -> Iterator:
    """Vendors at the end of a long and uneven wire, who judge and never refuse."""
    with start_sandbox(seed=11, delay_in_ms=(20, 120), delay_out_ms=(20, 120)) as running:
        yield running


@pytest.fixture
def far_place(tmp_path, far_vendors):
    far_vendors.control.reset(keys=True)
    with a_place(tmp_path, vendors_url=far_vendors.url, database_url="sqlite:///marketfetch.db") as found:
        yield found


def judged(place, control, *, keys: dict[str, list[str]], calls: int, concurrency: int | None = None, workers: int = 2) -> int:
    """Runs `calls` requests through two workers of four; answers how many calls the vendor counts as over a limit."""
    place.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = json.dumps([f"{label}:secret-{label}" for label in keys])
    place.env["MARKETFETCH_PROVIDERS__POLYGON__KEY_LIMITS"] = json.dumps(keys)
    if concurrency:
        place.env["MARKETFETCH_PROVIDERS__POLYGON__CONCURRENCY"] = str(concurrency)
    for label, limits in keys.items():
        plain = [limit.partition(";")[0] for limit in limits]
        control.keys("polygon", f"secret-{label}", limits=plain, concurrency=concurrency, enforce=False)
    for number in range(workers):
        place.worker("-n", f"w{number}@%h", concurrency=4)
    status = place.fetch("polygon", *SYMBOLS[:calls], start="2024-01-02", end="2024-01-05")
    assert status["requests"]["stored"] == calls
    log = control.log()
    assert log["calls"] == calls
    return int(log["violations"])


@pytest.mark.parametrize(
    ("limits", "calls", "concurrency"),
    [
        (["50/second"], 100, None),
        (["10/3seconds", "30/20seconds"], 40, None),
        (["5/2seconds"], 25, None),
        (["12/3seconds"], 36, 3),
    ],
    ids=["50 a second", "two windows", "few a window", "concurrency 3"],
)
def test_no_call_is_over_a_limit_at_the_vendor(far_place, far_vendors, limits, calls, concurrency):
    assert judged(far_place, far_vendors.control, keys={"main": limits}, calls=calls, concurrency=concurrency) == 0


def test_a_pool_of_unequal_keys_holds_the_limits_of_each_and_uses_all(far_place, far_vendors):
    keys = {"small": ["2/2seconds"], "middle": ["4/2seconds"], "large": ["9/3seconds", "20/20seconds"]}
    assert judged(far_place, far_vendors.control, keys=keys, calls=48) == 0
    calls = {key: log["calls"] for key, log in far_vendors.control.log()["providers"]["polygon"].items()}
    assert len(calls) == 3
    assert calls["secret-small"] < calls["secret-middle"]


def test_a_key_that_is_refused_is_set_aside_and_its_requests_go_on_with_another(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = '["old:refused-1", "new:good-1"]'
    place.worker()
    status = place.fetch("polygon", "AAPL", "MSFT", "TSLA", "IBM", start="2024-01-02", end="2024-01-05")
    assert status["requests"]["stored"] == 4
    assert {row[0] for row in place.rows("SELECT DISTINCT key_label FROM ledger")} == {"new"}


def test_a_used_up_day_waits_and_says_until_when(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = f'["2/day@{NOON}"]'
    place.worker()
    job = place.marketfetch("fetch", "polygon", "AAPL", "MSFT", "TSLA", "--start", "2024-01-02", "--end", "2024-01-05")
    eventually(lambda: place.status(job.stdout.strip())["requests"]["stored"] == 2)
    status = place.status(job.stdout.strip())
    assert status["requests"]["parked"] == 1
    assert status["next_call"]["limit"] == f"2/day@{NOON}"
    assert status["trouble"] == []
    assert sandbox.log()["calls"] == 2


def test_an_emptied_redis_does_not_forget_the_vendors_count(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["3/5seconds"]'
    sandbox.keys("polygon", "*", limits=["3/5seconds"], enforce=False)
    place.worker()
    place.fetch("polygon", "AAPL", "MSFT", "TSLA", start="2024-01-02", end="2024-01-05")
    place.redis().flushall()
    place.fetch("polygon", "IBM", "NVDA", start="2024-01-02", end="2024-01-05")
    assert sandbox.log()["violations"] == 0


def test_calls_of_requests_that_are_not_over_are_not_forgotten_with_redis(place, sandbox):
    """Every other call of a day is answered with 500, and its request waits for another try: the ledger knows of half."""
    limits = ["1/second;strict", f"18/day@{NOON}"]
    place.env |= {"MARKETFETCH_RETRIES__BACKOFF": "600", "MARKETFETCH_RETRIES__BACKOFF_MAX": "600"}
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps(limits)
    sandbox.keys("polygon", "*", limits=[one.partition(";")[0] for one in limits], enforce=False)
    for symbol in SYMBOLS[:18:2]:
        sandbox.faults(kind="500", provider="polygon", symbol=symbol, count=1)
    place.worker()
    place.marketfetch("fetch", "polygon", *SYMBOLS[:30], "--start", "2024-01-02", "--end", "2024-01-05")
    eventually(lambda: len(place.rows("SELECT 1 FROM ledger")) == 9, within_s=40, what="the day is used up")
    place.redis().flushall()
    (counter,) = eventually(lambda: place.redis().keys("mf:{polygon}:day:*"), within_s=30, what="the gate is repaired")
    assert int(place.redis().get(counter)) >= 18
    job = place.rows("SELECT id FROM jobs")[0][0]
    eventually(lambda: place.status(job)["requests"]["parked"] == 21, within_s=40, what="what is to do is parked again")
    assert sandbox.log()["calls"] == 18
    assert sandbox.log()["violations"] == 0


def test_a_key_with_a_window_of_a_day_goes_on_within_a_minute_after_redis_was_emptied(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["3/second", "20/10minutes", "50/day"]'
    place.worker()
    place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")
    place.redis().flushall()
    place.marketfetch("fetch", "polygon", "MSFT", "--start", "2024-01-02", "--end", "2024-01-05")
    eventually(lambda: len(place.rows("SELECT 1 FROM ledger")) == 2, within_s=60, what="it goes on")


def test_the_calls_before_redis_was_emptied_count_in_a_long_window(place, sandbox):
    limits = ["3/second", "6/10minutes"]
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps(limits)
    sandbox.keys("polygon", "*", limits=limits, enforce=False)
    place.worker()
    place.fetch("polygon", *SYMBOLS[:4], start="2024-01-02", end="2024-01-05")
    place.redis().flushall()
    place.marketfetch("fetch", "polygon", *SYMBOLS[4:12], "--start", "2024-01-02", "--end", "2024-01-05")
    eventually(lambda: len(place.rows("SELECT 1 FROM ledger")) == 6, within_s=60, what="what is left of it is used")
    name = place.rows("SELECT id FROM jobs ORDER BY created_at DESC LIMIT 1")[0][0]
    eventually(
        lambda: (place.status(name)["next_call"] or {}).get("limit") == "6/10minutes", within_s=20, what="the window is full"
    )
    assert sandbox.log()["calls"] == 6
    assert sandbox.log()["violations"] == 0
