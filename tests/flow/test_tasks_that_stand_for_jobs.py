"""A task whose range takes several calls stands for a job: no worker is held, and it ends in each of Celery's ways with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketfetch.jobs.submission import id_for
from tests.flow.test_ways_in import answer
from tests.waiting import eventually

#: Two requests, of five days of minutes at most.
MINUTES = "dataset='bars', timespan='1m', start='2024-01-02', end='2024-01-09', adjustment='split'"
SHORT = {"CONNECT": "3", "CALL": "5", "START_BY": "2", "END_BY": "6", "HELD_AGAIN": "1", "SWEEP": "1"}
ENDED = {"total": 2, "stored": 2, "failed": 0, "cancelled": 0}


@pytest.fixture
def quick(place):
    place.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in SHORT.items()}
    place.env["MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT"] = "5000"
    return place


def waits(place) -> int:
    return int(place.rows("SELECT count(*) FROM job_waiters")[0][0])


def state(place, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.redis().get(f"celery-task-meta-{task_id}") or b'{"status": "PENDING"}')
    return found


def ends(place, task_id: str, status: str, *, within_s: float = 20) -> dict[str, Any]:
    eventually(
        lambda: state(place, task_id)["status"] == status, within_s=within_s, what=lambda: f"{status}: {state(place, task_id)}"
    )
    return state(place, task_id)


def test_a_chain_a_chord_and_a_bare_message_go_on_with_the_end_of_their_jobs(quick, sandbox):
    place = quick
    code = (
        f"sent = (polygon.s('AAPL', {MINUTES}) | store_batch.s() | store_batch.s()).apply_async()\n"
        "first = sent.parent.parent\nanswer = [sent.id, first.id, first.state, first.info['job']]"
    )
    last, first, parked, job = answer(place, code)
    assert (parked, job) == ("PARKED", id_for(first))
    assert place.status(job)["requests"]["total"] == 2, "the job is there before any worker is"
    place.worker()
    end = ends(place, last, "SUCCESS")["result"]
    assert {"job": job, "outcome": "done"}.items() <= end.items()
    assert ENDED.items() <= end["counts"].items()
    assert (end["symbol"], end["request"]) == ("AAPL", job), "what follows may read it as a reference"
    assert place.rows("SELECT count(*) FROM bars") == [(end["rows"],)] == [(end["counts"]["rows"],)]
    assert sandbox.log()["calls"] == 2

    code = (
        "from celery import Celery, chord\n"
        "bare = Celery(broker=app.conf.broker_url, backend=app.conf.result_backend)\n"
        f"alone = bare.send_task('tasks.fetch.polygon', ('AAPL',), dict({MINUTES}))\n"
        f"late = polygon.apply_async(('AAPL',), dict({MINUTES}), countdown=1)\n"
        f"parts = [polygon.s('MSFT', {MINUTES}), polygon.s('KO', dataset='bars', start='2024-01-02', end='2024-01-31')]\n"
        "over = {'provider': 'polygon', 'symbol': 'BODY', 'request': 'x', 'outcome': 'over', 'rows': 0, 'rejects': 0}\n"
        "body = chord(parts)(store_batch.si(over))\n"
        "answer = [alone.get(timeout=300), late.get(timeout=300), body.get(timeout=300)['symbol']]"
    )
    alone, late, body = answer(place, code)
    assert (alone["outcome"], late["outcome"], body) == ("done", "done", "BODY")
    assert alone["job"] != late["job"] != job
    assert sandbox.log()["calls"] == 2 + 2 + 1, "jobs share their requests"
    eventually(lambda: waits(place) == 0, what="no waiter is left")
    assert not place.redis().exists("mf:dead")


def test_a_failed_a_cancelled_a_revoked_and_a_late_job_end_their_tasks(quick, sandbox):
    place = quick
    place.env |= {"MARKETFETCH_PROVIDERS__POLYGON__LIMITS": '["1/hour"]', "MARKETFETCH_RETRIES__MOST": "0"}
    sandbox.faults(kind="500", provider="polygon", symbol="TSLA", count=2)
    code = (
        f"wish = dict({MINUTES})\n"
        "errback = store_batch.si({'provider': 'polygon', 'symbol': 'E', 'request': 'x', 'outcome': 'over', 'rows': 0,"
        " 'rejects': 0}).set(task_id='errback')\n"
        "failing = polygon.apply_async(('TSLA',), wish, link_error=errback)\n"
        "revoked, cancelled = (polygon.delay(one, **wish) for one in ('AAPL', 'MSFT'))\n"
        "limited = polygon.apply_async(('KO',), wish, time_limit=1)\n"
        "expired = polygon.apply_async(('IBM',), wish, expires=1)\n"
        "app.control.revoke(revoked.id)\n"
        "import marketfetch\nmarketfetch.cancel(cancelled.info['job'])\n"
        "answer = [one.id for one in (failing, revoked, cancelled, limited, expired)]"
    )
    failing, revoked, cancelled, limited, expired = answer(place, code)
    assert state(place, revoked)["status"] == "REVOKED", "with no worker up"
    assert place.status(id_for(revoked))["state"] == "cancelled"
    del place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"]
    place.worker()
    assert id_for(cancelled) in str(ends(place, cancelled, "REVOKED")["result"])
    assert "1" in str(ends(place, limited, "FAILURE")["result"]["exc_message"])
    assert state(place, limited)["result"]["exc_type"] == "TimeLimitExceeded"
    ends(place, expired, "REVOKED")
    found = ends(place, failing, "FAILURE")["result"]
    assert f"marketfetch status {id_for(failing)}" in str(found["exc_message"])
    assert "TSLA: 2 of 2 requests" in str(found["exc_message"])
    ends(place, "errback", "SUCCESS")
    assert [place.status(id_for(one))["state"] for one in (limited, expired, cancelled)] == ["cancelled"] * 3
    eventually(lambda: waits(place) == 0, what="no waiter is left")


@pytest.mark.parametrize("point", ["settle:before", "notify:before", "notify:after"])
def test_killed_once_at(quick, sandbox, point):
    """A child is killed where a task becomes a job, before its end is sent, and after that; Redis is emptied before them."""
    place = quick
    unarmed, marker = dict(place.env), place.folder / "killed"
    place.env["MARKETFETCH_FAILPOINT"] = f"{point}@{marker}"
    countdown = ", countdown=1" if point == "settle:before" else ""
    code = (
        f"sent = polygon.apply_async(('AAPL',), dict({MINUTES}){countdown}, link=store_batch.s().set(task_id='link'))\n"
        "answer = sent.id"
    )
    place.env, armed = unarmed, place.env
    task_id = answer(place, code)
    if point != "settle:before":
        place.redis().flushall()
    place.env = armed
    worker = place.worker(concurrency=2)
    place.env = unarmed
    dead = int(eventually(lambda: marker.exists() and marker.read_text(), within_s=20, what=f"a process dies at {point}"))
    place.goes_on_without(worker, dead)
    end = ends(place, task_id, "SUCCESS", within_s=30)["result"]
    assert (end["job"], end["counts"]["stored"]) == (id_for(task_id), 2)
    assert ends(place, "link", "SUCCESS")["result"]["job"] == end["job"]
    eventually(lambda: waits(place) == 0, what="no waiter is left")
    assert sandbox.log()["calls"] == 2
