"""Celery's own ways to send a task all pass the gate and keep their meaning."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.waiting import eventually

CODE = """
import json
from tasks import app
from tasks.fetch import polygon
from tasks.store import store_batch
{}
print(json.dumps(answer))
"""

ASKED = "dataset='bars', adjustment='raw', start='2024-01-02', end='2024-01-31'"


def answer(place, code: str):
    done = place.run("-c", CODE.format(code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_delay_gives_an_async_result_and_stores(place):
    place.worker()
    ref = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).get(timeout=300)")
    assert (ref["symbol"], ref["outcome"]) == ("AAPL", "stored")
    # Once it is stored, the task's reply covers the same wish as a job, which makes no call of its own.
    eventually(lambda: place.rows("SELECT outcome FROM ledger") == [("stored",)], what="it is stored")
    status = place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-31")
    assert (status["state"], status["requests"]["total"]) == ("done", 0)
    assert place.rows("SELECT count(*) FROM bars") == [(ref["rows"],)]
    assert place.rows("SELECT calls FROM ledger") == [(1,)]


def test_a_range_without_a_session_is_empty_and_costs_no_call(place, sandbox):
    place.worker()
    before = sandbox.log()["calls"]
    code = (
        "weekend = dict(start='2024-01-06', end='2024-01-07')\n"
        "alone = polygon.delay('AAPL', **weekend)\n"
        "chained = (polygon.s('MSFT', **weekend) | store_batch.s()).apply_async()\n"
        "answer = [alone.get(timeout=300), chained.get(timeout=300)]"
    )
    assert [(one["symbol"], one["outcome"], one["rows"]) for one in answer(place, code)] == [
        ("AAPL", "empty", 0), ("MSFT", "empty", 0),
    ]  # fmt: skip
    assert sandbox.log()["calls"] == before
    eventually(lambda: not place.redis().keys("mf:{polygon}:req:*"), what="the gate has no record left")


def test_a_chain_into_the_store_task_ends_with_what_was_stored(place):
    place.worker()
    ref = answer(place, f"answer = (polygon.s('AAPL', {ASKED}) | store_batch.s()).apply_async().get(timeout=300)")
    assert ref["outcome"] == "stored"
    assert place.rows("SELECT count(*) FROM bars") == [(ref["rows"],)]


def test_a_group_of_fetches_gives_every_result(place):
    place.worker()
    code = (
        f"from celery import group\nanswer = group(polygon.s(s, {ASKED}) for s in ('AAPL', 'MSFT', 'TSLA'))().get(timeout=300)"
    )
    assert sorted(ref["symbol"] for ref in answer(place, code)) == ["AAPL", "MSFT", "TSLA"]


def test_a_chord_runs_its_body_after_every_fetch(place):
    place.worker()
    code = (
        "from celery import chord\n"
        "over = {'provider': 'polygon', 'symbol': 'BODY', 'request': 'x', 'outcome': 'over', 'rows': 0, 'rejects': 0}\n"
        f"header = [polygon.s(s, {ASKED}) for s in ('AAPL', 'MSFT')]\n"
        "answer = chord(header)(store_batch.si(over)).get(timeout=300)"
    )
    assert answer(place, code)["symbol"] == "BODY"


def test_a_countdown_waits_in_redis_and_not_in_a_worker_and_says_so(place):
    code = (
        f"sent = polygon.apply_async(('AAPL',), dict({ASKED}), countdown=3600)\n"
        "answer = [sent.state, sent.ready(), sent.info['not_before'] is not None]"
    )
    assert answer(place, code) == ["PARKED", False, True]
    redis = place.redis()
    assert redis.zcard("mf:{polygon}:delayed") == 1
    assert redis.llen("fetch.polygon") == 0


def test_send_task_by_an_app_that_does_not_know_us_is_parked_under_its_own_id(place):
    place.worker()
    code = (
        "from celery import Celery\n"
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\n"
        f"sent = bare.send_task('tasks.fetch.polygon', ('AAPL',), dict({ASKED}))\n"
        "answer = sent.get(timeout=300)"
    )
    assert answer(place, code)["outcome"] == "stored"
    assert "stray task parked" in place.worker_log


def test_relative_days_are_those_of_the_send_whichever_way_the_task_goes_and_however_often(place):
    """Parked twice by a sender, then by a worker for an app that knows the name alone, whose message comes twice."""
    code = (
        "from marketfetch.jobs import planning\nfrom datetime import UTC, datetime\nfrom kombu.utils.json import loads\n"
        "planning.wished_at = lambda: datetime(2024, 6, 10, 23, 59, tzinfo=UTC)\n"
        "from marketfetch import connections\ngate = connections.gate('polygon')\n"
        "def parked(sent):\n"
        "    record = f'{gate.prefix}req:{gate.request_of(sent.id)}'\n"
        "    kwargs = loads(gate.redis.hget(record, 'm'))['body'][1]\n"
        "    return [kwargs['start'], kwargs['end']]\n"
        "days = {'start': '-5d', 'end': 'today', 'adjustment': 'raw'}\n"
        "answer = [parked(polygon.delay('AAPL', **days)), parked(polygon.apply_async(('AAPL',), days, countdown=3 * 86400)),"
        " parked(polygon.delay('MSFT'))]"
    )
    assert answer(place, code) == [["2024-06-05", "2024-06-10"], ["2024-06-08", "2024-06-13"], ["2023-06-10", "2024-06-10"]]
    place.redis().flushall()
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["1/hour"]'
    place.worker(concurrency=1)  # in the order in which they are sent
    code = (
        "from celery import Celery\nfrom tests.waiting import eventually\nfrom marketfetch import connections\n"
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\n"
        f"polygon.delay('MSFT', {ASKED}).get(timeout=300)\n"  # it has the only call
        "for days in ('-5d', '-6d'):\n"  # as a day later
        "    bare.send_task('tasks.fetch.polygon', ('AAPL',), {'start': days, 'end': 'today'}, task_id='twice')\n"
        "gate = connections.gate('polygon')\n"
        "last = bare.send_task('tasks.fetch.polygon', ('TSLA',), {'start': '-5d', 'end': 'today'})\n"
        "eventually(lambda: gate.request_of(last.id))\n"
        "answer = [gate.counts().parked, gate.arguments(gate.request_of('twice'))]"
    )
    parked, arguments = answer(place, code)
    today = datetime.now(UTC).date()
    assert parked == 2, "the second message of the same task is no second request"
    assert json.loads(arguments)["start"] in {str(today - timedelta(days=n)) for n in (5, 6)}
    eventually(lambda: "stray task is parked already" in place.worker_log, what="the second message")


def test_wrong_arguments_fail_with_the_arguments_name(place):
    place.worker()
    code = (
        "try:\n    polygon.delay('AAPL', timespam='1d').get(timeout=300)\n"
        "except Exception as error:\n    answer = [type(error).__name__, str(error)]"
    )
    kind, text = answer(place, code)
    assert kind == "BadRequestError"
    assert "timespam" in text


def test_a_symbol_that_is_no_word_fails_once_and_leaves_nothing(place, sandbox):
    place.worker()
    code = (
        "try:\n    polygon.delay(['AAPL', 'MSFT'], start='2024-01-02', end='2024-01-31').get(timeout=300)\n"
        "except Exception as error:\n    answer = str(error)"
    )
    assert "['AAPL', 'MSFT']" in answer(place, code)
    redis = place.redis()
    eventually(lambda: not redis.keys("mf:*req*"), what="nothing left of it")
    assert not redis.exists("mf:dead")
    assert sandbox.log()["calls"] == 0


def test_an_expired_task_is_revoked_and_costs_no_call(place, sandbox):
    code = f"answer = polygon.apply_async(('AAPL',), dict({ASKED}), countdown=1, expires=1).id"
    task_id = answer(place, code)
    place.worker()
    state = answer(
        place,
        "from celery.result import AsyncResult\nfrom tests.waiting import eventually\n"
        f"answer = eventually(lambda: AsyncResult('{task_id}', app=app).state == 'REVOKED')",
    )
    assert state is True
    assert sandbox.log()["calls"] == 0


def test_a_parked_task_is_revoked_with_no_worker_up_and_never_runs(place, sandbox):
    code = (
        f"sent = polygon.apply_async(('AAPL',), dict({ASKED}), countdown=3600)\n"
        "app.control.revoke(sent.id)\nanswer = [sent.state, type(sent.result).__name__]"
    )
    assert answer(place, code) == ["REVOKED", "TaskRevokedError"]
    assert not place.redis().keys("mf:*req*")


def test_an_app_that_does_not_know_us_revokes_a_parked_task_through_a_worker(place, sandbox):
    place.worker()
    code = (
        "from celery import Celery\nfrom tests.waiting import eventually\n"
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\n"
        f"sent = polygon.apply_async(('AAPL',), dict({ASKED}), countdown=3600)\n"
        "bare.control.revoke(sent.id)\n"
        "answer = eventually(lambda: sent.state == 'REVOKED')"
    )
    assert answer(place, code) is True
    eventually(lambda: not place.redis().keys("mf:*req*"), what="nothing left of it")
    assert sandbox.log()["calls"] == 0


def test_a_chord_with_a_revoked_member_fails_instead_of_waiting_for_ever(place):
    place.worker()
    code = (
        "from celery import chord\nfrom tests.waiting import eventually\n"
        f"header = [polygon.s('AAPL', {ASKED}), polygon.s('MSFT', {ASKED}).set(countdown=3600)]\n"
        "body = chord(header)(store_batch.si({}))\n"
        "eventually(lambda: sum(one.ready() for one in body.parent.results) == 1)\n"
        "later = next(one for one in body.parent.results if not one.ready())\n"
        "app.control.revoke(later.id)\n"
        "answer = eventually(lambda: body.state == 'FAILURE')"
    )
    assert answer(place, code) is True


def test_two_tasks_for_the_same_make_one_call_and_both_are_answered(place, sandbox):
    code = f"one, two = (polygon.delay('AAPL', {ASKED}) for _ in range(2))\nanswer = [one.id, two.id, app.conf.broker_url]"
    one, two, _ = answer(place, code)
    place.worker()
    code = (
        "from celery.result import AsyncResult\n"
        f"answer = [AsyncResult(one, app=app).get(timeout=300) for one in ('{one}', '{two}')]"
    )
    refs = answer(place, code)
    assert {ref["rows"] for ref in refs} == {refs[0]["rows"]}
    assert {ref["outcome"] for ref in refs} == {"stored"}
    # Both name the request whose rows they want.
    assert {(ref["request"],) for ref in refs} == set(place.rows("SELECT request_id FROM ledger"))
    assert sandbox.log()["calls"] == 1
    # And a third, later, is answered from the ledger.
    third = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).get(timeout=300)")
    assert (third["outcome"], third["rows"]) == ("stored", refs[0]["rows"])
    assert sandbox.log()["calls"] == 1
    redis = place.redis()
    eventually(lambda: not redis.keys("mf:*req*") and not redis.keys("mf:*:tasks"), what="nothing left of the tasks")


def test_a_waiter_whose_call_fails_fails_with_the_same_reason_and_a_new_task_asks_again(place, sandbox):
    sandbox.faults(kind="500", provider="polygon", symbol="AAPL", count=1)
    place.env["MARKETFETCH_RETRIES__MOST"] = "0"
    answer(place, f"answer = [polygon.delay('AAPL', {ASKED}).id for _ in range(2)][0]")
    tasks = [name.decode() for name in place.redis().hkeys("mf:{polygon}:tasks")]
    place.worker()
    code = (
        f"answer = []\nfrom celery.result import AsyncResult\nfor name in {tasks}:\n"
        "    try:\n        AsyncResult(name, app=app).get(timeout=300)\n"
        "    except Exception as error:\n        answer.append(str(error))"
    )
    reasons = answer(place, code)
    assert len(reasons) == 2
    assert all("500" in reason for reason in reasons)
    assert sandbox.log()["calls"] == 1
    again = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).get(timeout=300)")
    assert again["outcome"] == "stored"
    eventually(lambda: place.rows("SELECT outcome FROM ledger") == [("stored",)], what="stored after the failure")


def test_priority_and_task_id_and_links_keep_their_meaning(place, sandbox):
    """Parked with no worker up, so that the lane alone decides the order."""
    code = (
        "later = polygon.apply_async(('AAPL',), dict(" + ASKED + "), priority=9)\n"
        "over = {'provider': 'polygon', 'symbol': 'LINK', 'request': 'x', 'outcome': 'over', 'rows': 0, 'rejects': 0}\n"
        "sooner = polygon.apply_async(('MSFT',), dict(" + ASKED + "), priority=0, task_id='mine', "
        "link=store_batch.si(over).set(task_id='linked'))\n"
        "from celery import Celery\n"  # one without our sender, which would refuse it
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\n"
        "bare.conf.task_routes = app.conf.task_routes\n"
        "failing = bare.send_task('tasks.fetch.polygon', ('TSLA',), dict(timespam='1d'), task_id='bad', "
        "link_error=store_batch.si(over).set(task_id='errback'))\n"
        f"app.send_task('tasks.fetch.polygon', ('AMZN',), dict({ASKED}), priority=1, task_id='second')\n"
        f"(polygon.s('NVDA', {ASKED}).set(priority=2, task_id='third') | store_batch.s()).apply_async()\n"
        "answer = [later.id, sooner.id, sooner.state]"
    )
    later, sooner, state = answer(place, code)
    assert (sooner, state) == ("mine", "PARKED")
    gate = place.redis()
    lane = gate.zrange("mf:{polygon}:ready", 0, -1)
    assert lane[:3] == [gate.hget("mf:{polygon}:tasks", name) for name in ("mine", "second", "third")]
    assert lane[-1] == gate.hget("mf:{polygon}:tasks", later)
    place.worker(concurrency=1)
    code = (
        "from celery.result import AsyncResult\nfrom tests.waiting import eventually\n"
        "names = ('mine', 'linked', 'errback', 'bad')\n"
        "eventually(lambda: all(AsyncResult(one, app=app).ready() for one in names))\n"
        "answer = {one: AsyncResult(one, app=app).state for one in names}"
    )
    assert answer(place, code) == {"mine": "SUCCESS", "linked": "SUCCESS", "errback": "SUCCESS", "bad": "FAILURE"}


def test_parked_says_when_it_is_expected_from_the_limits_of_the_keys(place):
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = '["5/minute"]'
    code = (
        "from datetime import datetime, UTC\n"
        "for n in range(1, 29):\n"
        "    before = datetime.now(UTC)\n"
        "    sent = polygon.delay('AAPL', dataset='bars', start='2024-01-02', end=f'2024-02-{n:02}')\n"
        "expected = datetime.fromisoformat(sent.info['expected'])\n"
        "answer = [(expected - moment).total_seconds() for moment in (before, datetime.now(UTC))]"
    )
    # 5 at once and 5 more each minute: the last 3 after five minutes.
    since_before, since_after = answer(place, code)
    assert since_after - 1 <= 300 <= since_before + 1


def test_a_beat_entry_is_parked_and_runs(place):
    (place.folder / "schedule.py").write_text(
        "from tasks import app\n"
        f"app.conf.beat_schedule = {{'aapl': {{'task': 'tasks.fetch.polygon', 'schedule': 1.0, 'args': ('AAPL',), "
        f"'kwargs': dict({ASKED})}}}}\n"
    )
    place.worker()
    place.celery("beat", "--schedule", "beat-state", log="beat.log", app="schedule")
    eventually(lambda: place.rows("SELECT count(*) FROM ledger") == [(1,)], within_s=30, what="beat's task stored")


def test_a_retrys_countdown_becomes_a_not_before_and_carries_no_grant(place, sandbox):
    sandbox.faults(kind="500", provider="polygon", symbol="AAPL", count=1)
    place.env |= {"MARKETFETCH_RETRIES__BACKOFF": "6000", "MARKETFETCH_RETRIES__BACKOFF_MAX": "6000"}
    place.worker()
    code = (
        f"sent = polygon.delay('AAPL', {ASKED})\nfrom tests.waiting import eventually\n"
        "eventually(lambda: sent.state == 'RETRY')\nanswer = sent.id"
    )
    task_id = answer(place, code)
    redis = place.redis()
    request = redis.hget("mf:{polygon}:tasks", task_id).decode()
    assert [one.decode() for one in redis.zrange("mf:{polygon}:delayed", 0, -1)] == [request]
    record = redis.hgetall(f"mf:{{polygon}}:req:{request}")
    assert record[b"a"] == b"1"
    assert b'"marketfetch"' not in record[b"m"]
    assert redis.llen("fetch.polygon") == 0
