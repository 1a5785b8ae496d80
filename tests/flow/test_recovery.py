"""Recovery without the broker: its messages are lost, doubled or never come back, and every request still ends, once.

The broker's own remedy, the visibility timeout, is an hour here: what is handed on is handed on by the gate.
"""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from marketfetch.local.sandbox_process import start_sandbox
from tests.flow.conftest import LimitedJob, a_place
from tests.flow.test_releaser_stops import SHORT_LEASES
from tests.flow.test_ways_in import ASKED, answer
from tests.waiting import eventually

PATIENT = """
from tasks import app
patient = {**app.conf.broker_transport_options, "visibility_timeout": 3600}
app.conf.update(broker_transport_options=patient, result_backend_transport_options=patient, visibility_timeout=3600)
"""
DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")
SOON = SHORT_LEASES | {"MARKETFETCH_TIMINGS__HELD_AGAIN": "2", "MARKETFETCH_TIMINGS__SWEEP": "2"}
SYMBOLS = ("AAPL", "MSFT", "TSLA", "NVDA")
#: With the timings that are set when nobody sets them.
AT_MOST_S = 30


def patient_worker(place, *arguments: str, concurrency: int = 1, more: str = "", log: str = "worker.log"):
    """A worker of a small app of its own, whose broker gives nothing back for an hour."""
    (place.folder / "patient.py").write_text(PATIENT + more)
    path = place.folder / log
    ready = path.read_text().count(" ready.") if path.exists() else 0
    options = ("worker", "-c", str(concurrency), "--loglevel", "info", *arguments)
    process = place.celery(*options, log=log, app="patient")
    eventually(lambda: path.read_text().count(" ready.") > ready, within_s=30, what="worker ready")
    return process


def children(worker) -> list[psutil.Process]:
    return psutil.Process(worker.pid).children()


def tell(worker, number: signal.Signals) -> None:
    for child in children(worker):
        child.send_signal(number)


def submit(place, *symbols: str) -> str:
    done = place.marketfetch("fetch", "polygon", *symbols, *DAYS)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def stored(place) -> list[tuple]:
    return place.rows("SELECT symbol, outcome, calls FROM ledger ORDER BY symbol")


def once_each(*symbols: str) -> list[tuple]:
    return [(symbol, "stored", 1) for symbol in sorted(symbols)]


def stopped_with_messages(place, count: int):
    """A worker whose only child does not move, and `count` fetch messages that lie in the broker's list."""
    worker = patient_worker(place)
    tell(worker, signal.SIGSTOP)
    submit(place, *SYMBOLS)
    eventually(lambda: place.redis().llen("fetch.polygon") >= count, what=f"{count} messages in the broker")
    return worker


def test_fetch_messages_that_are_lost_are_sent_again_within_half_a_minute(place, sandbox):
    worker = stopped_with_messages(place, 3)
    assert place.redis().delete("fetch.polygon") == 1
    tell(worker, signal.SIGCONT)
    eventually(lambda: stored(place) == once_each(*SYMBOLS), within_s=AT_MOST_S, what="all are stored")
    assert sandbox.log()["calls"] == len(SYMBOLS)


def test_fetch_messages_that_come_twice_make_one_call_each(place, sandbox):
    place.env["MARKETFETCH_TIMINGS__START_BY"] = "3600"  # no grant expires, and so none is sent again
    worker = stopped_with_messages(place, 3)
    redis = place.redis()
    for raw in redis.lrange("fetch.polygon", 0, -1):
        redis.lpush("fetch.polygon", raw, raw)
    assert redis.llen("fetch.polygon") == 9
    tell(worker, signal.SIGCONT)
    eventually(lambda: stored(place) == once_each(*SYMBOLS), what="all are stored")
    submit(place, "AMZN")
    eventually(lambda: stored(place) == once_each(*SYMBOLS, "AMZN"), what="the only child has ended every message before it")
    assert (redis.llen("fetch.polygon"), sandbox.log()["calls"]) == (0, len(SYMBOLS) + 1)
    assert "Traceback" not in place.worker_log


def test_a_store_message_that_is_lost_is_sent_again_within_half_a_minute(place, sandbox):
    patient_worker(place, "-n", "fetching@%h", "-Q", "fetch.polygon")
    submit(place, *SYMBOLS)
    redis = place.redis()
    eventually(lambda: redis.llen("store") >= len(SYMBOLS), what="every batch waits to be stored")
    assert redis.delete("store") == 1
    assert stored(place) == []
    patient_worker(place, "-n", "storing@%h", "-Q", "store", log="storing.log")
    eventually(lambda: stored(place) == once_each(*SYMBOLS), within_s=AT_MOST_S, what="all are stored")
    assert sandbox.log()["calls"] == len(SYMBOLS)


def test_a_store_message_that_comes_twice_stores_once(place, sandbox):
    place.env["MARKETFETCH_TIMINGS__HELD_AGAIN"] = "3600"  # the messages that come twice are those that this test doubles
    patient_worker(place, "-n", "fetching@%h", "-Q", "fetch.polygon")
    job = submit(place, *SYMBOLS)
    redis = place.redis()
    eventually(lambda: redis.llen("store") == len(SYMBOLS), what="every batch waits to be stored")
    for raw in redis.lrange("store", 0, -1):
        redis.lpush("store", raw, raw)
    patient_worker(place, "-n", "storing@%h", "-Q", "store", concurrency=4, log="storing.log")
    eventually(lambda: stored(place) == once_each(*SYMBOLS), what="all are stored")
    eventually(lambda: (redis.llen("store"), redis.hlen("unacked")) == (0, 0), what="every message is taken")
    assert stored(place) == once_each(*SYMBOLS)
    assert place.status(job)["rows"] == place.rows("SELECT count(*) FROM bars")[0][0] == 4 * len(SYMBOLS)


def test_a_child_that_stood_still_past_its_lease_changes_nothing_when_it_moves_again(very_slow_place):
    place, sandbox = very_slow_place
    place.env |= SOON
    slow = patient_worker(place, "-n", "still@%h", concurrency=2)
    job = submit(place, *SYMBOLS)
    redis = place.redis()
    eventually(lambda: redis.zcard("mf:{polygon}:running") == 2, what="two calls are under way")
    eventually(lambda: sandbox.log()["calls"] == 2, what="the vendor has both")
    tell(slow, signal.SIGSTOP)
    patient_worker(place, "-n", "other@%h", concurrency=2)
    eventually(lambda: len(stored(place)) == 4, within_s=AT_MOST_S, what="the other worker has done all of it")
    tell(slow, signal.SIGCONT)
    slow.terminate()
    slow.wait()  # its children have ended what they were in
    eventually(lambda: place.status(job)["state"] == "done", what="the job is over")
    assert sorted(calls for _, _, calls in stored(place)) == [1, 1, 2, 2]
    assert place.status(job)["rows"] == place.rows("SELECT count(*) FROM bars")[0][0] == 4 * len(SYMBOLS)
    assert sandbox.log()["calls"] == 6


def test_a_worker_killed_with_messages_in_hand_needs_no_broker_to_give_them_back(place, sandbox):
    place.env |= SOON
    job = LimitedJob(place, sandbox, requests=60)
    worker = patient_worker(place, concurrency=4)
    job.submit()
    job.reaches(25, within_s=30)
    tell(worker, signal.SIGSTOP)
    eventually(lambda: place.redis().zcard("mf:{polygon}:running") > 0, what="calls are under way")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    patient_worker(place, concurrency=4)
    job.ends_whole(within_s=AT_MOST_S, extra_calls=4)


@pytest.fixture
def very_slow_place(tmp_path):
    """A place whose vendors take three seconds: time enough to stop a child in the middle of its call."""
    with (
        start_sandbox(seed=7, delay_out_ms=(3000, 3000)) as slow,
        a_place(tmp_path, vendors_url=slow.url, database_url="sqlite:///marketfetch.db") as found,
    ):
        yield found, slow.control


def ends(place, *symbols: str, more: str, within_s: float = 40) -> list[dict]:
    """The failures of a job whose worker has `more` in its app."""
    patient_worker(place, more=more, concurrency=2)
    job = submit(place, *symbols)
    eventually(lambda: place.status(job)["state"] != "running", within_s=within_s, what="the job is over")
    status = place.status(job)
    counts = status["requests"]
    assert counts["total"] == len(symbols) == counts["stored"] + counts["failed"], status
    found: list[dict] = status["failures"]
    return found


IN_OUR_CODE = """
import os, time
from marketfetch.vendors import reading
from celery.exceptions import Ignore, Reject
as_it_was = reading.read

def read(request, *args, **options):
    if request.symbol == "TSLA":
        {}
    return as_it_was(request, *args, **options)

reading.read = read
"""
DIED = "TSLA: its worker died three times while it ran. "
#: The third time it is known for what it does, so what came is kept before it is read.
KEPT = f"{DIED}What came is kept for a week: marketfetch dead reply polygon "
ENDS = {
    "an exception in our code": (
        "raise RuntimeError('a slip')",
        "TSLA: Fatal: marketfetch made a mistake (RuntimeError), see the worker's log.",
        1,
    ),
    "Ignore": ("raise Ignore", "TSLA: Fatal: marketfetch made a mistake (Ignore), see the worker's log.", 1),
    "Reject": ("raise Reject('no')", "TSLA: Fatal: marketfetch made a mistake (Reject), see the worker's log.", 1),
    "a reply that can't become a batch": (
        "page = as_it_was(request, *args, **options); return type(page)(series=page.series, next=object())",
        "TSLA: Fatal: marketfetch made a mistake (AttributeError), see the worker's log.",
        1,
    ),
    "worker lost": ("os.kill(os.getpid(), 9)", KEPT, 3),
    "soft exit": ("raise SystemExit(1)", KEPT, 3),
    "hard time limit": ("time.monotonic = time.time; time.sleep(60)", KEPT, 3),
}


@pytest.mark.parametrize("way", list(ENDS))
def test_however_a_request_ends_its_job_says_so_in_a_sentence(place, sandbox, way):
    place.env |= SOON
    code, sentence, calls = ENDS[way]
    limit = "\napp.conf.task_time_limit = 5\n" if way == "hard time limit" else ""
    (failure,) = ends(place, "AAPL", "TSLA", more=IN_OUR_CODE.format(code) + limit)
    if sentence == KEPT:
        sentence += place.rows("SELECT request_id FROM ledger WHERE symbol = 'TSLA'")[0][0]
    assert (failure["symbol"], failure["reason"]) == ("TSLA", sentence)
    assert stored(place) == [("AAPL", "stored", 1), ("TSLA", "failed", calls)]
    assert sandbox.log()["calls"] == 1 + calls
    done = place.marketfetch("status", *place.rows("SELECT id FROM jobs")[0])
    assert done.returncode == 1
    assert f"  failed: {sentence}\n" in done.stdout


def test_retries_that_are_exhausted_end_with_the_vendors_last_word(place, sandbox):
    place.env |= SOON | {"MARKETFETCH_RETRIES__MOST": "1"}
    sandbox.faults(kind="503", provider="polygon", symbol="TSLA", count=100)
    (failure,) = ends(place, "AAPL", "TSLA", more="")
    assert failure["reason"].startswith("TSLA: Unavailable: ")
    assert stored(place) == [("AAPL", "stored", 1), ("TSLA", "failed", 2)]


KILLER = """
import os
from tasks import storing
as_it_was = storing.written

def written(waiting):
    if any(one.ledger.symbol == "TSLA" and one.ledger.outcome == "stored" for one in waiting.values()):
        open("kills", "a").write("x")
        os.kill(os.getpid(), 9)
    return as_it_was(waiting)

storing.written = written
"""


def test_a_batch_that_kills_whoever_stores_it_ends_as_failed_and_is_kept(place, sandbox):
    place.env |= SOON
    (failure,) = ends(place, "AAPL", "TSLA", more=KILLER)
    request = place.rows("SELECT request_id FROM ledger WHERE symbol = 'TSLA'")[0][0]
    assert failure["reason"] == (
        "TSLA: the worker that stored its batch crashed, 5 times. "
        f"What came is kept for a week: marketfetch dead reply polygon {request}"
    )
    assert sandbox.log()["calls"] == 2
    # Each try is given the time in which it would have ended, so that no worker is killed again and again at once.
    assert (place.folder / "kills").read_text() == "x" * 5
    assert place.redis().zcard("mf:{polygon}:held") == 0


def test_a_reply_that_kills_whoever_reads_it_is_kept_as_it_came(place, sandbox):
    place.env |= SOON
    code, _, _ = ENDS["worker lost"]
    (failure,) = ends(place, "TSLA", more=IN_OUR_CODE.format(code))
    sentence, _, command = failure["reason"].partition("What came is kept for a week: marketfetch ")
    assert sentence == "TSLA: its worker died three times while it ran. "
    kept = place.marketfetch(*command.split())
    body = json.loads(kept.stdout)
    assert (body["ticker"], body["resultsCount"]) == ("TSLA", 4)
    (place.folder / "kept.json").write_text(kept.stdout)
    read = json.loads(place.marketfetch("read", "polygon", "bars", "kept.json", "--json").stdout)
    assert (read["outcome"], read["rows"]) == ("rows", 4)
    gone = place.marketfetch("dead", "reply", "polygon", "nobody")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "Nothing is kept of request nobody of polygon" in gone.stderr


UNREADABLE = """
from marketfetch.jobs import batches
as_it_was = batches.encode
def encode(batch, **more):
    data = as_it_was(batch, **more)
    return {} if batch.ledger.symbol == "TSLA" else data
batches.encode = encode
# The child that has fetched it has it in memory; any other process has to decode it.
from tasks import storing
storing.stores_itself = lambda task: False
"""


@pytest.mark.parametrize(
    "data",
    [
        "data[:-9]",
        "b''",
        "__import__('zlib').compress(b'\\x00\\x00\\x00\\x02{}')",
        # Of a release that calls a field otherwise.
        "__import__('zlib').compress((b := __import__('zlib').decompress(data).replace(b'\"reason\"', b'\"raeson\"')))",
    ],
    ids=["cut", "empty", "of no version", "of another release"],
)
def test_a_batch_that_nobody_can_decode_ends_with_a_sentence(place, sandbox, data):
    place.env |= SOON
    (failure,) = ends(place, "AAPL", "TSLA", more=UNREADABLE.format(data))
    assert failure["reason"].startswith("TSLA: ")
    assert failure["reason"].endswith("Look at the worker's log around its last call.")
    assert stored(place) == [("AAPL", "stored", 1), ("TSLA", "failed", 1)]


LINK = """
from celery.exceptions import Ignore, Reject
@app.task(name="links.own", queue="celery")
def own(ref):
    {}
    return ref
"""


@pytest.mark.parametrize("code", ["raise RuntimeError('mine')", "raise Ignore", "raise Reject('no')"])
def test_a_link_of_ones_own_that_fails_between_fetch_and_store_loses_nothing(place, sandbox, code):
    place.env |= SOON
    job = submit(place, "MSFT")
    patient_worker(place, more=LINK.format(code), concurrency=2)
    sent = f"(polygon.s('AAPL', {ASKED}) | app.signature('links.own', queue='celery') | store_batch.s()).apply_async()"
    answer(place, f"answer = {sent}.id")
    eventually(lambda: stored(place) == once_each("AAPL", "MSFT"), within_s=AT_MOST_S, what="both are stored")
    eventually(lambda: place.redis().zcard("mf:{polygon}:held") == 0, what="nothing is held")
    assert place.status(job)["state"] == "done"
    assert json.dumps(place.worker_log).count("Task links.own") <= 4
