"""What goes wrong, and what becomes of the request: never a silent hole, never a bad row, never a wasted retry."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.flow.conftest import LimitedJob
from tests.waiting import eventually

RANGE = {"start": "2024-01-02", "end": "2024-01-31"}
TRANSIENT = ["500", "503", "reset", "truncate", "cut_json", "html"]


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_transient_fault_is_tried_again_and_then_stored(place, sandbox, kind):
    sandbox.faults(kind=kind, provider="polygon", count=2, retry_after=1)
    place.worker()
    status = place.fetch("polygon", "AAPL", **RANGE)
    assert (status["state"], status["requests"]["stored"]) == ("done", 1)
    assert place.rows("SELECT outcome, calls FROM ledger") == [("stored", 3)]
    line = next(line for line in place.worker_log.splitlines() if "fetch failed" in line)
    for word in (
        "provider=polygon",
        "symbol=AAPL",
        "attempt=1",
        "outcome=Unavailable",
        "next_step='retry after a backoff'",
    ):
        assert word in line


def test_a_fault_that_stays_ends_as_failed_with_a_sentence(place, sandbox):
    place.env["MARKETFETCH_RETRIES__MOST"] = "2"
    sandbox.faults(kind="500", provider="polygon", symbol="AAPL", count=1000)
    place.worker()
    status = place.fetch("polygon", "AAPL", "MSFT", **RANGE)
    assert status["requests"] == {"total": 2, "parked": 0, "running": 0, "stored": 1, "failed": 1, "cancelled": 0}
    (failure,) = status["failures"]
    assert failure["reason"].startswith("AAPL: Unavailable: ")
    assert place.rows("SELECT calls FROM ledger WHERE outcome = 'failed'") == [(3,)]


@pytest.mark.parametrize("kind", ["503", "reset"])
def test_a_vendor_that_is_away_for_a_while_fails_nobody_and_costs_few_calls(place, sandbox, kind):
    place.env["MARKETFETCH_RETRIES__MOST"] = "2"
    job = LimitedJob(place, sandbox, requests=60)
    place.worker()
    sandbox.faults(kind=kind, provider="polygon", count=10_000)
    job.submit()
    eventually(lambda: "the vendor is unhealthy" in place.worker_log, what="the vendor counts as unhealthy")
    before = sandbox.log()["calls"]
    (name,) = place.rows("SELECT id FROM jobs")[0]
    eventually(lambda: "gives no usable answer" in " ".join(place.status(name)["trouble"]), what="and the status says so")
    eventually(lambda: "attempt=1" in place.worker_log and sandbox.log()["calls"] > before + 1, what="it is asked now and then")
    # Twenty in two seconds would be allowed: one call at a time goes out, and ever more rarely.
    assert sandbox.log()["calls"] - before <= 20
    sandbox.clear_faults()
    job.ends_whole(within_s=60, extra_calls=40)


def test_requests_that_are_never_answered_fail_and_keep_nobody_from_the_vendor(place, sandbox):
    place.env["MARKETFETCH_RETRIES__MOST"] = "1"
    for symbol in ("AAPL", "MSFT", "NVDA"):
        sandbox.faults(kind="500", provider="polygon", symbol=symbol, count=1_000)
    place.worker()
    status = place.fetch("polygon", "AAPL", "MSFT", "NVDA", "TSLA", **RANGE)
    assert status["requests"]["stored"] == 1
    assert sorted(one["symbol"] for one in status["failures"]) == ["AAPL", "MSFT", "NVDA"]


def test_a_refusal_pauses_the_pool_and_spends_no_retry(place, sandbox):
    place.env["MARKETFETCH_RETRIES__MOST"] = "0"
    sandbox.faults(kind="429", provider="polygon", count=2, retry_after=1)
    place.worker()
    status = place.fetch("polygon", "AAPL", "MSFT", **RANGE)
    assert (status["state"], status["requests"]["stored"]) == ("done", 2)
    assert "outcome=RateLimited" in place.worker_log


def test_bad_rows_are_rejected_with_reasons_and_the_good_rows_stored(place, sandbox):
    sandbox.faults(kind="bad_rows", provider="polygon", symbol="AAPL", count=1)
    place.worker()
    status = place.fetch("polygon", "AAPL", start="2022-01-03", end="2024-12-31")
    damaged = {one["row"] for one in sandbox.log()["damaged"]}
    rejects = place.rows("SELECT row, field, reason FROM rejects ORDER BY row")
    assert {row for row, _, _ in rejects} == damaged
    assert len(rejects) == status["rejects"] == len(damaged) > 0
    assert all(field and reason for _, field, reason in rejects)
    assert place.rows("SELECT count(*) FROM bars WHERE low > high OR close <= 0 OR close IS NULL") == [(0,)]


def test_a_series_that_is_not_trustworthy_fails_and_the_other_one_of_the_reply_is_stored(place, sandbox):
    """The sandbox damages five rows of a reply, and prices as traded only: more than a fifth of a month's sessions."""
    march = ("--start", "2016-03-01", "--end", "2016-03-31", "--wait")
    sandbox.faults(kind="bad_rows", provider="nasdaq", symbol="AAPL", count=1)
    place.worker()
    done = place.marketfetch("fetch", "nasdaq", "AAPL", *march)
    assert done.returncode == 1
    ((outcome, reason, rows, rejects),) = place.rows("SELECT outcome, reason, rows, rejects FROM ledger")
    assert (outcome, rows, rejects) == ("failed", 22, 5)
    assert "AAPL: TooManyRejects: nasdaq AAPL: 5 of 22 rows of AAPL raw failed their checks" in reason
    assert "The other series are kept" in reason
    kept = "SELECT adjustment, count(*) FROM bars GROUP BY adjustment ORDER BY adjustment"
    assert place.rows(kept) == [("split_dividend", 22)]

    job = place.rows("SELECT id FROM jobs")[0][0]
    assert place.marketfetch("retry", job).returncode == 0
    eventually(lambda: place.status(job)["state"] == "done", what="the job is over")
    assert place.rows(kept) == [("raw", 22), ("split_dividend", 22)]


def test_an_empty_answer_is_recorded_as_empty_with_the_vendors_sentence(place, sandbox):
    place.worker()
    status = place.fetch("polygon", "AAPL", start="1995-01-03", end="1995-01-06")
    assert (status["state"], status["rows"]) == ("done", 0)
    ((outcome, reason),) = place.rows("SELECT outcome, reason FROM ledger")
    assert outcome == "empty"
    assert "no bars for AAPL" in reason


def test_a_long_range_without_a_bar_makes_polygon_say_whether_the_ticker_exists(place, sandbox):
    place.worker()
    status = place.fetch("polygon", "ZZZZ", **RANGE)
    assert status["requests"] == {"total": 1, "parked": 0, "running": 0, "stored": 0, "failed": 1, "cancelled": 0}
    (failure,) = status["failures"]
    assert failure["reason"].startswith("ZZZZ: UnknownSymbol: Polygon does not know ZZZZ")


def test_a_long_range_without_a_single_row_is_no_success(place, sandbox):
    place.worker()
    done = place.marketfetch("fetch", "nasdaq", "ZZZZ", "--start", "2017-01-03", "--end", "2017-03-31", "--wait")
    assert done.returncode == 1
    assert "No row came of ZZZZ: nasdaq has none for this range, or does not know it." in done.stdout


def test_results_null_is_asked_once_more(place, sandbox):
    sandbox.faults(kind="results_null", provider="polygon", count=1)
    place.worker()
    assert place.fetch("polygon", "AAPL", **RANGE)["rows"] > 15
    assert place.rows("SELECT outcome, calls FROM ledger") == [("stored", 2)]


def test_a_refused_key_fails_with_its_label_and_without_the_key(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = '["old:refused-0123456789"]'
    place.worker()
    status = place.fetch("polygon", "AAPL", **RANGE)
    (failure,) = status["failures"]
    assert "BadCredentials" in failure["reason"]
    assert "'old'" in failure["reason"]
    assert "refused-0123456789" not in failure["reason"] + place.worker_log


def test_a_worker_killed_in_the_middle_of_a_call_loses_only_that_call(place, sandbox):
    place.env |= {"MARKETFETCH_TIMINGS__CALL": "6", "MARKETFETCH_TIMINGS__END_BY": "7", "MARKETFETCH_TIMINGS__START_BY": "5"}
    sandbox.faults(kind="hang", provider="polygon", count=1)
    worker = place.worker()
    place.marketfetch("fetch", "polygon", "AAPL", "--start", RANGE["start"], "--end", RANGE["end"])
    # Killed before it was sent, it would be made once more.
    eventually(lambda: sandbox.log()["calls"] == 1, what="the vendor has the call")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    place.worker()
    status = place.fetch("polygon", "AAPL", **RANGE)
    assert (status["state"], status["requests"]["stored"]) == ("done", 1)
    assert place.rows("SELECT outcome, calls FROM ledger") == [("stored", 2)]


def test_a_killed_child_does_not_stop_the_others(place, sandbox):
    place.env |= {"MARKETFETCH_TIMINGS__CALL": "6", "MARKETFETCH_TIMINGS__END_BY": "7"}
    sandbox.faults(kind="hang", provider="polygon", symbol="AAPL", count=1)
    worker = place.worker(concurrency=2)
    place.marketfetch("fetch", "polygon", "AAPL", "MSFT", "--start", RANGE["start"], "--end", RANGE["end"])
    eventually(lambda: sandbox.log()["calls"] >= 2, what="the vendor has the call that hangs, and the other one")
    eventually(lambda: place.redis().zcard("mf:{polygon}:running") == 1, what="the other one is over")
    for child in psutil.Process(worker.pid).children():
        child.kill()
    status = place.fetch("polygon", "AAPL", "MSFT", **RANGE)
    assert (status["state"], status["requests"]["stored"]) == ("done", 2)


def test_a_database_that_goes_away_is_waited_for_and_nothing_is_fetched_twice(tmp_path, sandbox):
    from marketfetch.local.postgres_server import start_postgres
    from tests.flow.conftest import a_place

    with (
        start_postgres(tmp_path / "pg") as postgres,
        a_place(tmp_path, vendors_url=sandbox.url, database_url=postgres.database("market")) as place,
    ):
        place.worker()
        place.fetch("polygon", "MSFT", **RANGE)
        postgres.kill()
        sandbox.reset()
        # Parked through Celery itself, as an app would, while the database is away.
        code = (
            "from tasks.fetch import polygon\npolygon.delay('TSLA', start='2024-01-02', end='2024-01-31', adjustment='split')\n"
        )
        assert place.run("-c", code).returncode == 0
        eventually(lambda: place.redis().zcard("mf:{polygon}:held") >= 1, what="a batch is held")
        eventually(lambda: place.redis().exists("mf:trouble:database"), what="the operator is told")
        postgres.restart()
        eventually(lambda: place.rows("SELECT count(*) FROM bars WHERE symbol = 'TSLA'")[0][0] > 15, within_s=40)
        assert place.rows("SELECT calls FROM ledger WHERE symbol = 'TSLA'") == [(1,)]
        assert "Traceback" not in place.worker_log


def test_a_releaser_that_needs_the_ledger_waits_for_the_database_in_one_calm_line(place, sandbox):
    place.env["MARKETFETCH_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    place.worker()
    eventually(lambda: "releaser waits for the database" in place.worker_log, what="the operator is told")
    assert "Traceback" not in place.worker_log
