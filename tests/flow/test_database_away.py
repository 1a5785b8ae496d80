"""The database is away, locked, read-only or full: what was fetched is kept, no more is fetched, and it goes on by itself."""

from __future__ import annotations

import json
import re
import resource
import signal
import sqlite3
import threading
import time
from contextlib import closing, suppress

import psutil
import pytest

from marketfetch.local.postgres_server import start_postgres
from tests.flow.conftest import LimitedJob, a_place
from tests.flow.test_releaser import wait_until
from tests.quotas.steps import NOON
from tests.waiting import eventually

AWAY_S = 10
#: Four slots: a call each, and what they store meanwhile.
OPEN = 4


def children(worker) -> list[psutil.Process]:
    return psutil.Process(worker.pid).children()


def told(place) -> list[str]:
    """The lines about the database that are more than news."""
    loud = [line for line in place.worker_log.splitlines() if re.match(r"\S+Z \[(warning|error|critical)", line)]
    return [line for line in loud if "database" in line]


def held(place) -> int:
    return int(place.redis().zcard("mf:{polygon}:held"))


def stands_still(place, sandbox, *, until: float) -> None:
    """What was open comes to its end, and then not one call more is made. All that came is held."""
    eventually(lambda: place.redis().hexists("mf:{polygon}:counts", "away"), within_s=60, what="a batch could not be stored")
    eventually(lambda: place.redis().zcard("mf:{polygon}:granted") == 0, within_s=15, what="what was granted has started")
    eventually(lambda: place.redis().zcard("mf:{polygon}:running") == 0, within_s=15, what="what was open has ended")
    calls, batches = sandbox.log()["calls"], held(place)
    wait_until(max(until, time.monotonic() + 3))
    assert sandbox.log()["calls"] == calls
    assert held(place) == batches > 0
    ((waiting,),) = [place.redis().mget(["mf:trouble:database"])]
    assert b"What was fetched is kept, nothing more is fetched, and it goes on by itself." in waiting


def one_line_each(place, words: str, *, processes: int) -> None:
    """A process says once that the database is away and once that it is back, whatever it holds."""
    lines = [line for line in told(place) if " waits for the database" in line]
    assert 1 <= len(lines) <= processes, lines
    assert all(words in line for line in lines), lines
    assert len(told(place)) <= 2 * processes, told(place)
    assert "Traceback" not in place.worker_log


def test_postgres_is_stopped_for_ten_seconds(tmp_path, sandbox):
    with (
        start_postgres(tmp_path / "pg") as postgres,
        a_place(tmp_path, vendors_url=sandbox.url, database_url=postgres.database("market")) as place,
    ):
        place.env["MARKETFETCH_TIMINGS__SWEEP"] = "2"
        job = LimitedJob(place, sandbox, requests=100)
        place.worker(concurrency=OPEN)
        job.submit()
        job.reaches(30, within_s=40)
        ((name,),) = place.rows("SELECT id FROM jobs")
        postgres.kill()
        stands_still(place, sandbox, until=time.monotonic() + AWAY_S)
        done = place.marketfetch("status", name)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: The database can't be used: the database postgresql://")
        assert "can't be reached" in done.stderr
        postgres.restart()
        job.ends_whole(within_s=60, extra_calls=0)
        # Four children, the sweeper.
        one_line_each(place, "see that it runs and takes connections", processes=OPEN + 1)


@pytest.fixture
def hang():
    """Stops all processes of a Postgres, or lets them go on: it still takes connections, and no answer comes."""
    stopped: list[psutil.Process] = []

    def stop(postgres, now: bool) -> None:
        if now:
            head = psutil.Process(postgres.process.pid)
            stopped[:] = [head, *head.children(recursive=True)]
        for one in stopped:
            with suppress(psutil.NoSuchProcess):  # a session that goes on finds that nobody waits any more
                one.send_signal(signal.SIGSTOP if now else signal.SIGCONT)

    yield stop
    stop(None, False)


def test_postgres_hangs_and_it_is_an_outage_like_any_other(tmp_path, sandbox, hang):
    with (
        start_postgres(tmp_path / "pg") as postgres,
        a_place(tmp_path, vendors_url=sandbox.url, database_url=postgres.database("market")) as place,
    ):
        job = LimitedJob(place, sandbox, requests=300)
        place.worker(concurrency=OPEN)
        job.submit()
        job.reaches(30, within_s=40)
        ((name,),) = place.rows("SELECT id FROM jobs")
        hang(postgres, True)
        began = time.monotonic()
        eventually(lambda: place.redis().exists("mf:trouble:database"), within_s=45, what="it is noticed")
        sentence = place.redis().mget(["mf:trouble:database"])[0] or b""
        # The one of a child that was connected, and the one of a child that was not: which has the turn is chance.
        assert b"takes connections and does not answer" in sentence or b"connection timeout expired" in sentence
        # Nobody fetched on while it was not noticed: what was granted then waits in a few messages.
        assert place.redis().llen("fetch.polygon") <= 4 * 4 * OPEN
        stands_still(place, sandbox, until=began + 45)
        done = place.marketfetch("status", name, timeout=300)
        assert done.stderr.startswith("Error: The database can't be used: the database postgresql://")
        hang(postgres, False)
        job.ends_whole(within_s=90, extra_calls=0)
        # Four children, the sweeper.
        one_line_each(place, "database", processes=OPEN + 1)
        assert "TimeLimitExceeded" not in place.worker_log


def test_sqlite_is_locked_for_ten_seconds_by_another_program(place, sandbox):
    job = LimitedJob(place, sandbox, requests=100)
    place.worker(concurrency=OPEN)
    job.submit()
    job.reaches(30, within_s=40)
    ((name,),) = place.rows("SELECT id FROM jobs")
    with closing(sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (before,) = other.execute("SELECT count(*) FROM ledger").fetchone()
        asked: list[dict] = []
        asking = threading.Thread(target=lambda: asked.append(place.status(name)))
        asking.start()
        wait_until(time.monotonic() + AWAY_S)
        # Whoever stores waits for the lock, and does not fetch meanwhile.
        assert place.rows("SELECT count(*) FROM ledger") == [(before,)]
        other.execute("COMMIT")
        asking.join(timeout=300)
    assert asked[0]["requests"]["total"] == 100
    job.ends_whole(within_s=60, extra_calls=0)
    assert told(place) == []
    assert "Traceback" not in place.worker_log


def test_a_failure_that_waits_for_the_database_is_no_success_meanwhile(place, sandbox):
    place.env |= {"MARKETFETCH_RETRIES__MOST": "0", "MARKETFETCH_TIMINGS__HELD_AGAIN": "2"}
    sandbox.faults(kind="500", provider="polygon", count=1)
    place.worker()
    locked = sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)
    eventually(lambda: locked.execute("SELECT count(*) FROM sqlite_master").fetchone()[0], what="the tables are there")
    locked.execute("BEGIN IMMEDIATE")
    code = (
        "from tasks.fetch import polygon\n"
        "task = polygon.delay('AAPL', start='2024-01-02', end='2024-01-05')\n"
        "try:\n    task.get(timeout=300)\nexcept Exception as error:\n    print(task.id, error)"
    )
    name, _, reason = place.run("-c", code).stdout.partition(" ")
    assert "500" in reason
    states = f"from tasks import app; print(app.AsyncResult('{name}').state)"
    eventually(lambda: tries(place) >= 2, within_s=15, what="its batch is offered again")
    assert place.run("-c", states).stdout.strip() == "FAILURE"
    locked.execute("ROLLBACK")
    locked.close()
    eventually(lambda: place.rows("SELECT outcome FROM ledger") == [("failed",)], within_s=60, what="it is in the ledger")
    assert place.run("-c", states).stdout.strip() == "FAILURE"


def tries(place) -> int:
    """How often somebody has begun to store the one batch that is held."""
    redis = place.redis()
    found = [redis.hget(f"mf:{{polygon}}:req:{one.decode()}", "u") for one in redis.zrange("mf:{polygon}:held", 0, -1)]
    return sum(int(one.partition(b":")[0]) for one in found if one)


def test_sqlite_is_locked_for_longer_than_anybody_waits(place, sandbox):
    """Stores wait for 30 s; then their batches are held, and nothing is fetched until one is stored again."""
    job = LimitedJob(place, sandbox, requests=100)
    place.worker(concurrency=OPEN)
    job.submit()
    job.reaches(30, within_s=40)
    ((name,),) = place.rows("SELECT id FROM jobs")
    with closing(sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        eventually(lambda: place.redis().exists("mf:trouble:database"), within_s=45, what="the operator is told")
        # Who only looks does not wait for the lock.
        trouble = json.loads(place.marketfetch("status", name, "--json", timeout=15).stdout)["trouble"]
        other.execute("COMMIT")
    # It was said a moment ago, and would stand for a minute.
    eventually(lambda: not place.redis().exists("mf:trouble:database"), within_s=30, what="it is no more said")
    assert any("stays locked by another program" in sentence and "goes on by itself" in sentence for sentence in trouble)
    job.ends_whole(within_s=80, extra_calls=0)
    one_line_each(place, "stays locked by another program", processes=OPEN + 1)


@pytest.fixture
def limits():
    """Sets how large a file each of some processes may make, in bytes; -1 lifts it. What a full disk looks like to them."""
    touched: list[psutil.Process] = []

    def limit(processes: list[psutil.Process], most: int) -> None:
        for one in processes:
            one.rlimit(psutil.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            touched.append(one)

    return limit


def test_the_disk_is_full_for_ten_seconds(place, sandbox, limits):
    job = LimitedJob(place, sandbox, requests=100)
    worker = place.worker(concurrency=OPEN)
    job.submit()
    job.reaches(30, within_s=40)
    ((name,),) = place.rows("SELECT id FROM jobs")
    log = (place.folder / "marketfetch.db-wal").stat().st_size
    assert log > 4 * (place.folder / "worker.log").stat().st_size
    limits(children(worker), log)
    stands_still(place, sandbox, until=time.monotonic() + AWAY_S)
    sentences = [one for one in place.status(name)["trouble"] if "goes on by itself" in one]
    assert len(sentences) == 1
    assert "free space" in sentences[0]
    limits(children(worker), resource.RLIM_INFINITY)
    job.ends_whole(within_s=60, extra_calls=0)
    one_line_each(place, "free space", processes=OPEN)


#: Children as a user's: to root every file is writable, unless it gives that right up.
LIKE_A_USER = """
import ctypes
from celery.signals import worker_process_init
from tasks import app

@worker_process_init.connect
def give_up_every_right(**_):
    version_3, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(version_3, nothing) == 0
"""


def test_a_file_that_may_only_be_read_is_waited_for(place, sandbox):
    job = LimitedJob(place, sandbox, requests=60)
    (place.folder / "user.py").write_text(LIKE_A_USER)
    job.submit()
    place.marketfetch("quotas", "pause", "main")
    place.celery("worker", "-c", f"{OPEN}", "--loglevel", "info", log="worker.log", app="user")
    # Its children open the file when they have something to store, the sweeper does at once.
    eventually(lambda: place.redis().exists("mf:{polygon}:epoch"), within_s=30, what="the worker is at work")
    file = place.folder / "marketfetch.db"
    file.chmod(0o444)
    place.marketfetch("quotas", "resume", "main")
    stands_still(place, sandbox, until=time.monotonic() + AWAY_S)
    assert place.rows("SELECT count(*) FROM ledger") == [(0,)]
    file.chmod(0o644)
    job.ends_whole(within_s=60, extra_calls=0)
    one_line_each(place, "is read-only: give this user write permission", processes=OPEN + 1)


def test_a_call_that_has_to_be_marked_waits_for_the_database(place, sandbox):
    """A day's calls are marked before they are made. Its grants go back meanwhile, and count nothing."""
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = f'["5/day@{NOON}"]'
    place.worker(concurrency=OPEN)
    place.marketfetch("quotas", "pause", "main", "--provider", "polygon")
    place.marketfetch("fetch", "polygon", "AAPL", "MSFT", "TSLA", "--start", "2024-01-02", "--end", "2024-01-05")
    with closing(sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        place.marketfetch("quotas", "resume", "main", "--provider", "polygon")
        eventually(lambda: "releaser waits for the database" in place.worker_log, within_s=20, what="the operator is told")
        wait_until(time.monotonic() + AWAY_S)
        assert sandbox.log()["calls"] == 0
        other.execute("COMMIT")
    eventually(lambda: len(place.rows("SELECT 1 FROM ledger")) == 3, within_s=40, what="it goes on by itself")
    assert sandbox.log()["calls"] == 3
    (counter,) = place.redis().keys("mf:{polygon}:day:*")
    assert place.redis().get(counter) == b"3"
    one_line_each(place, "stays locked by another program", processes=1)
