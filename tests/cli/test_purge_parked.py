"""`marketfetch purge --parked JOB|all` as it is typed: what leaves Redis, what stays, and what it asks before it acts."""

from __future__ import annotations

import json

import pytest

from marketfetch.quotas import Gate, Parking, key_limits
from tests.quotas.steps import admit

DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")
READY, TASKS = "mf:{polygon}:ready", "mf:{polygon}:tasks"


@pytest.fixture
def here(shell, redis, valkey_url):
    shell.variables |= {"MARKETFETCH_REDIS_URL": valkey_url, "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:x"]'}
    return shell


def submit(here, *symbols: str) -> str:
    done = here.run("fetch", "polygon", *symbols, *DAYS)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def status(here, job: str) -> dict:
    return dict(json.loads(here.run("status", job, "--json").stdout))


def test_a_job_is_purged_with_what_it_has_parked_and_what_others_share_stays(here, redis):
    mine, theirs = submit(here, "AAPL", "MSFT"), submit(here, "MSFT", "TSLA")
    gate = Gate(redis, pool="polygon")
    (running,) = admit(gate, key_limits("main", ["1/minute"])).grants  # AAPL
    assert gate.start(running.id, fence=running.fence).verdict == "go"
    done = here.run("purge", "--parked", mine, "--yes", "--json")
    assert json.loads(done.stdout) == {"jobs": [{"job": mine, "requests": 1, "running": 1}], "tasks": 0, "others": 0}
    assert (redis.zcard(READY), redis.zcard("mf:{polygon}:running")) == (2, 1)
    assert status(here, theirs)["requests"]["parked"] == 2
    # The job is cancelled, so that no sweep parks it again.
    assert status(here, mine)["requests"] == {
        "total": 2, "parked": 0, "running": 1, "stored": 0, "failed": 0, "cancelled": 1,
    }  # fmt: skip
    done = here.run("purge", "--parked", mine, "--yes")
    assert done.stdout == f"{mine}: cancelled, 0 requests of it withdrawn; 1 running one will be stored.\n"
    resumed = json.loads(here.run("resume", mine, "--json").stdout)
    assert resumed == {"jobs": [{"job": mine, "requests": 0}]}, "its request is parked for the other job"
    assert status(here, mine)["requests"]["cancelled"] == 0


def test_all_empties_the_lanes_and_revokes_the_tasks_that_have_made_no_call(here, redis):
    job = submit(here, "AAPL")
    gate = Gate(redis, pool="polygon")
    for name, request in (("alone", "task:alone"), ("shares", "shared"), ("runs", "call")):
        gate.park([Parking(id=request, arguments="{}", task=name, message=f"message of {name}")], job="direct", priority=1)
    gate.park([Parking(id="shared", arguments="{}"), Parking(id="unknown", arguments="{}")], job="of another database")
    gate.park([Parking(id="later", arguments="{}")], job="of another database", not_before_ms=1 << 50)
    (running,) = [one for one in admit(gate, key_limits("main", [])).grants if one.id == "call"]
    assert gate.start("call", fence=running.fence).verdict == "go"
    asked = here.run("purge", "--parked", "all", stdin=b"n\n")
    assert asked.returncode == 1
    assert "Cancel 1 job (of every owner) and revoke 2 tasks? Parked requests: " in asked.stderr
    assert redis.hlen(TASKS) == 3
    done = here.run("purge", "--parked", "all", "--json", stdin=b"y\n")
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert counted["jobs"] == [{"job": job, "requests": 1, "running": 0}]
    assert counted["tasks"] == 2
    assert (gate.counts().parked, gate.counts().granted, gate.counts().running) == (0, 0, 1)
    # The releasers of the workers write REVOKED for these, as for every withdrawn task.
    assert sorted(gate.held()) == ["task:alone", "task:shares"]
    assert status(here, job)["state"] == "cancelled"


def test_a_purge_that_is_not_confirmed_or_can_not_be_done_changes_nothing(here, redis, one_sentence):
    job = submit(here, "AAPL")
    for words in (("--parked", job), ("--parked", "all")):
        asked = here.run("purge", *words)  # no terminal, no --yes
        assert (asked.returncode, asked.stdout) == (1, "")
        assert "[y/N]" in asked.stderr
    assert "nothing was purged" in one_sentence(here.run("purge", "--parked", "all", "--yes", REDIS_URL="redis://127.0.0.1:1"))
    assert "There is no job 'nothing'" in one_sentence(here.run("purge", "--parked", "nothing", "--yes"))
    both = here.run("purge", "--parked", job, "--older-than", "90d", "--yes")
    assert (both.returncode, "say what" in both.stderr) == (2, True)
    assert redis.zcard(READY) == 1
    assert status(here, job)["state"] == "running"


def test_what_steers_a_job_has_a_document_too(here, redis):
    job = submit(here, "AAPL", "MSFT")
    cancelled = json.loads(here.run("cancel", job, "--json").stdout)
    assert (cancelled["job"], cancelled["state"], cancelled["requests"]["cancelled"]) == (job, "cancelled", 2)
    assert json.loads(here.run("resume", job, "--json").stdout) == {"jobs": [{"job": job, "requests": 2}]}
    assert json.loads(here.run("retry", job, "--json").stdout) == {"job": job, "requests": 0}
    assert json.loads(here.run("resume", "--json").stdout)["jobs"][0]["job"] == job
