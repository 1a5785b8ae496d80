"""A worker with threads is killed, by others and by its own requests: all end, and no innocent request is failed."""

from __future__ import annotations

import signal
import time

from tests.flow.conftest import LimitedJob
from tests.flow.test_recovery import KEPT, SOON, patient_worker, stored, submit
from tests.waiting import eventually

THREADS = 8
#: Shorter than SOON: the lease of a killed call is what these tests wait for.
SOONER = SOON | {"MARKETFETCH_TIMINGS__CALL": "4", "MARKETFETCH_TIMINGS__END_BY": "5", "MARKETFETCH_TIMINGS__START_BY": "3"}


def test_a_worker_with_threads_is_killed_three_times_and_every_request_ends(place, sandbox):
    job = LimitedJob(place, sandbox, requests=45)
    place.env |= SOON
    worker = place.worker("-P", "threads", concurrency=THREADS)
    job.submit()
    for over in (6, 15, 24):
        job.reaches(over, within_s=20)
        worker.kill()
        worker.wait(timeout=300)
        worker = place.worker("-P", "threads", concurrency=THREADS)
    # A request is failed only if it was open in each of three kills; after the first one it runs alone.
    job.ends_whole(within_s=30, extra_calls=3 * THREADS)
    assert worker.poll() is None
    assert "Traceback" not in place.worker_log


INNOCENT = ("AAPL", "MSFT", "NVDA", "AMZN")
#: All of them are in the middle of their calls when one of them kills the worker.
KILLER = """
import os, time
from marketfetch.vendors import reading
as_it_was = reading.read

def read(request, *args, **options):
    time.sleep(0.15 if request.symbol == "TSLA" else 0.4)
    if request.symbol == "TSLA":
        os.kill(os.getpid(), 9)
    return as_it_was(request, *args, **options)

reading.read = read
"""


def test_a_request_that_kills_its_worker_is_failed_and_none_of_its_neighbours(place, sandbox):
    place.env |= SOONER
    submit(place, "TSLA", *INNOCENT)

    def worker():
        return patient_worker(place, "-P", "threads", more=KILLER, concurrency=THREADS)

    workers = [worker()]

    def all_are_over():
        if workers[-1].poll() is not None:
            workers.append(worker())
        return len(stored(place)) > len(INNOCENT)

    eventually(all_are_over, within_s=40, what="every request is over")
    found = {symbol: (outcome, calls) for symbol, outcome, calls in stored(place)}
    assert found.pop("TSLA") == ("failed", 3)
    assert len(workers) == 1 + 3
    assert sorted(found) == sorted(INNOCENT)
    assert {outcome for outcome, _ in found.values()} == {"stored"}
    assert max(calls for _, calls in found.values()) == 2, "the first crash was theirs too"
    ((reason, request),) = place.rows("SELECT reason, request_id FROM ledger WHERE symbol = 'TSLA'")
    assert reason == f"{KEPT}{request}"


def test_sigterm_ends_a_worker_whose_threads_are_in_a_call(place, sandbox):
    worker = patient_worker(place, "-P", "threads", more="app.conf.worker_soft_shutdown_timeout = 0.3", concurrency=2)
    sandbox.faults(kind="misbehave", provider="polygon", symbol="AAPL", count=10, stage="body", way="drips")
    job = submit(place, "AAPL")
    eventually(lambda: sandbox.log()["calls"] == 1, what="the vendor has the call")
    before = time.monotonic()
    worker.send_signal(signal.SIGQUIT)  # as which a worker takes a SIGTERM where REMAP_SIGTERM says so
    worker.wait(timeout=300)
    assert time.monotonic() - before < 40, "the reply takes 50 s, and no thread can be ended"
    assert "Traceback" not in place.worker_log
    assert place.status(job)["state"] == "running"
