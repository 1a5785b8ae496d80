"""What parks what is to do of jobs: one that can't be read, sweeps that follow one another, late looks at the ledger."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.flow.conftest import end_group
from tests.flow.test_recovery import SOON, once_each, stored, submit
from tests.flow.test_steering import SELDOM, calls_of, refused
from tests.waiting import eventually


def damage(place, job: str, spec: str) -> None:
    with closing(sqlite3.connect(place.folder / "marketfetch.db")) as database, database:
        assert database.execute("UPDATE jobs SET spec = ? WHERE id = ?", (spec, job)).rowcount == 1


def of_another_release(place, job: str) -> str:
    ((spec,),) = place.rows(f"SELECT spec FROM jobs WHERE id = '{job}'")
    return json.dumps({**json.loads(spec), "field_of_the_next_release": 1})


def ran(place, script: str) -> Any:
    """What a script prints last, as JSON."""
    done = place.run("-c", script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- a job that can't be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["of another release", "damaged"])
def test_a_job_that_can_not_be_read_is_said_and_the_others_are_repaired(place, sandbox, how):
    """The unreadable one is the older one: it is looked at first."""
    place.env |= SOON
    broken = submit(place, "AAPL")
    whole = submit(place, "MSFT")
    damage(place, broken, of_another_release(place, broken) if how == "of another release" else '{"provider": "poly')
    place.redis().flushall()
    place.worker()
    eventually(lambda: stored(place) == once_each("MSFT"), what="the other one is repaired and done")
    assert place.status(whole)["state"] == "done"
    assert calls_of(sandbox) == {"MSFT": 1}
    sentence = f"Job {broken} can't be read ("
    assert place.status(whole)["trouble"] == []
    state = place.status(broken)
    assert [one.startswith(sentence) for one in state["trouble"]] == [True]
    assert (state["provider"], state["requests"]["parked"]) == ("unknown", 1)
    assert "Traceback" not in place.worker_log
    done = place.marketfetch("status")
    assert done.returncode == 0
    assert broken in done.stdout
    assert whole in done.stdout
    assert sentence in done.stderr
    listed = {one["job"]: one for one in json.loads(place.marketfetch("status", "--json").stdout)["jobs"]}
    assert listed[broken]["trouble"].startswith(sentence)
    assert "trouble" not in listed[whole]


def test_resume_goes_on_with_the_jobs_behind_one_that_can_not_be_read(place):
    broken, whole = submit(place, "AAPL"), submit(place, "MSFT")
    damage(place, broken, of_another_release(place, broken))
    place.redis().flushall()
    done = place.marketfetch("resume")
    assert done.returncode == 1
    assert done.stdout == f"{whole}: 1 request goes on.\n"
    assert f"Job {broken} can't be read (field_of_the_next_release is no argument of ours)" in done.stderr
    for verb in ("resume", "retry"):
        assert f"Job {broken} can't be read" in refused(place.marketfetch(verb, broken))


def test_a_job_that_can_not_be_read_can_be_cancelled_and_leaves_the_lane(place):
    broken = submit(place, "AAPL")
    submit(place, "MSFT")
    damage(place, broken, of_another_release(place, broken))
    done = place.marketfetch("cancel", broken)
    assert done.returncode == 0, done.stderr
    assert place.redis().zcard("mf:{polygon}:ready") == 1
    assert place.status(broken)["state"] == "cancelled"
    assert place.marketfetch("resume").returncode == 0


MISTAKEN = """
import json
from marketfetch import connections
from marketfetch.jobs import feeding

waiting = feeding._waiting

def mistaken(store, job, spec):
    if spec.symbols == ("AAPL",):
        raise KeyError("a mistake of ours")
    return waiting(store, job, spec)

feeding._waiting = mistaken
connections.redis().flushall()
print(json.dumps(feeding.sweep()))
"""


def test_a_mistake_of_ours_with_one_job_stops_no_other(place):
    submit(place, "AAPL")
    submit(place, "MSFT")
    assert ran(place, MISTAKEN) == 1


# --- sweeps ---------------------------------------------------------------------------------------------------------------

SWEEPS = """
import json
from marketfetch import connections
from marketfetch.jobs import feeding

looks, redis = [], connections.redis()
store = connections.store()
look = type(store).open_jobs

def counted(self):
    looks.append(redis.exists("mf:sweeping"))
    if len(looks) == 3:
        redis.set("mf:sweeping", "of another", ex=60)  # this one was slower than its key lives
    return look(self)

type(store).open_jobs = counted
for _ in range(4):
    feeding.sweep()
print(json.dumps({"looks": looks, "standing": redis.get("mf:sweeping").decode()}))
"""


def test_a_sweep_that_has_ended_keeps_nobody_from_the_next_one(place):
    """The fourth finds somebody else at it, whose key the third has not taken away."""
    assert ran(place, SWEEPS) == {"looks": [1, 1, 1], "standing": "of another"}


# --- retry ----------------------------------------------------------------------------------------------------------------


def test_retry_of_a_cancelled_job_does_not_bring_all_of_it_back(place, sandbox):
    place.env |= SELDOM | {"MARKETFETCH_RETRIES__MOST": "0"}
    sandbox.faults(kind="500", provider="polygon", symbol="AAPL", count=1)
    worker = place.worker()
    failed = place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")["job"]
    end_group(worker)
    job = submit(place, "AAPL", "MSFT", "TSLA")
    assert place.marketfetch("cancel", job).returncode == 0
    sentence = refused(place.marketfetch("retry", job))
    assert f"Job {job} is cancelled: `marketfetch resume {job}` lets all of it go on" in sentence
    assert place.redis().zcard("mf:{polygon}:ready") == 0
    assert place.status(job)["state"] == "cancelled"
    assert place.rows("SELECT symbol, outcome FROM ledger") == [("AAPL", "failed")]
    # One that was over before somebody cancelled it: nothing but what has failed comes back.
    assert place.marketfetch("cancel", failed).returncode == 0
    assert place.marketfetch("retry", failed).stdout == f"1 failed request of {failed} is to be made again.\n"


# --- what happens between a look at the ledger and what is done about it --------------------------------------------------

#: A worker's steps in this process, so that one can be put between two steps of who feeds or cancels.
STEPS = """
import json
from datetime import date
from types import SimpleNamespace
import tasks
from marketfetch.quotas import Gate
import marketfetch
from marketfetch import connections
from tasks.fetch import fetch
from tasks.store import STORE_TASK, store_batch
from marketfetch.configured import keys

gate, store = connections.gate("polygon"), connections.store()

def admit():
    return [one for one in gate.admit(room=1, most_granted=50, keys=keys("polygon")).grants if one.kind == "go"]

def called(grant):
    query = json.loads(grant.arguments)
    header = {"id": grant.id, "fence": grant.fence}
    request = SimpleNamespace(get=lambda name: header, chain=[{"task": STORE_TASK}], id=grant.id)
    return fetch(SimpleNamespace(request=request, max_retries=3, app=tasks.app), "polygon", (query.pop("symbol"),), query)

def all_done():
    while grants := admit():
        store_batch.run(called(grants[0]))

def once_before(method, step):
    real, done = getattr(Gate, method), []
    def between(self, *arguments, **options):
        if not done:
            done.append(step())
        return real(self, *arguments, **options)
    setattr(Gate, method, between)

job = marketfetch.submit("polygon", ["AAPL"], start=date(2023, 1, 3), end=date(2023, 3, 28), adjustment="raw").job_id
"""

STORED_BEFORE_PARK = """
(grant,) = admit()
reply = called(grant)
look, asked = type(store).over, []

def slow(self, ids):
    asked.append(all_done())  # a worker is faster than who feeds
    return look(self, ids)

type(store).over = slow
once_before("park", lambda: store_batch.run(reply))
fed = marketfetch.resume(job)
print(json.dumps({"fed": fed, "calls": [row.calls for row in store.outcomes([grant.id]).values()]}))
"""

STORED_BEFORE_WITHDRAW = """
(grant,) = admit()
reply = called(grant)  # its next page is parked
once_before("withdraw", lambda: store_batch.run(reply))
state = marketfetch.cancel(job)
lane = gate.counts().parked
all_done()
print(json.dumps({"lane": lane, "state": state.state, "stored": marketfetch.status(job).requests.stored}))
"""

CANCELLED_BEFORE_PARK = """
gate.redis.flushall()
once_before("park", lambda: marketfetch.cancel(job))
fed = marketfetch.resume(job)
lane = gate.counts().parked
again = marketfetch.resume(job)
print(json.dumps({"fed": fed, "lane": lane, "again": again}))
"""


def test_a_request_that_is_stored_while_its_job_is_fed_is_not_called_again(place, sandbox):
    assert ran(place, STEPS + STORED_BEFORE_PARK) == {"fed": 0, "calls": [1]}
    assert sandbox.log()["calls"] == 1


def test_a_page_that_is_stored_while_its_job_is_cancelled_leaves_no_next_one_in_the_lane(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT"] = "3"
    assert ran(place, STEPS + STORED_BEFORE_WITHDRAW) == {"lane": 0, "state": "cancelled", "stored": 1}
    assert sandbox.log()["calls"] == 1


def test_nothing_is_parked_of_a_job_that_is_cancelled_while_it_is_fed_and_resume_brings_it_back(place):
    assert ran(place, STEPS + CANCELLED_BEFORE_PARK) == {"fed": 0, "lane": 0, "again": 1}


LOST = """
import json
from marketfetch import connections
from marketfetch.jobs import feeding
gate = connections.gate("polygon")
gate.redis.zpopmin("mf:{polygon}:ready")
print(json.dumps([feeding.sweep(), feeding.sweep()]))
"""


def test_a_request_that_was_lost_from_the_lane_is_fed_again(place, sandbox):
    submit(place, "AAPL", "MSFT")
    assert ran(place, LOST) == [1, 0]
    place.worker()
    eventually(lambda: stored(place) == once_each("AAPL", "MSFT"), what="both are stored")
    assert calls_of(sandbox) == {"AAPL": 1, "MSFT": 1}
