"""Redis is cut off, restarted or late: the job goes on by itself, whole, and the log stays calm."""

from __future__ import annotations

import re
import sqlite3
import time

from tests.flow.conftest import LimitedJob
from tests.waiting import eventually


def cut_all_connections(place) -> None:
    """Every client's connection, as a proxy or a network that gives up would."""
    for kind in ("normal", "pubsub"):
        place.redis().execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "no" if kind == "pubsub" else "yes")


def wait_until(moment: float) -> None:
    """For what is itself a length of time: an outage, the pace of killing."""
    eventually(lambda: time.monotonic() >= moment, within_s=60, what="the time has passed")


def calm(place, *, lines: int) -> None:
    """What an operator sees of an outage: a few sentences, no page of Python."""
    loud = [line for line in place.worker_log.splitlines() if re.match(r"\S+Z \[(warning|error|critical)", line)]
    assert len(loud) <= lines, "\n".join(loud)
    assert "Traceback" not in place.worker_log


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
    wait_until(time.monotonic() + 10)
    place.restart_valkey()
    eventually(lambda: "Redis is back" in place.worker_log, what="the operator is told")
    job.ends_whole(within_s=60, extra_calls=4)
    calm(place, lines=40)


def test_a_reply_that_came_while_redis_was_away_is_kept_and_its_task_is_no_failure(slow_place):
    place, sandbox = slow_place
    place.worker()
    code = (
        "from tasks.fetch import polygon\n"
        "print(polygon.delay('AAPL', start='2024-01-02', end='2024-01-05', adjustment='raw').id)\n"
    )
    sent = place.run("-c", code).stdout.strip()
    eventually(lambda: sandbox.log()["calls"] == 1, what="the vendor is asked")
    place.valkey.stop()
    replied = eventually(lambda: sandbox.log()["providers"]["polygon"], what="the vendor has a log")
    eventually(lambda: not sandbox.log()["providers"]["polygon"][next(iter(replied))]["open"], what="the vendor has replied")
    wait_until(time.monotonic() + 2)
    place.restart_valkey()
    ask = f"from celery.result import AsyncResult\nfrom tasks import app\nprint(AsyncResult('{sent}', app=app).state)"
    eventually(lambda: place.run("-c", ask).stdout.strip() == "SUCCESS", within_s=40, what="the task has succeeded")
    eventually(lambda: place.rows("SELECT outcome, calls FROM ledger") == [("stored", 1)], within_s=40)
    assert sandbox.log()["calls"] == 1
    calm(place, lines=12)


def test_a_batch_that_was_stored_while_redis_was_away_is_no_failure(place, sandbox):
    place.worker()
    place.fetch("polygon", "MSFT", start="2024-01-02", end="2024-01-05")
    database = sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    code = (
        "from tasks.fetch import polygon\n"
        "from tasks.store import store_batch\n"
        "query = dict(start='2024-01-02', end='2024-01-05', adjustment='raw')\n"
        "print((polygon.s('AAPL', **query) | store_batch.s()).apply_async().id)\n"
    )
    sent = place.run("-c", code).stdout.strip()
    eventually(lambda: place.redis().zcard("mf:{polygon}:held") == 1, what="the batch waits for the database")
    eventually(lambda: place.redis().llen("store") == 0, what="its store task is under way")
    place.valkey.stop()
    database.execute("ROLLBACK")
    database.close()
    told = re.compile("store waits for Redis|raised unexpected")
    eventually(lambda: told.search(place.worker_log), what="it is stored, and the gate can't be told")
    place.restart_valkey()
    ask = f"from celery.result import AsyncResult\nfrom tasks import app\nprint(AsyncResult('{sent}', app=app).state)"
    eventually(lambda: place.run("-c", ask).stdout.strip() == "SUCCESS", within_s=40, what="the chain has succeeded")
    eventually(lambda: not place.redis().keys("mf:{polygon}:req:*"), within_s=60, what="the gate is told at last")
    assert place.rows("SELECT symbol, outcome, calls FROM ledger") == [("MSFT", "stored", 1), ("AAPL", "stored", 1)]
    assert "raised unexpected" not in place.worker_log


def test_a_worker_that_starts_before_redis_waits_for_it(place, sandbox):
    job = LimitedJob(place, sandbox, requests=100)
    job.submit()
    place.valkey.stop()
    place.celery("worker", "-c", "4", "--loglevel", "info", log="worker.log")
    eventually(lambda: "Cannot connect to" in place.worker_log, within_s=30, what="the worker says what is away")
    place.restart_valkey()
    job.ends_whole(within_s=60, extra_calls=0)
    calm(place, lines=20)
