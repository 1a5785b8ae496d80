"""A child above `worker_max_memory_per_child` is replaced after its task; nothing is lost, nothing is done twice."""

from __future__ import annotations

from tasks import celeryconfig
from tests.flow.conftest import LimitedJob
from tests.flow.test_recovery import children, patient_worker
from tests.waiting import eventually

TOO_LARGE = "child process exiting after exceeding memory limit"
#: Each call notes its child, and the first one needs more than is allowed.
GREEDY = """
import os
from marketfetch.vendors import reading
as_it_was = reading.read

def read(request, *args, **options):
    if request.symbol == "AA":
        bytearray(b"x") * (420 << 20)
    return as_it_was(request, *args, **options)

reading.read = read
"""


def test_a_child_that_needed_too_much_is_replaced_and_no_other(place, sandbox):
    job = LimitedJob(place, sandbox, requests=10)
    worker = patient_worker(place, more=GREEDY, concurrency=2)
    before = {one.pid for one in children(worker)}
    job.submit()
    job.ends_whole(within_s=20, extra_calls=0)
    assert place.worker_log.count(TOO_LARGE) == 1
    assert f"/ {celeryconfig.worker_max_memory_per_child}KiB" in place.worker_log

    def one_of_two_is_new() -> bool:
        now = {one.pid for one in children(worker)}
        return len(now) == 2 and len(before & now) == 1

    eventually(one_of_two_is_new, what="the child was replaced")


def test_children_that_are_replaced_after_each_task_lose_nothing_and_do_nothing_twice(place, sandbox):
    job = LimitedJob(place, sandbox, requests=12)
    patient_worker(place, more="app.conf.worker_max_memory_per_child = 1000", concurrency=2)
    job.submit()
    job.ends_whole(within_s=30, extra_calls=0)
    assert place.worker_log.count(TOO_LARGE) >= 12
    assert not place.redis().keys("mf:{polygon}:raised:*")
    assert place.rows("SELECT max(calls) FROM ledger") == [(1,)]
