"""A forecast against what the job then does at the sandbox: its calls and rows. The time: `tests/jobs/test_forecast.py`."""

from __future__ import annotations

import json

from tests.flow.conftest import SECRETS
from tests.waiting import eventually

LIMIT = "20/2seconds"
SYMBOLS = ("AAPL", "AMZN", "GE", "GOOG", "IBM", "INTC", "KO", "MSFT", "NFLX", "NVDA", "T", "TSLA", "XOM")
ASKED = ("--start", "2024-01-02", "--end", "2024-01-31")


def test_a_job_takes_the_calls_and_brings_the_rows_that_its_plan_named(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([LIMIT])
    sandbox.keys("polygon", SECRETS["polygon"], limits=[LIMIT], enforce=False)
    done = place.marketfetch("plan", "polygon", *SYMBOLS, *ASKED, "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (sandbox.log()["calls"], (place.folder / "marketfetch.db").exists()) == (0, False), "nothing is sent, nothing made"
    dry = place.marketfetch("fetch", "polygon", *SYMBOLS, *ASKED, "--dry-run")
    assert dry.stdout.startswith(f"13 calls, with the key {plan['keys'][0]} of polygon.\nAbout 273 rows, 30 KB.\n"), dry.stdout
    place.worker()
    done = place.marketfetch("fetch", "polygon", *SYMBOLS, *ASKED, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert sandbox.log()["calls"] == plan["calls"] == plan["requests"] == 13
    assert abs(json.loads(done.stdout)["rows"] / plan["rows"] - 1) <= 0.05
    eventually(lambda: place.rows("SELECT count(*) FROM ledger") == [(13,)], what="all is stored")
    again = place.marketfetch("plan", "polygon", *SYMBOLS, *ASKED)
    assert again.stdout == "All of it is stored already: 0 calls. `marketfetch fetch ... --again` fetches a range anew.\n"

    # Three sessions of thirteen symbols are three calls, each with the whole market of the sandbox.
    place.env["MARKETFETCH_WHOLE_MARKET_FROM"] = "10"
    days = ("--start", "2024-02-01", "--end", "2024-02-05")
    done = place.marketfetch("fetch", "polygon", *SYMBOLS, *days, "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert (
        "3 calls bring a session of the whole market each (dataset grouped), in place of 13 calls for 13 symbols" in done.stderr
    )
    state = json.loads(done.stdout)
    assert (sandbox.log()["calls"], state["requests"]["stored"], state["lacking_symbols_total"]) == (16, 3, 0)
    again = place.marketfetch("plan", "polygon", *SYMBOLS, "--start", "2024-01-02", "--end", "2024-02-05")
    assert again.stdout.startswith("All of it is stored already: 0 calls.")
