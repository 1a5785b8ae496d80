"""Celery's own ways to send a task all pass the gate and keep their meaning."""

from __future__ import annotations

import json

CODE = """
import json
from tasks import app
from tasks.fetch import polygon
from tasks.store import store_batch
{}
print(json.dumps(answer))
"""

ASKED = "dataset='bars', adjustment='split', start='2024-01-02', end='2024-01-31'"


def answer(place, code: str):
    done = place.run("-c", CODE.format(code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_delay_gives_an_async_result_and_stores(place):
    place.worker()
    ref = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).get(timeout=20)")
    assert (ref["symbol"], ref["outcome"]) == ("AAPL", "stored")
    # The same wish as a job finds the ledger's row and makes no call of its own.
    status = place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-31")
    assert status["rows"] == ref["rows"]
    assert place.rows("SELECT calls FROM ledger") == [(1,)]


def test_a_chain_into_the_store_task_ends_with_what_was_stored(place):
    place.worker()
    ref = answer(place, f"answer = (polygon.s('AAPL', {ASKED}) | store_batch.s()).apply_async().get(timeout=20)")
    assert ref["outcome"] == "stored"
    assert place.rows("SELECT count(*) FROM bars") == [(ref["rows"],)]


def test_a_group_of_fetches_gives_every_result(place):
    place.worker()
    code = (
        f"from celery import group\nanswer = group(polygon.s(s, {ASKED}) for s in ('AAPL', 'MSFT', 'TSLA'))().get(timeout=30)"
    )
    assert sorted(ref["symbol"] for ref in answer(place, code)) == ["AAPL", "MSFT", "TSLA"]


def test_a_chord_runs_its_body_after_every_fetch(place):
    place.worker()
    code = (
        "from celery import chord\n"
        "over = {'provider': 'polygon', 'symbol': 'BODY', 'request': 'x', 'outcome': 'over', 'rows': 0, 'rejects': 0}\n"
        f"header = [polygon.s(s, {ASKED}) for s in ('AAPL', 'MSFT')]\n"
        "answer = chord(header)(store_batch.si(over)).get(timeout=30)"
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
        "answer = sent.get(timeout=20)"
    )
    assert answer(place, code)["outcome"] == "stored"
    assert "stray task parked" in place.worker_log


def test_wrong_arguments_fail_with_the_arguments_name(place):
    place.worker()
    code = (
        "try:\n    polygon.delay('AAPL', timespam='1d').get(timeout=20)\n"
        "except Exception as error:\n    answer = [type(error).__name__, str(error)]"
    )
    kind, text = answer(place, code)
    assert kind == "BadRequest"
    assert "timespam" in text


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
    assert not place.redis().keys("mf:*req*")
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
