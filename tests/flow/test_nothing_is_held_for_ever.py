"""Whatever raises between a grant and its outcome, the request ends, and no slot and no quota stays held."""

from __future__ import annotations

import json
import os
import signal

import pytest

from marketfetch.quotas import Gate, Parking, key_limits
from marketfetch.quotas.reporting import health
from tests.flow.test_recovery import patient_worker, tell
from tests.quotas.steps import NOON
from tests.waiting import eventually

CODE = """
import json
from celery import Celery, chain
from celery.result import AsyncResult
from tasks import app
from tasks.fetch import polygon
{}
print(json.dumps(answer))
"""
#: The lines are dealt out to this many runs.
PARTS = 3
ASKED = "start='2024-01-02', end='2024-01-31'"
#: Wrong arguments of a fetch task, and what the sentence says of them.
WRONG = {
    "polygon.delay('X', provider='nasdaq', start='2024-01-02', end='2024-01-31')": "provider is no argument of ours",
    "polygon.delay('X', symbols=['Y'], start='2024-01-02', end='2024-01-31')": "symbols is no argument of ours",
    "polygon.delay('X', as_of='2024', start='2024-01-02', end='2024-01-31')": "as_of is no argument of ours",
    "polygon.delay('X', timespam='1d')": "timespam is no argument of ours",
    "polygon.delay('X', again='yes', start='2024-01-02', end='2024-01-31')": "again is True or False",
    "polygon.delay('X', timespan=['1d'], start='2024-01-02', end='2024-01-31')": "timespan",
    "polygon.delay('X', start='2024-01-02', end=5)": "The end is no day",
    "polygon.delay('X', start=['2024-01-02'], end='2024-01-31')": "start",
    "polygon.delay('X', '2024-01-02', '2024-01-31')": "one symbol",
    "polygon.delay('X', symbol='Y', start='2024-01-02', end='2024-01-31')": "one symbol",
    "polygon.delay(start='2024-01-02', end='2024-01-31')": "one symbol",
    "polygon.delay(['X', 'Y'], start='2024-01-02', end='2024-01-31')": "one symbol",
    "polygon.delay(7, start='2024-01-02', end='2024-01-31')": "one symbol",
    "polygon.delay('', start='2024-01-02', end='2024-01-31')": "a symbol is empty",
    "polygon.delay('X', start='2024-01-31', end='2024-01-02')": "swap them",
    "polygon.apply_async(('X',), dict(timespam='1d'), countdown=60)": "timespam",
    "polygon.s('X', timespam='1d').apply_async()": "timespam",
    "app.send_task('tasks.fetch.polygon', ('X',), dict(timespam='1d'))": "timespam",
}


def answer(place, code: str):
    done = place.run("-c", CODE.format(code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def nothing_is_held(place) -> bool:
    redis = place.redis()
    return not any(
        redis.keys(f"mf:{{polygon}}:{one}*") for one in ("req:", "open:", "granted", "running", "raised", "unstarted")
    )


#: Ends that are none of the request's own: a worker's crash or a bug elsewhere would show as these.
ENDS = {"stored", "empty", "failed", "SUCCESS", "FAILURE"}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("when", ["once", "always"])
def test_an_exception_at_each_line_between_grant_and_finish_ends_in_an_outcome(place, sandbox, when, part):
    place.env |= {"MARKETFETCH_RETRIES__MOST": "1", "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": f'["1000000/day@{NOON}"]'}
    done = place.run("-m", "tests.flow.each_line", when, str(part), str(PARTS), timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    wrong = [one for one in found if one["wrong"] or not set(one["outcomes"]) <= ENDS]
    assert wrong == []
    raised = [one for one in found if one["line"]]
    assert all(one["raised"] for one in raised)
    assert len(raised) > 100 // PARTS
    if when == "once":
        # Before the call the request goes on as if nothing had happened.
        assert sum(one["outcomes"] == ["stored"] for one in raised) > 5 // PARTS


def test_wrong_arguments_are_refused_where_they_are_written(place):
    code = "answer = []\n" + "".join(
        f"try:\n    {call}\n    answer.append('sent')\n"
        "except Exception as error:\n    answer.append(f'{type(error).__module__}.{type(error).__name__}: {error}')\n"
        for call in WRONG
    )
    said = dict(zip(WRONG, answer(place, code), strict=True))
    # WrongValueError is a BadRequestError: its value is refused by the rules of the wish or of the vendor.
    kinds = ("marketfetch.exceptions.BadRequestError: ", "marketfetch.exceptions.WrongValueError: ")
    wrong = {call: text for call, text in said.items() if not text.startswith(kinds) or WRONG[call] not in text}
    assert wrong == {}
    assert nothing_is_held(place)


def test_wrong_arguments_of_an_app_without_our_sender_fail_in_the_worker_and_hold_no_quota(place, sandbox):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["2/hour"]'
    place.worker()
    asked = "start='2024-01-02', end='2024-01-31'"
    sent = (
        f"('X',), dict({asked}, provider='nasdaq')", f"('X',), dict({asked}, symbols=['Y'])", f"('X', 'Y'), dict({asked})",
        f"(), dict({asked})", "('X',), dict(timespam='1d')",
    )  # fmt: skip
    code = (
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\nanswer = []\n"
        f"for one in [{', '.join(f'({text})' for text in sent)}]:\n"
        "    try:\n        bare.send_task('tasks.fetch.polygon', *one).get(timeout=300)\n        answer.append('went')\n"
        "    except Exception as error:\n        answer.append(str(error))"
    )
    found = answer(place, code)
    wanted = ("provider is no", "symbols is no", "one symbol", "one symbol", "timespam is no")
    assert [text for text, part in zip(found, wanted, strict=True) if part not in text] == []
    eventually(lambda: nothing_is_held(place), what="nothing is held")
    # Both calls of this hour are left.
    code = f"answer = [polygon.delay(one, {ASKED}).get(timeout=300)['outcome'] for one in ('AAPL', 'MSFT')]"
    assert answer(place, code) == ["stored", "stored"]
    assert sandbox.log()["calls"] == 2


def test_a_link_with_wrong_arguments_fails_by_itself_and_what_came_before_is_kept(place):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = f'["100/day@{NOON}"]'
    place.worker()
    code = (
        f"sent = chain(polygon.s('AAPL', {ASKED}), polygon.si('X', timespam='1d')).apply_async()\n"
        "from tests.waiting import eventually\n"
        "eventually(lambda: sent.ready() and sent.parent.ready())\n"
        "answer = [sent.parent.state, sent.state, str(sent.result)]"
    )
    before, state, text = answer(place, code)
    assert (before, state) == ("SUCCESS", "FAILURE")
    assert "timespam is no argument of ours" in text
    eventually(lambda: nothing_is_held(place), what="nothing is held")
    (day,) = place.redis().keys("mf:{polygon}:day:*")
    assert place.redis().get(day) == b"1"


def test_again_makes_a_new_generation_each_time(place, sandbox):
    place.worker()
    code = f"answer = [polygon.delay('AAPL', {ASKED}, again=again).get(timeout=300) for again in (False, True, True, False)]"
    found = answer(place, code)
    assert {one["outcome"] for one in found} == {"stored"}
    assert len({one["request"] for one in found}) == 3
    assert found[0]["request"] == found[3]["request"]
    assert sandbox.log()["calls"] == 3
    # One with a countdown is planned when it runs.
    later = answer(place, f"answer = polygon.apply_async(('AAPL',), dict({ASKED}, again=True), countdown=1).get(timeout=300)")
    assert later["outcome"] == "stored"
    assert sandbox.log()["calls"] == 4
    eventually(lambda: nothing_is_held(place), what="nothing is held")


def test_twenty_lost_messages_in_a_row_cost_nothing_and_the_request_is_stored(place, sandbox):
    gate = Gate(place.redis(), pool="polygon")
    job = place.marketfetch("fetch", "polygon", "AAPL", "--start", "2024-01-02", "--end", "2024-01-05").stdout.strip()
    unlimited = (key_limits("main", []),)
    for n in range(20):
        assert gate.admit(room=1, most_granted=9, keys=unlimited, start_by_ms=-1).grants
        # Its message is lost: the next admit finds the grant expired.
        assert health(gate, unlimited).ok == (n < 5)
    assert health(gate, unlimited).unstarted == 1
    unhealthy = place.marketfetch("quotas", "health")
    assert unhealthy.returncode == 1
    assert "were granted 5 times in a row, and no worker has started them" in unhealthy.stdout
    assert not place.redis().keys("mf:{polygon}:raised:*")
    place.worker()
    eventually(lambda: place.status(job)["state"] == "done", what="stored")
    assert place.rows("SELECT outcome, calls FROM ledger") == [("stored", 1)]
    assert place.marketfetch("quotas", "health").returncode == 0
    eventually(lambda: nothing_is_held(place), what="nothing is held")


def test_a_grant_never_counts_while_no_child_is_free_or_after_its_worker_was_killed(place, sandbox):
    place.env |= {"MARKETFETCH_TIMINGS__START_BY": "0.3", "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": f'["1000/day@{NOON}"]'}
    worker = patient_worker(place)
    tell(worker, signal.SIGSTOP)
    days = ("--start", "2024-01-02", "--end", "2024-01-05")
    job = place.marketfetch("fetch", "polygon", "AAPL", "MSFT", *days).stdout.strip()
    redis = place.redis()

    def again_and_again() -> bool:
        return redis.zcount("mf:{polygon}:unstarted", 6, "+inf") == 2

    eventually(again_and_again, what="each was granted six times, and the only child stands still")
    sentence = "Requests of polygon (2) were granted 5 times in a row, and no worker has started them"
    assert any(one.startswith(sentence) for one in place.status(job)["trouble"])
    assert sentence in place.marketfetch("check").stdout
    assert place.marketfetch("quotas", "health").returncode == 1
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert not redis.keys("mf:{polygon}:raised:*")
    place.env["MARKETFETCH_TIMINGS__START_BY"] = "60"
    patient_worker(place)
    eventually(lambda: place.status(job)["state"] == "done", what="stored")
    assert place.rows("SELECT outcome, calls FROM ledger") == [("stored", 1)] * 2
    assert sandbox.log()["calls"] == 2
    (day,) = redis.keys("mf:{polygon}:day:*")
    assert redis.get(day) == b"2"
    assert place.marketfetch("quotas", "health").returncode == 0
    eventually(lambda: nothing_is_held(place), what="nothing is held")


def test_deliveries_that_raise_before_their_call_fail_the_request_after_the_fifth(redis):
    gate, keys = Gate(redis, pool="polygon"), (key_limits("main", [f"1000/day@{NOON}"], concurrency=1),)
    gate.park([Parking(id="a", arguments="{}")], job="J")
    found = []
    for _ in range(5):
        (grant,) = gate.admit(room=1, most_granted=9, keys=keys).grants
        found.append(gate.raised("a", fence=grant.fence, reason="a sentence"))
        # A message that comes twice counts once.
        assert gate.raised("a", fence=grant.fence + 7, reason="x").verdict in ("lost", "held")
        assert redis.zcard("mf:{polygon}:granted") == redis.exists("mf:{polygon}:open:main") == 0
        redis.zadd("mf:{polygon}:delayed", {"a": 0}, xx=True)
    assert [(one.verdict, one.times) for one in found] == [*(("again", n) for n in range(1, 5)), ("failed", 5)]
    turn = gate.start("a", fence=-1)
    assert (turn.verdict, turn.reason, turn.calls) == ("held", "a sentence", 0)
    (day,) = redis.keys("mf:{polygon}:day:*")
    assert redis.get(day) == b"0"
    gate.settle("a")
    assert not redis.keys("mf:{polygon}:req:*")
    assert not redis.keys("mf:{polygon}:raised:*")


@pytest.mark.parametrize(("call", "calls"), [("unsent", 0), ("sent", 1)])
def test_a_delivery_that_raises_after_its_start_fails_the_request_at_once(redis, call, calls):
    gate, keys = Gate(redis, pool="polygon"), (key_limits("main", [f"1000/day@{NOON}"], concurrency=1),)
    gate.park([Parking(id="a", arguments="{}")], job="J")
    (grant,) = gate.admit(room=1, most_granted=9, keys=keys).grants
    assert gate.start("a", fence=grant.fence).verdict == "go"
    assert gate.raised("a", fence=grant.fence, reason="a sentence", call=call).verdict == "failed"
    turn = gate.start("a", fence=-1)
    assert (turn.verdict, turn.reason, turn.calls) == ("held", "a sentence", calls)
    assert redis.zcard("mf:{polygon}:running") == redis.exists("mf:{polygon}:open:main") == 0
    (day,) = redis.keys("mf:{polygon}:day:*")
    assert redis.get(day) == str(calls).encode()
