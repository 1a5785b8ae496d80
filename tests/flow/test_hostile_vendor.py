"""A vendor that misbehaves on the wire never has more calls open than the key allows, and stops no worker."""

from __future__ import annotations

import json

from tests.flow.conftest import SECRETS
from tests.waiting import eventually

#: One of each way, over the stages: each symbol meets another one, and is served when it is asked again.
FAULTS = {
    "AAPL": ("status line", "drips"),
    "MSFT": ("header", "stands still"),
    "NVDA": ("interim", "endless"),
    "TSLA": ("chunk size", "drips"),
    "AMZN": ("body", "drips"),
    "GOOG": ("trailer", "endless"),
    "META": ("redirect body", "endless"),
    "NFLX": ("500 body", "drips"),
    "AMD": ("body", "gzip bomb"),
    "INTC": ("body", "more than said"),
}


def test_with_one_call_at_once_the_vendor_never_sees_two_whatever_it_does(place, sandbox):
    timings = {"CALL": "2", "END_BY": "3", "START_BY": "4", "CONNECT": "1"}
    place.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in timings.items()}
    place.env |= {"MARKETFETCH_PROVIDERS__POLYGON__CONCURRENCY": "1", "MARKETFETCH_RETRIES__MOST": "20"}
    sandbox.keys("polygon", SECRETS["polygon"], concurrency=1, enforce=False)
    sandbox.faults(
        *({"kind": "misbehave", "provider": "polygon", "symbol": one, "stage": s, "way": w} for one, (s, w) in FAULTS.items())
    )
    place.worker(concurrency=4)
    done = place.marketfetch("fetch", "polygon", *FAULTS, "--start", "2024-01-02", "--end", "2024-01-05")
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    eventually(lambda: place.status(job)["state"] != "running", within_s=90, what="the job is over")
    status = place.status(job)
    assert (status["state"], status["requests"]["stored"]) == ("done", len(FAULTS)), json.dumps(status)
    log = sandbox.log()
    (key,) = log["providers"]["polygon"].values()
    assert key["concurrency"] == {"cap": 1, "most": 1, "violations": 0}
    assert len(FAULTS) < key["calls"] <= 2 * len(FAULTS) + 2
