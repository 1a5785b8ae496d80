"""The tests of that app: no network, no Redis, no worker, and every path of errors."""

from __future__ import annotations

import asyncio
import tempfile
import unittest
from datetime import date
from pathlib import Path

import pytest
import reports  # type: ignore[import-not-found]
from celery import group
from celery.exceptions import NotRegistered
from marketfetch.tasks.fetch import alpha_vantage, polygon

import marketfetch
from marketfetch.testing import in_process_sandbox
from marketfetch.vendors.errors import UnknownSymbol

JANUARY = reports.JANUARY


def test_a_job_is_fetched_stored_and_read_back(marketfetch_sandbox):
    status = reports.load(["AAPL", "MSFT"])
    assert (status.state, status.requests.stored, status.rows) == ("done", 2, 42)
    assert reports.highest_close("AAPL") > 0
    assert sorted(call.symbol for call in marketfetch_sandbox.calls) == ["AAPL", "MSFT"]
    assert "test" not in marketfetch_sandbox.calls[0].url


def test_each_test_begins_with_an_empty_database(marketfetch_sandbox):
    assert marketfetch.list_jobs() == []
    assert marketfetch_sandbox.calls == []


def test_the_prices_are_the_same_in_every_run(marketfetch_sandbox):
    reports.load(["KO"])
    first = reports.highest_close("KO")
    marketfetch.wait(marketfetch.submit("polygon", ["KO"], **reports.JANUARY, again=True).job_id, timeout_s=5)
    assert reports.highest_close("KO") == first


def test_a_chain_ends_with_a_task_of_the_app(marketfetch_sandbox):
    assert reports.chained("AAPL") == "AAPL: 21 rows"


def test_work_that_succeeds_logs_no_warning(marketfetch_sandbox, caplog):
    assert reports.load(["AAPL"]).state == "done"
    assert polygon.delay("MSFT", **JANUARY).get(timeout=60)["outcome"] == "stored"
    assert [one.getMessage() for one in caplog.records if one.levelname in ("WARNING", "ERROR")] == []


def test_a_task_and_a_group_have_results(marketfetch_sandbox):
    sent = polygon.delay("AAPL", **JANUARY)
    assert (sent.state, sent.get(timeout=60)["outcome"]) == ("SUCCESS", "stored")
    both = group(polygon.s("MSFT", **JANUARY), alpha_vantage.s("IBM", **JANUARY))()
    assert [one["symbol"] for one in both.get(timeout=60)] == ["MSFT", "IBM"]


def test_a_refusal_is_waited_for_and_costs_no_time(marketfetch_sandbox):
    marketfetch_sandbox.refuse(2, symbol="AAPL")
    assert reports.load(["AAPL"]).state == "done"
    assert [call.status for call in marketfetch_sandbox.calls] == [429, 429, 200]


def test_an_unknown_symbol_fails(marketfetch_sandbox):
    status = reports.load(["ZZZZ", "AAPL"])
    assert (status.state, status.requests.stored) == ("failed", 1)
    assert "does not know ZZZZ" in status.failures[0].reason
    with pytest.raises(UnknownSymbol):
        polygon.delay("ZZZZ", **JANUARY).get(timeout=60)


def test_an_outage_fails_a_request_after_its_retries(marketfetch_sandbox):
    with marketfetch_sandbox.outage(symbol="AAPL"):
        status = reports.load(["AAPL"])
    assert (status.state, len(marketfetch_sandbox.calls)) == ("failed", 6)
    assert marketfetch.retry(status.job) == 1
    assert marketfetch.status(status.job).state == "done"


def test_a_job_outlives_an_outage_of_the_vendor(marketfetch_sandbox):
    symbols = ["AAPL", "MSFT", "TSLA", "NVDA"]
    with marketfetch_sandbox.outage(provider="polygon"):
        job = marketfetch.submit("polygon", symbols, start=date(2024, 1, 2), end=date(2024, 1, 31))
        assert marketfetch.status(job.job_id).state in ("running", "failed")
    assert marketfetch.status(job.job_id).requests.parked == 0


def test_a_reply_of_my_own(marketfetch_sandbox):
    bar = {"t": 1704171600000, "o": 10.0, "h": 12.0, "l": 9.0, "c": 11.5, "v": 100}
    marketfetch_sandbox.reply({"ticker": "AAPL", "resultsCount": 1, "status": "OK", "results": [bar]}, symbol="AAPL")
    assert reports.load(["AAPL"]).rows == 1
    assert reports.highest_close("AAPL") == 11.5


def test_an_async_app(marketfetch_sandbox):
    async def app():
        async with marketfetch.AsyncMarketfetch() as mf:
            job = await mf.submit("polygon", ["AAPL", "MSFT"], **JANUARY)
            states = [one.state async for one in mf.watch(job.job_id)]
            return states, len(await mf.bars(["AAPL", "MSFT"]))

    assert asyncio.run(app()) == (["done"], 42)


class InAUnittest(unittest.TestCase):
    def test_without_pytest_it_is_a_context_manager(self):
        with tempfile.TemporaryDirectory() as folder, in_process_sandbox(folder) as sandbox:
            assert reports.load(["AAPL"]).state == "done"
            assert len(sandbox.calls) == 1

    def test_the_folder_is_made_and_what_was_stored_in_it_is_there_in_the_next_block(self):
        with tempfile.TemporaryDirectory() as folder:
            new = Path(folder) / "not" / "yet"
            with in_process_sandbox(new):
                assert reports.load(["AAPL"]).state == "done"
            with in_process_sandbox(str(new)):
                assert len(marketfetch.bars("AAPL")) == 21


def test_a_task_that_nothing_knows_fails_with_its_name(marketfetch_sandbox):
    missing = reports.app.signature("reports.missing")
    with pytest.raises(NotRegistered, match=r"reports\.missing"):
        (polygon.s("AAPL", **JANUARY) | missing).apply_async().get(timeout=60)


def test_a_wrong_fault_is_refused_where_it_is_written(marketfetch_sandbox):
    with pytest.raises(ValueError, match="unknown kind of fault 'slow'"):
        marketfetch_sandbox.fault("slow")
    with pytest.raises(ValueError, match="needs a real connection"):
        marketfetch_sandbox.fault("odd", way="odd length")


def test_an_app_that_knows_us_by_name_alone(marketfetch_sandbox):
    month = {"start": "2016-01-04", "end": "2016-01-29"}
    sent = reports.app.send_task("tasks.fetch.nasdaq", ("WIKI/AAPL",), month)
    assert sent.get(timeout=60)["outcome"] == "stored"
    chained = reports.app.signature("tasks.fetch.nasdaq", ("WIKI/MSFT",), month) | reports.told.s()
    assert chained.apply_async().get(timeout=60).startswith("WIKI/MSFT: ")


def test_without_the_fixture_nothing_is_replaced():
    assert marketfetch.app.conf.broker_url.startswith("redis://")
    assert type(marketfetch.app.backend).__name__ == "HardenedBackend"
    with pytest.raises(marketfetch.UnavailableError, match="No API key is configured"):
        marketfetch.submit("polygon", ["AAPL"], **JANUARY)


def test_what_is_held_waits_until_the_test_lets_it_go(marketfetch_sandbox):
    with marketfetch_sandbox.hold():
        job = marketfetch.submit("polygon", ["AAPL"], **JANUARY)
        sent = polygon.delay("MSFT", **JANUARY)
        assert marketfetch.status(job.job_id).requests.parked == 1
        assert sent.state == "PARKED"
        assert marketfetch.cancel(job.job_id).state == "cancelled"
    assert sent.state == "SUCCESS"
    assert [call.symbol for call in marketfetch_sandbox.calls] == ["MSFT"]


def test_a_countdown_passes_when_the_test_says_so(marketfetch_sandbox):
    sent = polygon.apply_async(("AAPL",), JANUARY, countdown=3600)
    assert sent.state == "PARKED"
    marketfetch_sandbox.advance(3600)
    assert sent.state == "SUCCESS"


@pytest.mark.parametrize("kind", ["500", "html", "cut_json", "reset", "hang", "truncate"])
def test_a_fault_is_retried(marketfetch_sandbox, kind):
    marketfetch_sandbox.fault(kind, symbol="AAPL")
    assert reports.load(["AAPL"]).state == "done"
    assert len(marketfetch_sandbox.calls) == 2
