"""`AsyncMarketfetch` as an async app sees it: the same functions, an event loop that goes on, and nothing left behind."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import string
import subprocess
import sys
import threading
import time
from datetime import date

import pytest

import marketfetch
from marketfetch import AsyncMarketfetch, connections, settings
from marketfetch.jobs import job_status
from tests.install.test_public_face import ASKED, HEAVY, as_set
from tests.waiting import LONG_S, PATIENCE

SYMBOLS = ["".join(letters) for letters in itertools.islice(itertools.product(string.ascii_uppercase, repeat=4), 10_000)]


@pytest.fixture
def here(redis, valkey_url, tmp_path):
    """The settings of an app with a key, an empty Valkey and an empty database."""
    variables = {
        "MARKETFETCH_REDIS_URL": valkey_url,
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path / 'marketfetch.db'}",
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:S3CR3T"]',
        "MARKETFETCH_STATE_DIR": str(tmp_path / "state"),
        "MARKETFETCH_WHOLE_MARKET_FROM": "0",
    }
    with as_set(**variables):
        yield
        connections.store().close()


def of_ours():
    return [one for one in threading.enumerate() if one.name.startswith("marketfetch")]


def test_every_public_function_has_its_counterpart_with_equal_parameters():
    functions = {name for name in marketfetch.__all__ if inspect.isfunction(getattr(marketfetch, name))}
    assert {"submit", "status", "wait", "cancel", "resume", "retry", "list_jobs", "bars"} <= functions
    for name in sorted(functions):
        ours, sync = getattr(AsyncMarketfetch, name), getattr(marketfetch, name)
        assert inspect.iscoroutinefunction(ours), name
        (_, *parameters), signature = inspect.signature(ours).parameters.values(), inspect.signature(sync)
        assert parameters == list(signature.parameters.values()), name
        assert inspect.signature(ours).return_annotation == signature.return_annotation, name
        assert f"`marketfetch.{name}`" in (inspect.getdoc(ours) or "")


def test_importing_it_loads_neither_celery_nor_frames():
    code = "import sys\nfrom marketfetch import AsyncMarketfetch\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=settings.environment(), capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


def test_the_loop_goes_on_while_ten_thousand_symbols_are_submitted_and_waited_for(here):
    pauses = []

    async def ticks():
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            pauses.append(time.monotonic() - began)

    async def app():
        async with AsyncMarketfetch() as mf:
            ticking = asyncio.create_task(ticks())
            began = time.monotonic()
            job = await mf.submit("polygon", SYMBOLS, **ASKED)
            submitted_s = time.monotonic() - began
            with pytest.raises(TimeoutError, match=rf"Job {job.job_id} is not over after 0\.6 s"):
                await mf.wait(job.job_id, timeout_s=0.6)
            assert (await mf.status(job.job_id)).requests.parked == len(SYMBOLS)
            ticking.cancel()
            return submitted_s

    submitted_s = asyncio.run(app())
    # A call of the public function in the loop would be one pause as long as all of it, and a busy machine makes single ones.
    assert max(pauses) < max(0.1, submitted_s * 3 / 4), (max(pauses), submitted_s)
    assert sorted(pauses)[len(pauses) * 9 // 10] < 0.1 * PATIENCE


def test_a_watch_shows_each_change_and_ends_with_the_job(here):
    async def app():
        async with AsyncMarketfetch() as mf:
            job = await mf.submit("polygon", ["AAPL", "MSFT"], **ASKED)
            seen = []
            async for status in mf.watch(job.job_id):
                seen.append(status)
                if len(seen) == 1:
                    await mf.cancel(job.job_id)
            again = await mf.resume(job.job_id)
            listed = await mf.list_jobs()
            return seen, again, [one.job_id for one in listed] == [job.job_id], await mf.retry(job.job_id)

    seen, again, listed, retried = asyncio.run(app())
    assert [one.state for one in seen] == ["running", "cancelled"]
    assert (again, listed, retried) == (2, True, 0)


def test_errors_are_those_of_the_public_functions(here):
    async def app():
        async with AsyncMarketfetch() as mf:
            with pytest.raises(marketfetch.UnknownJob, match="no job 'absent'"):
                await mf.wait("absent")
            with pytest.raises(marketfetch.UnknownJob, match="no job 'absent'"):
                [one async for one in mf.watch("absent")]
            with pytest.raises(marketfetch.BadRequestError):
                await mf.submit("polygon", "AAPL", start=date(2024, 1, 2), end=date(2024, 1, 31))
        with pytest.raises(RuntimeError, match="is closed"):
            await mf.status("absent")

    asyncio.run(app())


def test_a_cancelled_task_leaves_no_thread_no_call_and_no_wait_behind(here, monkeypatch):
    may_end, has_begun, began = threading.Event(), threading.Event(), []

    def slow(job_id):
        began.append(job_id)
        has_begun.set()
        may_end.wait(300)

    monkeypatch.setattr(job_status, "status", slow)

    async def app():
        async with AsyncMarketfetch(threads=1) as mf:
            waits = [asyncio.create_task(mf.wait(name)) for name in ("first", "second")]
            assert await asyncio.to_thread(has_begun.wait, LONG_S)
            for one in waits:
                one.cancel()
            # Both end at once, though the first one's thread is still in its call.
            ended = await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), LONG_S)
            assert [type(one) for one in ended] == [asyncio.CancelledError] * 2
            assert len(of_ours()) == 1
            may_end.set()
        return began

    # The second was in the queue: it never began.
    assert asyncio.run(app()) == ["first"]
    assert of_ours() == []
