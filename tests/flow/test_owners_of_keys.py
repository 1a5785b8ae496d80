"""Keys that belong to owners, with real workers: each owner's jobs use its own keys alone, and every limit holds for all."""

from __future__ import annotations

import json
import zipfile

import pytest

from tests.flow.conftest import SECRETS, Place, end_group
from tests.flow.test_beside_the_release_before import RELEASE, RELEASES, Older, is_ready
from tests.waiting import eventually

LIMIT = "4/4seconds"
ACME, BETA = "S3CR3TACME0123456789", "S3CR3TBETA0123456789"
ASKED = '"2024-01-02", end="2024-01-05", adjustment="raw"'
SUBMIT = f"""
import json, sys
from marketfetch import submit
for owner, symbols in json.loads(sys.argv[1]).items():
    print(submit("polygon", symbols, start={ASKED}, owner=owner).job_id)
"""


@pytest.fixture
def owned(place: Place, sandbox) -> Place:
    """Keys of acme and of beta beside one without an owner; gamma has acme's secret under a label of its own."""
    keys = [f"main:{SECRETS['polygon']}", f"acme:{ACME}", f"beta:{BETA}", f"gamma:{ACME}"]
    for secret in (SECRETS["polygon"], ACME, BETA):
        sandbox.keys("polygon", secret, limits=[LIMIT], enforce=False)
    place.env |= {
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": json.dumps(keys),
        "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": json.dumps([LIMIT]),
        "MARKETFETCH_PROVIDERS__POLYGON__KEY_OWNERS": json.dumps({"acme": "acme", "beta": ["beta"], "gamma": "gamma"}),
    }
    return place


def submitted(place: Place, **jobs: list[str]) -> list[str]:
    """Submits a job for each owner; "house" is none."""
    done = place.run("-c", SUBMIT, json.dumps({"" if one == "house" else one: symbols for one, symbols in jobs.items()}))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def called(sandbox) -> dict[str, list[str]]:
    """The symbols that were asked for with each secret."""
    keys = sandbox.log(full=True)["providers"]["polygon"]
    return {secret: sorted(symbol for _, symbol in one["arrivals"]) for secret, one in keys.items() if one["arrivals"]}


def test_each_owner_is_fetched_with_its_own_keys_and_a_shared_secret_keeps_its_limit(owned, sandbox):
    theirs = {
        "acme": ["AA", "AB", "AC", "AD", "AE", "AF"],
        "beta": ["AA", "BB"],  # the same symbol is another request
        "gamma": ["CA", "CB", "CC", "CD"],
        "house": ["DA", "DB", "DC"],
    }
    jobs = submitted(owned, **theirs)
    refused = owned.run("-c", SUBMIT, json.dumps({"nobody": ["ZZ"]}))
    assert refused.returncode == 1
    assert "The owner 'nobody' has no key of polygon, so nothing was submitted" in refused.stderr
    assert "marketfetch set providers.polygon.api_keys --add LABEL --owner 'nobody'" in refused.stderr
    waiting = json.loads(owned.marketfetch("quotas", "--json").stdout)["keys"]
    lines = {one["label"]: (one["owners"], one["parked"]) for one in waiting if one["provider"] == "polygon"}
    assert lines == {"main": ([], 3), "acme": (["acme", "gamma"], 10), "beta": (["beta"], 2)}

    owned.worker(concurrency=3)
    eventually(lambda: owned.rows("SELECT count(*) FROM ledger") == [(15,)], within_s=60, what="all are over")
    assert called(sandbox) == {
        ACME: sorted([*theirs["acme"], *theirs["gamma"]]),
        BETA: theirs["beta"],
        SECRETS["polygon"]: theirs["house"],
    }
    assert sandbox.log()["violations"] == 0
    for job, symbols in zip(jobs, theirs.values(), strict=True):
        status = owned.status(job)
        assert (status["state"], status["requests"]["stored"], status["trouble"]) == ("done", len(symbols), [])


def test_a_worker_of_the_release_before_fetches_no_job_of_an_owner(owned, sandbox, tmp_path):
    """It has the key without an owner alone, reads the same database and the same Redis, and is there first."""
    code = tmp_path / "release-before"
    with zipfile.ZipFile(RELEASES / RELEASE) as packed:
        packed.extractall(code)
    older = Older(owned, code)
    older.env["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = json.dumps([f"main:{SECRETS['polygon']}"])
    del older.env["MARKETFETCH_PROVIDERS__POLYGON__KEY_OWNERS"]
    (job,) = submitted(owned, acme=["AA", "AB", "AC"])
    redis = owned.redis()
    # As it stands after a retry, which that worker moves to the lane that it knows.
    (lane,) = (one.decode() for one in redis.scan_iter("mf:{polygon}:ready:*"))
    moved = redis.zrange(lane, 0, 0)[0]
    redis.zrem(lane, moved)
    redis.zadd("mf:{polygon}:delayed", {moved: 1})
    first = older.celery("worker", "-c", "1", "--loglevel", "info", "--hostname", "before@%h", log="before.log")
    is_ready(owned.folder / "before.log")
    eventually(lambda: redis.zscore("mf:{polygon}:newer", moved) is not None, within_s=30, what="it has left the request alone")
    (house,) = submitted(owned, house=["DA"])
    eventually(lambda: owned.rows("SELECT count(*) FROM ledger") == [(1,)], within_s=60, what="it does what it knows")
    assert called(sandbox) == {SECRETS["polygon"]: ["DA"]}

    log = owned.folder / "before.log"
    owned.worker(concurrency=1)
    over = lambda: owned.rows("SELECT count(*) FROM ledger") == [(4,)]  # noqa: E731
    eventually(
        lambda: over() or "grant was lost, nothing sent" in log.read_text(encoding="utf-8"),
        what="a grant came to either worker",
    )
    end_group(first)  # each grant that comes to it waits for its start-by
    eventually(over, within_s=60, what="the owner's job is over")
    assert called(sandbox) == {SECRETS["polygon"]: ["DA"], ACME: ["AA", "AB", "AC"]}
    assert owned.rows("SELECT DISTINCT key_label FROM ledger WHERE symbol != 'DA'") == [("acme",)]
    assert (owned.status(job)["state"], owned.status(house)["state"]) == ("done", "done")
    # Nor can it feed the job, whatever it does later.
    ((spec,),) = owned.rows(f"SELECT spec FROM jobs WHERE id = '{job}'")
    read = older.run("-c", "import sys; from schemas.jobs import JobSpec; JobSpec.model_validate_json(sys.argv[1])", spec)
    assert (read.returncode, "keys_of" in read.stderr) == (1, True)
