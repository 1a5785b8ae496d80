"""Redis is cut off, restarted or late: the job goes on by itself, whole, and the log stays calm."""

from __future__ import annotations

import re
import time

from tests.flow.conftest import LimitedJob
from tests.waiting import eventually


def cut_all_connections(place) -> None:
    """Every client's connection, as a proxy or a network that gives up would."""
    for kind in ("normal", "pubsub"):
        place.redis().execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "no" if kind == "pubsub" else "yes")


def calm(place, *, lines: int) -> None:
    """What an operator sees of an outage: a few sentences, no page of Python."""
    log = place.worker_log.partition(" ready.")[2]
    loud = [line for line in log.splitlines() if not re.match(r"\S+ \[(info|debug) ", line)]
    assert len(loud) <= lines, "\n".join(loud)
    assert "Traceback" not in log


def test_a_job_goes_on_when_all_connections_of_redis_are_cut_again_and_again(place, sandbox):
    job = LimitedJob(place, sandbox)
    place.worker()
    job.submit()
    for turn in range(1, 6):
        job.reaches(18 * turn, within_s=45)
        cut_all_connections(place)
    job.ends_whole(within_s=60, extra_calls=5)
    calm(place, lines=60)


def test_a_job_goes_on_when_redis_was_away_for_ten_seconds(place, sandbox):
    job = LimitedJob(place, sandbox)
    place.worker()
    job.submit()
    job.reaches(30, within_s=30)
    place.valkey.stop()
    ten_seconds = time.monotonic() + 10
    eventually(lambda: time.monotonic() > ten_seconds, what="ten seconds have passed")
    place.restart_valkey()
    eventually(lambda: "Redis is back" in place.worker_log, what="the operator is told")
    job.ends_whole(within_s=60, extra_calls=4)
    calm(place, lines=40)


def test_a_worker_that_starts_before_redis_waits_for_it(place, sandbox):
    job = LimitedJob(place, sandbox, requests=100)
    job.submit()
    place.valkey.stop()
    place.celery("worker", "-c", "4", "--loglevel", "info", log="worker.log")
    eventually(lambda: "Cannot connect to" in place.worker_log, within_s=30, what="the worker says what is away")
    place.restart_valkey()
    job.ends_whole(within_s=60, extra_calls=0)
    calm(place, lines=20)
