"""A release takes over what the one before it left in Redis: all of it ends, once, and no reply is fetched again."""

from __future__ import annotations

import json
from collections import Counter

from tests.flow.conftest import SECRETS
from tests.flow.recorded_gate import (
    ASKED,
    DATABASE,
    GRANTED,
    HELD,
    RUNNING,
    SYMBOLS,
    UNKNOWN,
    cut,
    load,
    load_database,
    recorded,
)
from tests.quotas.stepped import FORMAT
from tests.waiting import eventually

#: The format of the first recording: it holds the gate alone.
BEFORE = 1
#: The recording of the release before this one, with its database, its results and a dead message. The format is the same.
BEFORE_THE_MOVE = 2
GENEROUS = "500/second"
#: Of the first recording a hundred parked requests are enough: the second one keeps its thousand.
SOME = SYMBOLS[:124]


def records(place) -> set[str]:
    return {one.decode().rpartition(":")[2] for one in place.redis().scan_iter("mf:{polygon}:req:*", count=1000)}


def left(place) -> list[str]:
    """What would be there for ever: a record, a batch, a place in the lane, a deadline, an open call."""
    redis = place.redis()
    names = [one.decode() for one in redis.scan_iter("mf:{polygon}:*", count=1000)]
    kept = ("counts", "epoch", "key:", "done:", "early:", "over", "secrets")
    found = [one for one in names if not one.removeprefix("mf:{polygon}:").startswith((*kept, "tags"))]
    return found + [one.decode() for one in redis.hkeys("mf:{polygon}:tags") if one[:1] != b"V"]


def test_what_is_parked_running_and_held_of_the_first_release_ends_once_each(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([GENEROUS])
    sandbox.keys("polygon", SECRETS["polygon"], limits=[GENEROUS], enforce=False)
    done = place.marketfetch("fetch", "polygon", *SOME, *ASKED)
    assert done.returncode == 0, done.stderr
    job, ours = done.stdout.strip(), records(place)
    load(cut(recorded(BEFORE), SOME), place.redis(), job=job)
    assert ours == records(place), "a request is named the same in every release"
    goes_on_to_its_end(place, sandbox, job, SOME)


def test_what_the_release_before_left_in_redis_and_in_the_database_goes_on_and_can_be_read(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([GENEROUS])
    sandbox.keys("polygon", SECRETS["polygon"], limits=[GENEROUS], enforce=False)
    recording = recorded(BEFORE_THE_MOVE)
    job = recording["job"]
    load_database(recording, place.folder / DATABASE)
    load(recording, place.redis(), job=job)
    before = place.marketfetch("status", job)
    assert (before.returncode, "marketfetch check --upgrade" in before.stderr) == (1, True)
    assert "schema 5" in place.marketfetch("check", "--upgrade").stdout
    assert (place.status(job)["state"], place.status(job)["requests"]["total"]) == ("running", len(SYMBOLS))
    dead = json.loads(place.marketfetch("dead", "--json").stdout)["messages"]
    assert [(one["queue"], one["reason"][:40]) for one in dead] == [
        ("fetch.polygon", "it is no message but something else: Exp")
    ]

    # Errors of modules that this release no longer has.
    code = (
        "import json\nfrom tasks import app\nfrom celery.result import AsyncResult\n"
        f"print(json.dumps([str(AsyncResult(one, app=app).get(propagate=False)) for one in {recording['failed']}]))"
    )
    done = place.run("-c", code)
    assert done.returncode == 0, done.stderr
    unknown, unplanned = json.loads(done.stdout)
    assert f"Alpha Vantage does not know the symbol {UNKNOWN}" in unknown
    assert "timespam is no argument of ours" in unplanned

    goes_on_to_its_end(place, sandbox, job, SYMBOLS, failed=[(UNKNOWN, "failed"), ("AAPL", "failed")])
    again = place.marketfetch("fetch", "polygon", "AAPL", *ASKED, "--wait", "--json")
    assert again.returncode == 0, again.stderr


def goes_on_to_its_end(
    place, sandbox, job: str, symbols: tuple[str, ...], *, failed: list[tuple[str, str]] | None = None
) -> None:
    """A worker of this release ends what was parked, granted, running and held, each once. `failed`: what the ledger had."""
    parked = symbols[len(HELD) + len(RUNNING) + len(GRANTED) :]
    counts = {name: place.redis().zcard(f"mf:{{polygon}}:{name}") for name in ("ready", "granted", "running", "held")}
    assert counts == {"ready": len(parked), "granted": len(GRANTED), "running": 10, "held": 10}

    place.worker()
    had = failed or []
    everything = [(len(symbols) + len(had),)]
    eventually(
        lambda: place.rows("SELECT count(*) FROM ledger") == everything,
        within_s=120,
        what=lambda: f"all are over, but only {place.rows('SELECT count(*) FROM ledger')} of {everything}",
    )
    eventually(lambda: not left(place), what="nothing is left in Redis")

    calls = {one: 2 if one in RUNNING else 1 for one in symbols}
    ledger = place.rows("SELECT symbol, outcome, rows, calls FROM ledger WHERE outcome != 'failed' ORDER BY symbol")
    assert ledger == [(one, "stored", 4, calls[one]) for one in symbols]
    assert place.rows("SELECT symbol, outcome FROM ledger WHERE outcome = 'failed' ORDER BY symbol DESC") == had
    assert place.rows("SELECT count(*), count(DISTINCT symbol) FROM bars") == [(4 * len(symbols), len(symbols))]
    status = place.status(job)
    assert (status["state"], status["rows"], status["requests"]["stored"]) == ("done", 4 * len(symbols), len(symbols))

    # Of this release, that is: the calls of the one before went to a vendor who is not here.
    log = sandbox.log(full=True)
    arrivals = Counter(symbol for _, symbol in log["providers"]["polygon"][SECRETS["polygon"]]["arrivals"])
    assert arrivals == Counter((*RUNNING, *GRANTED, *parked))
    assert not arrivals.keys() & {*HELD}
    assert log["violations"] == 0


def test_a_worker_beside_a_newer_release_does_what_it_knows_and_tells_of_the_rest(place, sandbox):
    job = place.marketfetch("fetch", "polygon", "AAPL", "MSFT", "TSLA", *ASKED).stdout.strip()
    redis = place.redis()
    name = redis.zrange("mf:{polygon}:ready", 0, 0)[0].decode()
    redis.hset(f"mf:{{polygon}}:req:{name}", "r", FORMAT + 1)
    before = redis.hgetall(f"mf:{{polygon}}:req:{name}")
    place.worker(concurrency=2)
    eventually(lambda: place.rows("SELECT count(*) FROM ledger") == [(2,)], what="the others are stored")
    status = eventually(lambda: (found := place.status(job))["trouble"] and found, what="the operator is told")
    assert [one for one in status["trouble"] if "A newer release of marketfetch has made requests of polygon (1 now)" in one]
    assert (status["state"], status["requests"]["parked"], status["requests"]["stored"]) == ("running", 1, 2)
    assert place.worker_log.count("A newer release of marketfetch") == 1
    assert redis.hgetall(f"mf:{{polygon}}:req:{name}") == before
    assert sandbox.log()["calls"] == 2
