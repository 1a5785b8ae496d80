"""What parks what is to do of jobs: one that can't be read, sweeps that follow one another, late looks at the ledger."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

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


def ran(place, script: str) -> dict:
    """What a script prints last, as JSON."""
    done = place.run("-c", script)
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


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
    eventually(lambda: any(one.startswith(sentence) for one in place.status(whole)["trouble"]), what="it is told")
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
    assert done.stdout == f"{whole}: 1 request parked anew.\n"
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


# --- sweeps ---------------------------------------------------------------------------------------------------------------

SWEEPS = """
import json
from tasks import connections, feeding

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
    assert place.marketfetch("retry", failed).stdout == f"1 request of {failed} is to do again.\n"
