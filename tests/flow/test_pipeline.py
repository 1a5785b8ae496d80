"""The way of a request, from the command to the rows: three vendors, two databases, real processes."""

from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import requests

from tests.waiting import early_in_a_minute

ASKED = {
    "alpha_vantage": {"symbols": ("IBM", "MSFT"), "start": "2024-01-02", "end": "2024-12-31"},
    "polygon": {"symbols": ("AAPL", "MSFT", "X:BTCUSD"), "start": "2022-01-03", "end": "2024-12-31"},
    "nasdaq": {"symbols": ("AAPL", "ZEN"), "start": "2014-01-02", "end": "2014-12-31"},
}


def left_in_redis(place) -> set[str]:
    """Everything of ours in Redis that should not outlive a job: all but what the gate remembers of its keys."""
    keys = {key.decode() for key in place.redis().keys("mf:*")}
    remembered = (
        ":tags",
        ":counts",
        ":epoch",
        ":key:main",
        ":key:*",
        ":done:main",
        ":early:main",
        ":done:*",
        ":early:*",
        ":secrets",
        ":over",
    )
    return {
        key for key in keys if not key.endswith(remembered) and not key.startswith(("mf:releaser", "mf:sweeping", "mf:metrics"))
    }


@pytest.mark.parametrize("provider", list(ASKED))
def test_a_job_ends_with_every_row_stored_and_every_request_in_the_ledger(any_place, provider):
    any_place.worker()
    wish = ASKED[provider]
    status = any_place.fetch(provider, *wish["symbols"], start=wish["start"], end=wish["end"])
    assert status["state"] == "done"
    counts = status["requests"]
    assert counts["stored"] == counts["total"] > 0
    assert counts["parked"] == counts["running"] == counts["failed"] == 0
    ((rows,),) = any_place.rows("SELECT count(*) FROM bars")
    assert rows == status["rows"] > 200 * len(wish["symbols"])
    ledger = any_place.rows("SELECT outcome, rows, key_label, calls FROM ledger")
    assert len(ledger) == counts["total"]
    assert sum(row[1] for row in ledger) == rows
    assert {(row[0], row[2], row[3]) for row in ledger} == {("stored", "main", 1)}
    assert {row[0] for row in any_place.rows("SELECT DISTINCT symbol FROM bars")} == set(wish["symbols"])
    assert left_in_redis(any_place) == set()


def test_what_is_stored_is_what_the_vendor_said(place, sandbox):
    place.worker()
    place.fetch("polygon", "AAPL", start="2023-01-03", end="2023-06-30")
    said = requests.get(
        f"{sandbox.url}/v2/aggs/ticker/AAPL/range/1/day/2023-01-03/2023-06-30", params={"apiKey": "anyone"}, timeout=10
    ).json()["results"]
    stored = place.rows("SELECT ts, open, high, low, close, volume, vwap, trades FROM bars ORDER BY ts")
    assert stored == [(bar["t"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["vw"], bar["n"]) for bar in said]
    days = [str(datetime.fromtimestamp(bar["t"] / 1000, ZoneInfo("America/New_York")).date()) for bar in said]
    assert place.rows("SELECT date, zone FROM bars ORDER BY ts") == [(day, "America/New_York") for day in days]


def test_the_whole_market_comes_in_a_call_a_session(place, sandbox):
    place.worker()
    status = place.fetch("polygon", start="2024-07-03", end="2024-07-08", dataset="grouped")
    assert status["requests"]["stored"] == status["requests"]["total"] == 3  # of six days
    stored = dict(place.rows("SELECT date, count(*) FROM bars WHERE timespan = '1d' AND adjustment = 'raw' GROUP BY date"))
    assert list(stored) == ["2024-07-03", "2024-07-05", "2024-07-08"]
    assert min(stored.values()) > 60
    said = requests.get(
        f"{sandbox.url}/v2/aggs/ticker/AAPL/range/1/day/2024-07-03/2024-07-08",
        params={"apiKey": "anyone", "adjusted": "false"},
        timeout=10,
    ).json()["results"]
    ours = place.rows("SELECT ts, close, volume, partial FROM bars WHERE symbol = 'AAPL' ORDER BY ts")
    assert ours == [(bar["t"], bar["c"], bar["v"], 0) for bar in said]
    longer = place.fetch("polygon", start="2024-07-02", end="2024-07-08", dataset="grouped")
    assert longer["requests"]["total"] == 1, "what is covered is not asked for again"


def test_intraday_bars_come_page_by_page_and_each_page_is_a_request(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT"] = "500"
    place.worker()
    status = place.fetch("polygon", "MSFT", start="2024-03-01", end="2024-03-15", timespan="1m")
    pages = place.rows("SELECT root, page, rows, next_cursor IS NOT NULL FROM ledger ORDER BY root, page")
    assert len(pages) == status["requests"]["total"] > 5
    for root in {row[0] for row in pages}:
        mine = [row for row in pages if row[0] == root]
        assert [row[1] for row in mine] == list(range(len(mine)))
        assert [bool(row[3]) for row in mine] == [True] * (len(mine) - 1) + [False]
    ((rows, distinct),) = place.rows("SELECT count(*), count(DISTINCT ts) FROM bars")
    assert rows == distinct == status["rows"] == 11 * 390  # eleven sessions of six and a half hours


def test_the_same_wish_twice_is_one_job_and_asks_nothing_again(place, sandbox):
    place.worker()
    early_in_a_minute()
    first = place.fetch("polygon", "AAPL", "MSFT", start="2024-01-02", end="2024-02-29")
    calls = sandbox.log()["calls"]
    second = place.fetch("polygon", "AAPL", "MSFT", start="2024-01-02", end="2024-02-29")
    assert second["job"] == first["job"]
    assert sandbox.log()["calls"] == calls


def test_again_fetches_anew_and_changes_nothing_that_is_the_same(place, sandbox):
    place.worker()
    first = place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-02-29")
    before = place.rows("SELECT * FROM bars ORDER BY ts")
    done = place.marketfetch(
        "fetch", "polygon", "AAPL", "--start", "2024-01-02", "--end", "2024-02-29", "--again", "--wait", "--json"
    )
    second = json.loads(done.stdout)
    assert second["job"] != first["job"]
    assert second["requests"]["stored"] == 1
    assert place.rows("SELECT * FROM bars ORDER BY ts") == before


def test_a_job_submitted_without_a_worker_waits_and_says_so(place):
    done = place.marketfetch("fetch", "polygon", "AAPL", "--start", "2024-01-02", "--end", "2024-01-31")
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    status = json.loads(place.marketfetch("status", job, "--json").stdout)
    assert status["requests"] == {"total": 1, "parked": 1, "running": 0, "stored": 0, "failed": 0, "cancelled": 0}
    assert any("No worker is running" in sentence for sentence in status["trouble"])
    place.worker()
    assert place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-31")["state"] == "done"
    assert place.status(job)["state"] == "done"
