"""Jobs survive an emptied Redis and a killed submitter; a person cancels, resumes and retries them."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from tests.flow.conftest import SECRETS, LimitedJob
from tests.flow.test_recovery import DAYS, SOON, once_each, stored, submit
from tests.flow.test_releaser import calm
from tests.flow.test_releaser_stops import REMAPPED
from tests.waiting import early_in_a_minute, eventually

#: No sweep of its own accord within a test.
SELDOM = {"MARKETFETCH_TIMINGS__SWEEP": "3600"}


def calls_of(sandbox) -> Counter[str]:
    """How often each symbol was asked for."""
    logs = sandbox.log(full=True)["providers"].get("polygon", {}).values()
    return Counter(symbol for log in logs for _, symbol in log["arrivals"])


def over(place) -> set[str]:
    return {symbol for (symbol,) in place.rows("SELECT symbol FROM ledger")}


def refused(done) -> str:
    """What a command that could not do it says: one sentence, exit code 1."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert "should not happen" not in line
    return str(line)


def half_done(place, sandbox, *, requests: int = 100) -> LimitedJob:
    job = LimitedJob(place, sandbox, requests=requests)
    place.worker()
    job.submit()
    job.reaches(requests // 3, within_s=40)
    return job


def whole_and_nothing_twice(job: LimitedJob, before: set[str], *, within_s: float) -> None:
    """Whatever was over before the loss was called once; what was on its way then, twice at most."""
    assert before
    job.ends_whole(within_s=within_s, extra_calls=100)
    calls = calls_of(job.sandbox)
    assert {symbol for symbol in before if calls[symbol] != 1} == set()
    assert max(calls.values()) <= 2


def test_an_emptied_redis_is_repaired_by_itself_within_a_minute(place, sandbox):
    job = half_done(place, sandbox)
    before = over(place)
    place.redis().flushall()
    eventually(lambda: len(over(place)) > len(before) + 8, within_s=60, what="it goes on")
    whole_and_nothing_twice(job, before, within_s=60)
    calm(place, lines=12)


def test_what_was_stored_in_the_seconds_that_the_append_only_file_lacks_is_not_made_again(place, sandbox):
    """A machine loses its power: on its disk stands what was in the file two seconds before."""
    job = half_done(place, sandbox)
    folder = place.valkey.folder
    shutil.copytree(folder / "appendonlydir", folder / "on the disk")
    known = len(over(place))
    job.reaches(known + 15, within_s=20)
    place.valkey.kill()
    before = over(place)
    shutil.rmtree(folder / "appendonlydir")
    (folder / "on the disk").rename(folder / "appendonlydir")
    place.restart_valkey()
    whole_and_nothing_twice(job, before, within_s=60)


@pytest.mark.parametrize("named", [True, False], ids=["resume JOB", "resume"])
def test_an_emptied_redis_is_repaired_at_once_by_resume(place, sandbox, named):
    """While no worker runs, so that it is resume and nothing else."""
    place.env |= SELDOM | REMAPPED
    job = LimitedJob(place, sandbox, requests=100)
    worker = place.worker()
    job.submit()
    job.reaches(33, within_s=40)
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=300)
    before = over(place)
    ((name,),) = place.rows("SELECT id FROM jobs")
    place.redis().flushall()
    done = place.marketfetch("resume", *([name] if named else []))
    assert (done.returncode, done.stdout) == (0, f"{name}: {100 - len(before)} requests go on.\n")
    assert place.redis().zcard("mf:{polygon}:ready") == 100 - len(before)
    done = place.marketfetch("resume", *([name] if named else []))
    assert done.stdout.startswith(f"{name}: nothing ")
    place.worker()
    whole_and_nothing_twice(job, before, within_s=60)
    assert place.marketfetch("resume").stdout.startswith("No job is open, so there is nothing to resume.")


def test_what_is_empty_or_failed_is_not_asked_again_after_redis_was_emptied(place, sandbox):
    place.env |= SOON | {"MARKETFETCH_RETRIES__MOST": "0"}
    sandbox.faults(kind="500", provider="polygon", symbol="TSLA", count=1)
    place.worker()
    # Before the symbol was listed: no bars.
    early = place.fetch("polygon", "AAPL", start="1995-01-03", end="1995-01-06")
    failed = place.fetch("polygon", "TSLA", "MSFT", start="2024-01-02", end="2024-01-05")
    place.redis().flushall()
    after = place.fetch("polygon", "NVDA", start="2024-01-02", end="2024-01-05")
    assert [one["state"] for one in (early, failed, after)] == ["done", "failed", "done"]
    assert place.marketfetch("resume", failed["job"]).stdout.startswith(f"{failed['job']}: nothing is left to do")
    assert calls_of(sandbox) == {"AAPL": 1, "TSLA": 1, "MSFT": 1, "NVDA": 1}


KILLED = """
import os, signal
from datetime import date
import marketfetch
from marketfetch.jobs import submission
submission.feed = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
marketfetch.submit("polygon", ["AAPL", "MSFT"], start=date(2024, 1, 2), end=date(2024, 1, 5))
"""


def test_a_job_whose_submitter_was_killed_before_it_parked_goes_on_by_itself(place, sandbox):
    place.env |= SOON
    assert place.run("-c", KILLED).returncode == -signal.SIGKILL
    assert place.redis().keys("mf:*") == []
    ((job,),) = place.rows("SELECT id FROM jobs")
    place.worker()
    eventually(lambda: stored(place) == once_each("AAPL", "MSFT"), what="both are stored")
    assert place.status(job)["state"] == "done"


MANY = """
import json
from datetime import date
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.storage.store import Job
from marketfetch import connections
from marketfetch.jobs import feeding
from marketfetch.jobs.planning import make_spec, plan

symbols = [f"{a}{b}{c}" for a in "ABCDEF" for b in "ABCDE" for c in "ABCDE"][:101]
spec = make_spec("polygon", symbols, start=date(2007, 1, 1), end=date(2023, 10, 31), timespan="1h", dataset="bars", again=False,
                 adjustment="raw")
requests = plan(spec)
store, gate = connections.store(), connections.gate("polygon")
job = Job(spec.id, spec.model_dump_json(), 1)
store.save_job(job, [one.root for one in requests], arguments=[one.arguments for one in requests])
lane = lambda: [one.decode() for one in gate.redis.zrange(gate.prefix + "ready", 0, -1)]

def end(some):
    row = lambda one: LedgerRow(one.id, one.root, 0, "polygon", one.symbol, "empty")
    store.store([Batch(ledger=row(one)) for one in some])
    for one in some:
        gate.settle(one.id)

parked = [feeding.feed(store, job)]
first = lane() == [one.id for one in requests[:10_000]]
parked.append(feeding.sweep())
gate.redis.delete("mf:sweeping")
end(requests[:4_000])
parked.append(feeding.sweep())
gate.redis.delete("mf:sweeping")
end(requests[4_000:6_000])
parked.append(feeding.sweep())
gate.redis.delete("mf:sweeping")
rest = lane() == [one.id for one in requests[6_000:]]
end(requests[6_000:])
parked.append(feeding.sweep())
print(json.dumps([len(requests), parked, first, rest, len(lane()), len(store.open_jobs())]))
"""


def test_a_job_larger_than_what_stands_in_redis_is_fed_in_portions_in_the_order_of_its_plan(place):
    done = place.run("-c", MANY)
    assert done.returncode == 0, done.stderr
    total, parked, first, rest, left, still_open = json.loads(done.stdout.splitlines()[-1])
    assert total == 10_201
    # Nothing while half of what stands ahead is there: planning a large job costs a second.
    assert parked == [10_000, 0, 0, 201, 0]
    assert (first, rest, left, still_open) == (True, True, 0, 0)


def test_cancel_ends_what_waits_and_lets_end_what_runs_and_resume_goes_on(slow_place):
    place, sandbox = slow_place
    job = LimitedJob(place, sandbox, requests=60)
    place.worker()
    job.submit()
    ((name,),) = place.rows("SELECT id FROM jobs")
    eventually(lambda: job.over() > 4 and place.redis().zcard("mf:{polygon}:running") > 1, what="calls are under way")
    done = place.marketfetch("cancel", name)
    assert done.returncode == 0, done.stderr
    assert f"`marketfetch resume {name}` lets it go on." in done.stderr
    calls = sandbox.log()["calls"]
    eventually(lambda: place.status(name)["state"] == "cancelled", what="what ran has ended")
    counts = place.status(name)["requests"]
    assert counts["stored"] == sandbox.log()["calls"] <= calls + 1
    assert counts == {**counts, "total": 60, "parked": 0, "running": 0, "failed": 0, "cancelled": 60 - counts["stored"]}
    done = place.marketfetch("status", name)
    assert done.returncode == 1
    assert f"job {name} is cancelled" in done.stdout
    assert not job.left()
    assert place.marketfetch("resume").stdout.startswith("No job is open, so there is nothing to resume.")
    done = place.marketfetch("resume", name)
    assert done.stdout == f"{name}: {counts['cancelled']} requests go on.\n"
    job.ends_whole(within_s=60, extra_calls=0)
    assert place.marketfetch("status", name).returncode == 0
    assert "Nothing was cancelled: every request of the job was over already." in place.marketfetch("cancel", name).stderr


def test_who_waits_for_a_job_that_is_cancelled_is_told_by_its_exit_code(place):
    waiting = place.celery("-q", "marketfetch", "fetch", "polygon", "AAPL", *DAYS, "--wait", log="waiting.log")
    redis = place.redis()
    eventually(lambda: redis.zcard("mf:{polygon}:ready"), within_s=30, what="the job is parked")
    ((name,),) = place.rows("SELECT id FROM jobs")
    assert place.marketfetch("cancel", name).returncode == 0
    assert waiting.wait(timeout=300) == 1
    assert "is cancelled" in (place.folder / "waiting.log").read_text()


def test_pages_of_a_cancelled_job_are_not_continued_until_it_goes_on(slow_place):
    place, sandbox = slow_place
    place.env["MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT"] = "50"
    place.worker()
    name = place.marketfetch("fetch", "polygon", "MSFT", "--start", "2023-01-03", "--end", "2023-12-29").stdout.strip()
    eventually(lambda: place.redis().zcard("mf:{polygon}:running") > 0, what="a page is asked for")
    assert place.marketfetch("cancel", name).returncode == 0
    eventually(lambda: place.status(name)["state"] == "cancelled", what="what ran has ended")
    calls = sandbox.log()["calls"]
    assert any(cursor for (cursor,) in place.rows("SELECT next_cursor FROM ledger")), "a page named another one"
    assert place.redis().keys("mf:*req:*") == []
    place.marketfetch("resume", name)
    eventually(lambda: place.status(name)["state"] == "done", within_s=40, what="it is done")
    assert sandbox.log()["calls"] == len(place.rows("SELECT 1 FROM ledger")) > calls
    assert place.rows("SELECT count(*), count(DISTINCT ts) FROM bars") == [(250, 250)]


def test_what_another_job_shares_goes_on_when_one_is_cancelled(place, sandbox):
    first = submit(place, "AAPL", "MSFT")
    second = submit(place, "MSFT", "TSLA")
    assert place.redis().zcard("mf:{polygon}:ready") == 3
    assert place.marketfetch("cancel", first).returncode == 0
    assert place.redis().zcard("mf:{polygon}:ready") == 2
    assert place.status(first)["requests"]["cancelled"] == 2
    place.worker()
    eventually(lambda: place.status(second)["state"] == "done", what="the other job is done")
    assert stored(place) == once_each("MSFT", "TSLA")
    state = place.status(first)
    assert (state["state"], state["requests"]["stored"], state["requests"]["cancelled"]) == ("cancelled", 1, 1)
    assert sandbox.log()["calls"] == 2


def test_retry_makes_the_failed_ones_again_and_no_other(place, sandbox):
    place.env["MARKETFETCH_RETRIES__MOST"] = "0"
    sandbox.faults(kind="500", provider="polygon", symbol="TSLA", count=1)
    place.worker()
    status = place.fetch("polygon", "AAPL", "TSLA", start="2024-01-02", end="2024-01-05")
    assert status["state"] == "failed"
    done = place.marketfetch("retry", status["job"])
    assert (done.returncode, done.stdout) == (0, f"1 failed request of {status['job']} is to be made again.\n")
    eventually(lambda: place.status(status["job"])["state"] == "done", what="it is done")
    assert calls_of(sandbox) == {"AAPL": 1, "TSLA": 2}
    assert place.marketfetch("retry", status["job"]).stdout == f"No request of {status['job']} has failed.\n"


def test_the_same_wish_twice_within_a_minute_is_one_job_unless_again(place):
    early_in_a_minute()
    names = [submit(place, "AAPL"), submit(place, "AAPL")]
    done = place.marketfetch("fetch", "polygon", "AAPL", *DAYS, "--again")
    assert names[0] == names[1] != done.stdout.strip()
    assert len(place.rows("SELECT id FROM jobs")) == 2
    assert place.redis().zcard("mf:{polygon}:ready") == 2


@pytest.mark.parametrize("verb", ["status", "cancel", "resume", "retry"])
def test_a_job_that_is_not_there_is_said_with_a_hint(place, verb):
    assert f"{place.folder}/marketfetch.db does not exist" in refused(place.marketfetch(verb, "nothing"))
    name = submit(place, "AAPL")
    assert "`marketfetch status` lists the latest ones" in refused(place.marketfetch(verb, "nothing"))
    nearly = f"{name[:-1]}{'0' if name[-1] != '0' else '1'}"
    assert f"There is no job {nearly!r}. Did you mean {name}?" in refused(place.marketfetch(verb, nearly))


@pytest.mark.parametrize("verb", ["cancel", "resume", "retry"])
def test_with_redis_away_a_job_is_not_steered_and_the_sentence_says_what_is_so(place, sandbox, verb):
    place.env["MARKETFETCH_RETRIES__MOST"] = "0"
    sandbox.faults(kind="500", provider="polygon", symbol="AAPL", count=1)
    if verb == "cancel":  # a job that is over stays as it is, which needs no Redis
        days = ("--start", "2024-01-02", "--end", "2024-01-05")
        name = place.marketfetch("fetch", "polygon", "AAPL", *days).stdout.strip()
    else:
        place.worker()
        name = place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")["job"]
    if verb == "resume":
        place.marketfetch("cancel", name)
    before = place.rows("SELECT (SELECT count(*) FROM ledger), cancelled_at FROM jobs")
    place.env["MARKETFETCH_REDIS_URL"] = "redis://127.0.0.1:1/0"
    sentence = refused(place.marketfetch(verb, name))
    assert "Redis does not answer" in sentence
    if verb == "cancel":
        assert "what is parked leaves the lane when a worker finds Redis again" in sentence
    else:
        assert "nothing was" in sentence
        assert place.rows("SELECT (SELECT count(*) FROM ledger), cancelled_at FROM jobs") == before


def test_a_job_that_was_cancelled_while_redis_was_away_makes_no_call_afterwards(place, sandbox):
    name = place.marketfetch("fetch", "polygon", "AAPL", "MSFT", "--start", "2024-01-02", "--end", "2024-01-05").stdout.strip()
    redis_url = place.env["MARKETFETCH_REDIS_URL"]
    place.env["MARKETFETCH_REDIS_URL"] = "redis://127.0.0.1:1/0"
    refused(place.marketfetch("cancel", name))
    place.env["MARKETFETCH_REDIS_URL"] = redis_url
    assert place.redis().zcard("mf:{polygon}:ready") == 2
    place.worker()
    eventually(lambda: place.redis().zcard("mf:{polygon}:ready") == 0, what="it has left the lane")
    assert place.status(name)["requests"]["cancelled"] == 2
    assert sandbox.log()["calls"] == 0


@pytest.mark.parametrize("verb", ["status", "cancel", "resume", "retry", "fetch"])
def test_with_the_database_away_the_sentence_says_where_it_was_sought(place, verb):
    place.env["MARKETFETCH_DATABASE_URL"] = f"postgresql://nobody:{SECRETS['polygon']}@127.0.0.1:1/none"
    words = ("polygon", "AAPL", *DAYS) if verb == "fetch" else ("0123456789abcdef",)
    sentence = refused(place.marketfetch(verb, *words))
    assert "127.0.0.1:1/none can't be reached" in sentence
    assert SECRETS["polygon"] not in sentence
    assert place.redis().keys("mf:*") == []


def test_a_cancelled_job_whose_call_was_refused_makes_no_further_call(place, sandbox):
    place.env |= {"MARKETFETCH_RETRIES__BACKOFF": "600", "MARKETFETCH_RETRIES__BACKOFF_MAX": "600"}
    sandbox.faults(kind="500", provider="polygon", symbol="AAPL", count=100)
    place.worker()
    name = submit(place, "AAPL")
    eventually(lambda: place.redis().zcard("mf:{polygon}:delayed") == 1, what="it waits for its second try")
    assert place.marketfetch("cancel", name).returncode == 0
    assert place.redis().zcard("mf:{polygon}:delayed") == 0
    assert place.status(name)["state"] == "cancelled"


def test_a_database_that_another_program_reads_stops_nobody(place):
    name = submit(place, "AAPL")
    with closing(sqlite3.connect(place.folder / "marketfetch.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM jobs").fetchall()
        assert place.marketfetch("cancel", name).returncode == 0
        assert place.status(name)["state"] == "cancelled"
