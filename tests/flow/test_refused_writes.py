"""Redis answers and refuses to write: full, its disk full, a replica since a failover. Workers wait, and go on alone."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from contextlib import contextmanager

import psutil
import pytest
from redis.exceptions import ResponseError

from marketfetch.storage import safe_url
from tests.flow.conftest import LimitedJob
from tests.flow.test_releaser import calm, wait_until
from tests.waiting import eventually

FOR_S = 6
DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")


@contextmanager
def too_few_replicas(place):
    place.redis().config_set("min-replicas-to-write", 1)
    yield "too few replicas"
    place.redis().config_set("min-replicas-to-write", 0)


@contextmanager
def full(place):
    place.redis().config_set("maxmemory", 1_000_000)
    yield "is full (used_memory"
    place.redis().config_set("maxmemory", 0)


@contextmanager
def replica(place):
    place.redis().execute_command("REPLICAOF", "127.0.0.1", "1")
    yield "is a read-only replica"
    place.redis().execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def snapshot_refused(place):
    """Where its snapshot would be stands a folder, so that writing it fails as on a full disk."""
    redis = place.redis()
    folder = place.valkey.folder / "dump.rdb"
    folder.mkdir()
    (folder / "full").touch()
    redis.config_set("save", "3600 1")
    redis.bgsave()
    eventually(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err", what="the snapshot has failed")
    yield "can't save its snapshot"
    (folder / "full").unlink()
    folder.rmdir()
    redis.config_set("stop-writes-on-bgsave-error", "no")


KINDS = [too_few_replicas, full, replica, snapshot_refused]


def refuses(redis) -> None:
    with pytest.raises(ResponseError):
        redis.set("a key", "of a stranger")


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_goes_on_in_the_same_worker_when_redis_takes_writes_again(place, sandbox, kind):
    job = LimitedJob(place, sandbox, requests=100)
    worker = place.worker()
    job.submit()
    job.reaches(20, within_s=40)
    with kind(place):
        refuses(place.redis())
        wait_until(time.monotonic() + FOR_S)
    eventually(lambda: "Redis is back" in place.worker_log, within_s=20, what="the operator is told that it is over")
    job.ends_whole(within_s=60, extra_calls=12)
    assert worker.poll() is None
    assert place.worker_log.count(" ready.") == 1
    assert "waits for Redis" in place.worker_log
    assert "Unrecoverable" not in place.worker_log
    assert not re.search("Connection to broker lost|Cannot connect to|when Redis is back", place.worker_log)
    calm(place, lines=20)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_starts_while_redis_refuses_waits_for_it(place, sandbox, kind):
    job = LimitedJob(place, sandbox, requests=20)
    job.submit()
    with kind(place):
        worker = place.celery("worker", "-c", "2", "--loglevel", "info", log="worker.log")
        eventually(lambda: "worker waits for Redis" in place.worker_log, within_s=30, what="the worker says what is wrong")
    job.ends_whole(within_s=60, extra_calls=0)
    assert worker.poll() is None
    calm(place, lines=12)


def test_a_message_that_has_left_a_redis_that_is_full_is_not_lost(place):
    """Nobody would send a task of a user's own again; it is taken while its worker can't write down that it has it."""
    worker = place.worker(concurrency=1)
    os.kill(worker.pid, signal.SIGSTOP)
    code = "from tasks import app\nprint(app.send_task('celery.accumulate', (1, 2)).id)"
    sent = place.run("-c", code).stdout.strip()
    with full(place):
        os.kill(worker.pid, signal.SIGCONT)
        eventually(lambda: "worker waits for Redis" in place.worker_log, what="the message is taken")
        assert place.redis().llen("celery") == 0
    ask = (
        f"from celery.result import AsyncResult\nfrom tasks import app\nprint(AsyncResult('{sent}', app=app).get(timeout=300))"
    )
    assert place.run("-c", ask).stdout.strip() == "[1, 2]"
    assert worker.poll() is None
    calm(place, lines=20)


def test_a_full_redis_is_emptied_by_storing_and_all_goes_on(place, sandbox):
    """No message gets through that would tell a child to store what waits."""
    place.env["MARKETFETCH_TIMINGS__SWEEP"] = "3"
    job = LimitedJob(place, sandbox, requests=100)
    worker = place.worker()
    job.submit()
    job.reaches(20, within_s=40)
    redis, counts = place.redis(), "mf:{polygon}:counts"
    database = sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    eventually(lambda: redis.zcard("mf:{polygon}:held") >= 4, within_s=40, what="batches wait")
    redis.config_set("maxmemory", 1_000_000)
    for child in psutil.Process(worker.pid).children():
        child.kill()  # whoever would have stored them is gone
    database.execute("ROLLBACK")
    database.close()
    eventually(lambda: "stored to make room in Redis" in place.worker_log, within_s=40, what="what waits is stored")
    # One that a child had begun with is left to it for as long as it may take.
    eventually(lambda: int(redis.hget(counts, "bytes") or 0) == 0, within_s=40, what="all of it")
    redis.config_set("maxmemory", 0)
    job.ends_whole(within_s=60, extra_calls=8)
    assert worker.poll() is None
    calm(place, lines=30)


@pytest.mark.parametrize("kind", KINDS)
def test_status_and_check_say_what_is_wrong_with_redis_and_not_that_no_worker_runs(place, sandbox, kind):
    job = LimitedJob(place, sandbox, requests=100)
    place.worker()
    job.submit()
    job.reaches(20, within_s=40)
    ((name,),) = place.rows("SELECT id FROM jobs")
    with kind(place) as words:
        eventually(lambda: "waits for Redis" in place.worker_log, what="it is noticed")
        status = place.marketfetch("status", name)
        told = " ".join((status.stdout + status.stderr).split())
        assert words in told
        assert safe_url(place.redis_url) in told
        assert "No worker" not in told
        done = place.marketfetch("check")
        assert done.returncode == 1
        assert words in " ".join(done.stdout.split())
        refused = place.marketfetch("fetch", "polygon", "TSLA", *DAYS)
        assert refused.returncode != 0
        assert words in refused.stderr
        assert "nothing was submitted" in refused.stderr
        assert "does not answer" not in refused.stderr


def test_after_flushall_the_worker_is_seen_at_once(place, sandbox):
    job = LimitedJob(place, sandbox, requests=60)
    place.worker()
    job.submit()
    job.reaches(10, within_s=40)
    redis = place.redis()
    redis.flushall()
    eventually(lambda: redis.keys("mf:releaser:*"), within_s=2, what="its sign of life is there again")


#: On which channel of pub/sub, and what comes there; all but the last two would end every worker of Celery's at once.
BROADCASTS = [
    ("/0.celery.pidbox", b"[]"),
    ("/0.celery.pidbox", b"42"),
    ("/0.celery.pidbox", b"{}"),
    ("/0.celery.pidbox", b'"a"'),
    ("/0.celery.pidbox", b'{"body": 5, "headers": {}, "properties": {}}'),
    ("/0.celery.pidbox", b"\xff\xfe"),
    ("/0.celery.pidbox", b"this is no json"),
    ("/0.celery.pidbox", b"[" * 100_000),
    ("/0.celery.pidbox", None),
    ("/0.celery.pidbox", b"W10="),
    ("/0.celery.pidbox", b"%%%"),
    ("/0.celeryev/worker.heartbeat", b"[]"),
    ("/0.celeryev/worker.heartbeat", b"e30="),
]


def broadcast(data) -> bytes:
    """The body of a broadcast, as kombu packs it, where that is what is damaged."""
    if data is not None and not re.fullmatch(rb"[A-Za-z0-9=%]{3,4}", data):
        return bytes(data)
    properties = {"delivery_tag": "x", "delivery_info": {"exchange": "", "routing_key": ""}, "body_encoding": "base64"}
    return json.dumps(
        {
            "body": data.decode() if data else None,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},
            "properties": properties,
        }
    ).encode()


def skipped(place) -> int:
    count: int = place.worker_log.count("broadcast can't be read")
    return count


def test_a_broadcast_that_nobody_can_read_ends_no_worker_and_is_one_line(place):
    worker = place.worker(concurrency=2)
    redis = place.redis()
    for number, (channel, data) in enumerate(BROADCASTS, start=1):
        # A worker is ready a moment before it listens to broadcasts.
        eventually(lambda: redis.publish(channel, broadcast(data)), what="the worker listens")  # noqa: B023 (asked at once)
        eventually(lambda: skipped(place) >= number, within_s=5, what=repr(data))  # noqa: B023 (it is asked at once)
    redis.publish("mf:wake", b"\xff\xfe")
    ping = ("-m", "celery", "-A", "tasks", "inspect", "ping", "--timeout", "2")
    eventually(lambda: "pong" in place.run(*ping).stdout, what="the worker replies")
    assert place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")["state"] == "done"
    assert skipped(place) == len(BROADCASTS)
    assert worker.poll() is None
    assert redis.xlen("mf:dead") == 0
    assert not re.search("Traceback|releaser failed|Connection to broker lost", place.worker_log)
