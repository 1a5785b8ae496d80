"""A vendor's pages that lead nowhere cost a few calls: the request fails with the reason, and its good rows are kept."""

from __future__ import annotations

import json

import pytest

from tests.waiting import eventually

#: What is wrong with the next page, the most calls that it may cost, and what the ledger says.
WAYS = {
    "circle": (3, "names a next page that the vendor has named before"),
    "same rows": (5, "3 pages in a row bring no row"),
    "empty": (3, "3 pages in a row bring no row"),
    "huge cursor": (3, "is no text of at most 8 kB"),
}
SYMBOLS = dict(zip(("AAPL", "MSFT", "NVDA", "TSLA"), WAYS, strict=True))
HONEST = {"polygon": "AMD", "nasdaq": "INTC"}


@pytest.mark.parametrize("vendor", sorted(HONEST))
def test_pages_that_lead_nowhere_end_with_the_reason_and_keep_what_is_good(place, sandbox, vendor):
    place.env |= {"MARKETFETCH_MOST_IDLE_PAGES": "2", "MARKETFETCH_RETRIES__MOST": "2"}
    place.env[f"MARKETFETCH_PROVIDERS__{vendor.upper()}__PAGE_LIMIT"] = "2"
    for symbol, way in SYMBOLS.items():
        sandbox.faults({"kind": "pages", "provider": vendor, "symbol": symbol, "way": way, "rate": 1.0})
    place.worker(concurrency=2)
    done = place.marketfetch("fetch", vendor, *SYMBOLS, HONEST[vendor], "--start", "2016-01-04", "--end", "2016-01-08")
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    eventually(lambda: place.status(job)["state"] != "running", within_s=60, what="the job is over")

    status = place.status(job)
    assert (status["state"], status["requests"]["failed"]) == ("failed", len(WAYS)), json.dumps(status)
    bars = dict(place.rows("SELECT symbol, count(DISTINCT ts) FROM bars GROUP BY symbol"))
    assert sorted(bars) == sorted(["AAPL", "MSFT", HONEST[vendor]])
    assert (bars[HONEST[vendor]], min(bars.values())) == (5, 5 if vendor == "polygon" else 2)
    calls_of_all_pages = "(SELECT sum(calls) FROM ledger a WHERE a.root = f.root)"
    rows = place.rows(f"SELECT f.symbol, f.reason, {calls_of_all_pages} FROM ledger f WHERE outcome = 'failed'")
    failed = {symbol: (reason, calls) for symbol, reason, calls in rows}
    for symbol, way in SYMBOLS.items():
        most, reason = WAYS[way]
        said, calls = failed[symbol]
        assert reason in said
        assert calls <= most, (way, calls)
        assert ("what is good of them is kept" in said) == (way != "huge cursor")
    assert sandbox.log()["calls"] <= sum(most for most, _ in WAYS.values()) + 3

    # The vendor is sound again: a retry goes on from the page that failed, and the last page deletes the chain.
    sandbox.clear_faults()
    assert place.marketfetch("retry", job).returncode == 0
    eventually(lambda: place.status(job)["state"] != "running", within_s=60, what="the job is over again")
    bars = dict(place.rows("SELECT symbol, count(DISTINCT ts) FROM bars GROUP BY symbol"))
    assert {one: bars[one] for one in ("AAPL", "NVDA", "TSLA")} == dict.fromkeys(("AAPL", "NVDA", "TSLA"), 5)
    # Where the rows are still the same, as behind the names that the sandbox gave for Nasdaq's table, the chain fails again.
    assert place.status(job)["requests"]["failed"] == (vendor == "nasdaq")
    assert len(list(place.redis().scan_iter("mf:*:pages:*"))) == (vendor == "nasdaq")
