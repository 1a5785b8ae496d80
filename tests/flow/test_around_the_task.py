"""What raises, hangs or dies around our task, in hooks of a user's app or in a child, ends its request too."""

from __future__ import annotations

import json

from tests.flow.test_nothing_is_held_for_ever import nothing_is_held
from tests.flow.test_poisoned_grants import DAYS, due, result
from tests.flow.test_recovery import patient_worker
from tests.flow.test_ways_in import ASKED, answer
from tests.quotas.steps import NOON
from tests.waiting import eventually

#: A user's app whose hooks do what the symbol names. Each notes that it was called.
HOOKS = """
import os, signal, time
from celery.exceptions import Ignore, Reject
from celery.signals import task_postrun, task_prerun
from tasks.fetch import TASKS

def note(symbol):
    with open("calls", "a") as file:
        file.write(symbol + "\\n")

def raises(error):
    raise error

def hangs():
    while True:
        try:
            time.sleep(60)
        except Exception:
            pass

BEFORE = dict(
    RAISE=lambda: raises(RuntimeError("a hook")), IGNORE=lambda: raises(Ignore()), REJECT=lambda: raises(Reject("a hook")),
    EXIT=lambda: os._exit(1), KILL=lambda: os.kill(os.getpid(), signal.SIGKILL), QUIT=lambda: raises(SystemExit(1)),
    HANG=hangs, SOFT=lambda: time.sleep(60), OWN=lambda: raises(RuntimeError("a hook")),
)
fetching = TASKS["polygon"].__class__
call = fetching.__call__

def before_start(self, task_id, args, kwargs):
    if args[0] in BEFORE:
        note(args[0])
        BEFORE[args[0]]()

def called(self, *args, **kwargs):
    if args[0] == "NOCALL":
        return "nothing"
    ref = call(self, *args, **kwargs)
    if args[0] == "MSFT":
        note("MSFT")
        raise RuntimeError("a hook")
    return ref

fetching.before_start, fetching.__call__ = before_start, called
task_init = app.loader.on_task_init

def on_task_init(task_id, task):
    if task.request.args and task.request.args[0] == "INIT":
        raise RuntimeError("a hook")
    task_init(task_id, task)

app.loader.on_task_init = on_task_init

@task_prerun.connect
def before(args, **_):
    if args[:1] in (("TSLA",), ["TSLA"]):
        raise RuntimeError("a hook")

@task_postrun.connect
def after(args, **_):
    if args[:1] in (("NVDA",), ["NVDA"]):
        raise RuntimeError("a hook")

@app.task(name="errors.own", queue="celery")
def errors(*_):
    note("ERRBACK")
"""
ERRORS = "app.signature('errors.own', queue='celery')"
#: Hooks that raise before the call, and words of the reason with which the request fails.
BEFORE = {
    "RAISE": "what runs around its task raised an exception (RuntimeError: a hook)",
    "IGNORE": "(Ignore: ",
    "REJECT": "(Reject: ",
    "INIT": "(RuntimeError: a hook)",
    "NOCALL": "(it ended without our call)",
    "EXIT": "its task ended its child process (WorkerLostError: ",
    "KILL": "its task ended its child process (WorkerLostError: ",
    "QUIT": "its task ended its child process (",
}
#: Hooks that change nothing: what they do comes after the outcome, or Celery logs it.
HARMLESS = ("MSFT", "TSLA", "NVDA", "AAPL")
#: Tasks of a user: their failure is recorded at once, so the first delivery is the last.
OWN = {"OWN": "{}", "SOFT": "dict(soft_time_limit=1, time_limit=9)", "HANG": "dict(soft_time_limit=1, time_limit=2)"}


def test_whatever_raises_around_the_task_ends_its_request(place, sandbox):
    place.env |= {"MARKETFETCH_PROVIDERS__POLYGON__LIMITS": f'["1000/day@{NOON}"]', "MARKETFETCH_TIMINGS__HELD_AGAIN": "60"}
    # Celery gives the next task to a child that ends by SystemExit, and takes it back at its look for dead children, every 5 s.
    # An outcome that is redelivered before that would be one more call of the hook.
    # A grant that expires on a busy machine counts nothing, and its message would be one more call of the hook.
    place.env["MARKETFETCH_TIMINGS__START_BY"] = "60"
    job = place.marketfetch("fetch", "polygon", *BEFORE, *HARMLESS, *DAYS).stdout.strip()
    sent = ", ".join(
        f"polygon.apply_async(({symbol!r},), dict({ASKED}), link_error=errors, **{options})" for symbol, options in OWN.items()
    )
    own = dict(zip(OWN, answer(place, f"errors = {ERRORS}\nanswer = [one.id for one in ({sent})]"), strict=True))
    worker = patient_worker(place, more=HOOKS, concurrency=4)
    count = len(BEFORE) + len(HARMLESS) + len(OWN)
    eventually(
        lambda: due(place) and place.rows("SELECT count(*) FROM ledger") == [(count,)], within_s=60, what="each request is over"
    )
    eventually(lambda: nothing_is_held(place), what="nothing is held")
    found = {symbol: (outcome, reason, calls) for symbol, outcome, reason, calls in ledger(place)}
    assert {found[one][0::2] for one in HARMLESS} == {("stored", 1)}
    assert {found[one][0::2] for one in [*BEFORE, *OWN]} == {("failed", 0)}
    assert {one: found[one][1] for one, words in BEFORE.items() if words not in found[one][1]} == {}
    assert [found[one][1].count(f"{one}: ") for one in BEFORE] == [1] * len(BEFORE)
    assert "RuntimeError: a hook" in found["OWN"][1]
    assert "SoftTimeLimitExceeded" in found["SOFT"][1]
    assert "its task was killed by its time limit of 2 s" in found["HANG"][1]
    assert {one: result(place, task_id)["status"] for one, task_id in own.items()} == dict.fromkeys(OWN, "FAILURE")
    # Each delivery counts once. Celery itself calls the errback of a task twice that its hard limit has killed.
    calls = (place.folder / "calls").read_text().split()
    assert {one: calls.count(one) for one in set(calls)} == {
        **dict.fromkeys(("RAISE", "IGNORE", "REJECT", "EXIT", "KILL", "QUIT"), 5), **dict.fromkeys(OWN, 1),
        "MSFT": 1, "ERRBACK": len(OWN) + 1,
    }  # fmt: skip
    assert sandbox.log()["calls"] == len(HARMLESS)
    (day,) = place.redis().keys("mf:{polygon}:day:*")
    assert int(place.redis().get(day)) == len(HARMLESS)
    assert place.status(job)["requests"]["failed"] == len(BEFORE)
    assert place.marketfetch("quotas", "health").returncode == 0
    # What NOCALL has returned is no reference. A job's request has no chain, so it is sent to no store task.
    assert json.loads(place.marketfetch("dead", "--json").stdout)["messages"] == []
    assert worker.poll() is None


def ledger(place) -> list[tuple]:
    return place.rows("SELECT symbol, outcome, reason, calls FROM ledger")
